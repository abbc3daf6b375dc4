"""Tests that settings of a study have one meaning, whatever type YAML gives them, and match what they name."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.csv_per_batch import load_csv_study
from calib.data.h5ad import load_h5ad_study
from calib.data.settings import as_mapping, as_words, found_name
from calib.data.study import Study
from calib.data.table_study import load_table_study
from calib.errors import CalibError, DataError
from tests.conftest import compose
from tests.made_h5ad import write_h5ad


def plates(labels: tuple[Any, ...] = ("case", "control"), rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.normal(size=(3 * rows, 3)), columns=["mz_0", "mz_1", "mz_2"])
    made.insert(0, "label", np.array(labels, object)[np.arange(3 * rows) % len(labels)])
    made.insert(0, "batch", np.repeat(["a", "b", "c"], rows))
    return made


def table(made: pd.DataFrame, folder: Path, **settings: Any) -> Study:
    made.to_csv(folder / "t.csv", index=False)
    given = {"name": "t", "path": str(folder / "t.csv"), "batch": "batch", "label": "label"} | settings
    return load_table_study(**given)


def h5ad(made: pd.DataFrame, folder: Path, **settings: Any) -> Study:
    peaks = made.filter(like="mz_")
    obs = {column: made[column].tolist() for column in ("batch", "label")}
    file = write_h5ad(folder / "t.h5ad", obs, list(peaks.columns), peaks.to_numpy())
    return load_h5ad_study(**{"name": "t", "path": str(file), "batch": "batch", "label": "label"} | settings)


@pytest.mark.parametrize("read", [table, h5ad])
@pytest.mark.parametrize(
    ("labels", "settings", "classes"),
    [
        ((0, 1), {"positive": 0}, ["1", "0"]),
        ((0, 1), {"positive": "0"}, ["1", "0"]),
        ((0, 1), {"classes": {0: "control", 1: "case"}}, ["control", "case"]),
        ((0, 1), {"classes": {"0": 1, "1": 2}}, ["1", "2"]),
        ((True, False), {"positive": True}, ["False", "True"]),
        ((True, False), {"positive": False}, ["True", "False"]),
        (("TRUE", "FALSE"), {"positive": "TRUE"}, None),
        (("01", "02"), {"positive": "01"}, ["02", "01"]),
        (("1E1", "x"), {"positive": 10.0}, ["x", "1E1"]),
        ((0.5, 1.0), {}, ["0.5", "1.0"]),
        (("a", "b", "c"), {"classes": {"a": "ill", "b": "well", "c": "ill"}}, ["ill", "well"]),
        (
            ("a", "b", "c"),
            {"classes": {"a": "ill", "b": "well", "c": "ill"}, "positive": "c"},
            ["well", "ill"],
        ),
        (
            ("a", "b", "c"),
            {"classes": {"a": "ill", "b": "well", "c": "ill"}, "positive": "ill"},
            ["well", "ill"],
        ),
    ],
)
def test_names_in_any_type(
    labels: tuple[Any, ...], settings: dict[str, Any], classes: list[str] | None, read: Any, tmp_path: Path
) -> None:
    if classes is None:  # tables write TRUE for True, h5ad files have a type for it
        classes = ["False", "True"] if read is table else ["FALSE", "TRUE"]
        settings = {"positive": True}
    made = plates(labels)
    study = read(made, tmp_path, **settings)
    assert study.classes == classes
    names = settings.get("classes", {})
    wanted = [str(names.get(label, names.get(str(label), label))) for label in made["label"]]
    if labels[0] != "TRUE":
        assert [study.classes[y] for batch in study.batches.values() for y in batch.y] == wanted


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ignore": ["mz_9"]}, r"has no column 'mz_9', which dataset.ignore names; did you mean 'mz_"),
        ({"ignore": ["x*"]}, r"has no column 'x\*', which dataset.ignore names"),
        ({"unlabelled": ["contrl"]}, "has no label 'contrl', which dataset.unlabelled names; did you mean"),
        ({"unlabelled": "pending"}, "has no label 'pending', which dataset.unlabelled names"),
        ({"classes": {"case": "a", "control": "b", "other": "c"}}, "no label 'other', which dataset.classes"),
        ({"classes": {"case": "a", "contrl": "b"}}, "'control' is none of the classes case, contrl"),
        ({"classes": {"case": None, "control": "b"}}, "dataset.classes.case=null must be one name"),
        ({"classes": ["case"]}, "must be a mapping of names"),
        ({"positive": "cas"}, "positive label 'cas'; did you mean 'case'"),
        ({"features": []}, r"dataset.features=\[\] names no column"),
        ({"features": 3}, "dataset.features=3 fits none of its 3 columns"),
        ({"features": [["mz_0"]]}, r"dataset.features=\['mz_0'\] must be one name"),
        ({"path": []}, r"dataset.path=\[\] names no file"),
        ({"path": 5}, "5 does not exist"),
        ({"name": None}, "dataset.name=null must be one name"),
        ({"label": ["label"]}, r"dataset.label=\['label'\] must be one name"),
        ({"batch": 3}, "has no column '3'"),
        ({"subject": "label"}, "column 'label' is named by dataset.label and by dataset.subject"),
        ({"n_sources": "2"}, "dataset.n_sources=2 must be a whole number"),
        ({"n_sources": 1.5}, "dataset.n_sources=1.5 must be a whole number"),
    ],
)
def test_settings_that_match_nothing_are_refused(
    settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(CalibError, match=sentence):
        table(plates(), tmp_path, **settings)


def test_a_word_in_place_of_a_list(tmp_path: Path) -> None:
    made = plates(("case", "control")).assign(dx=1.5)
    made.loc[made["batch"] == "c", "label"] = "pending"
    study = table(made, tmp_path, ignore="dx", unlabelled="pending", features="mz_*")
    assert list(study.features) == ["mz_0", "mz_1", "mz_2"]
    assert study.batches["c"].y is None


def test_the_usual_words_for_unlabelled_need_not_occur(tmp_path: Path) -> None:
    assert build(compose("dataset=table", f"dataset.path={_written(tmp_path)}").dataset).classes == [
        "case",
        "control",
    ]


def _written(folder: Path) -> Path:
    plates().to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def test_columns_that_are_numbers(tmp_path: Path) -> None:
    made = plates().rename(columns={"batch": "1001", "mz_1": "7"})
    study = table(made, tmp_path, batch=1001, ignore=[7])
    assert list(study.batches) == ["a", "b", "c"]
    assert list(study.features) == ["mz_0", "mz_2"]


def test_files_of_batches_take_names_in_any_type(tmp_path: Path) -> None:
    for batch, part in plates((0, 1)).groupby("batch"):
        part.drop(columns="batch").assign(board=1).to_csv(tmp_path / f"{batch}.csv", index=False)
    files = {number: {"path": str(tmp_path / f"{b}.csv")} for number, b in enumerate("abc", start=1)}
    study = load_csv_study("t", files, "label", {0: "control", 1: "case"}, "board")
    assert list(study.batches) == ["1", "2", "3"]
    assert study.classes == ["control", "case"]
    with pytest.raises(
        DataError, match=r"no column 'bord', which dataset.ignore names; did you mean 'board'"
    ):
        load_csv_study("t", files, "label", {0: "control", 1: "case"}, ["bord"])
    with pytest.raises(CalibError, match=r"dataset.files=x must give each batch a path"):
        load_csv_study("t", "x", "label", {0: "control", 1: "case"})  # type: ignore[arg-type]


def test_h5ad_batches_by_number(tmp_path: Path) -> None:
    made = plates()
    made["batch"] = made["batch"].map({"a": 1, "b": 2, "c": 10})
    study = h5ad(made, tmp_path, batches={"second": 2, 1: 1})
    assert list(study.batches) == ["1", "second"]


def test_text_agrees_letter_for_letter_and_numbers_by_value() -> None:
    assert found_name("01", ["1", "01"]) == "01"
    assert found_name(1, ["01"]) == "01"
    assert found_name(1, ["01", "001"]) is None
    assert found_name("1", ["01"]) is None
    assert found_name(float("nan"), ["NaN"]) == "NaN"
    assert as_words("k", None) == []
    assert as_mapping("k", None) is None
