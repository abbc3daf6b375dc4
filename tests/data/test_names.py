"""Tests that names stay as the file spells them: none is merged, and doubtful ones are named."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.csv_per_batch import load_csv_study
from calib.data.h5ad import load_h5ad_study
from calib.data.names import groups, natural, plain, visible
from calib.data.study import Study
from calib.data.table_study import load_table_study
from calib.errors import CalibError, DataError
from calib.runs.experiment import run
from tests.conftest import compose, fast
from tests.data.test_settings import h5ad, plates, table
from tests.made_h5ad import write_h5ad


def with_batches(names: tuple[Any, ...]) -> pd.DataFrame:
    made = plates(rows=8)
    return made.assign(batch=np.repeat(np.array(names, object), 8))


def told(study: Study) -> dict[str, str]:
    """Return the warnings of a reading, by their codes."""
    return {caution.code: caution.text for caution in study.cautions}


@pytest.mark.parametrize("read", [table, h5ad])
@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (("10", "2", "1"), ["1", "2", "10"]),
        (("plate 10", "Plate 9", "plate 1"), ["plate 1", "Plate 9", "plate 10"]),
        (("1.10", "1.2", "1.1"), ["1.1", "1.2", "1.10"]),
        (("c", "a", "b"), ["a", "b", "c"]),
    ],
)
def test_batches_are_in_natural_order(
    names: tuple[str, ...], ordered: list[str], read: Any, tmp_path: Path
) -> None:
    made = with_batches(names)
    study: Study = read(made, tmp_path)
    assert list(study.batches) == ordered
    for name, batch in study.batches.items():
        np.testing.assert_allclose(batch.x, made.loc[made["batch"] == name].filter(like="mz_"))


def test_natural_order_has_no_ties() -> None:
    names = ["a1", "A1", "a01", "a", "", "1a", "a1b2", "a1b10"]
    assert len({natural(name) == natural(other) for name in names for other in names if name != other}) == 1
    assert sorted(["b10", "b9", "a"], key=natural) == ["a", "b9", "b10"]


@pytest.mark.parametrize(
    "names",
    [("01", "1", "2"), ("1E1", "10", "2"), ("007", "7", "8"), ("1.10", "1.1", "2"), ("a", "A", "b"), ("a", "a ", "b"),
     ("1.0", "1", "2"), ("caf\u00e9", "cafe\u0301", "b"), ("\u00b5", "\u03bc", "b"), ("a b", "a\u00a0b", "c")],
)  # fmt: skip
@pytest.mark.parametrize("read", [table, h5ad])
def test_batches_that_are_spelt_alike_stay_apart_and_are_named(
    names: tuple[str, ...], read: Any, tmp_path: Path
) -> None:
    study = read(with_batches(names), tmp_path)
    assert set(study.batches) == set(names)
    ((code, said),) = told(study).items()
    assert code == "names_alike"
    assert f"'{names[0]}'" in said
    assert f"'{names[1]}'" in said
    assert "differ only by case, space, Unicode form or number format" in said


@pytest.mark.parametrize("names", [("1", "2", "3"), ("0", "1", "10"), ("x1", "x01a", "y")])
def test_other_names_are_not_warned_of(names: tuple[str, ...], tmp_path: Path) -> None:
    assert not told(table(with_batches(names), tmp_path))


def test_labels_and_subjects_that_are_spelt_alike(tmp_path: Path) -> None:
    made = plates(("Case", "case", "control")).assign(person=["1", "01", "2"] * 12)
    study = table(made, tmp_path, subject="person")
    assert study.classes == ["Case", "case", "control"]
    said = [caution.text for caution in study.cautions]
    assert any("labels 'Case' and 'case' differ only by case" in sentence for sentence in said)
    assert any("subjects '1' and '01' differ only by case" in sentence for sentence in said)
    merged = table(made, tmp_path, classes={"Case": "case", "case": "case", "control": "control"})
    assert merged.classes == ["case", "control"]
    assert not any("labels" in caution.text for caution in merged.cautions)


@pytest.mark.parametrize("labels", [("x", "x "), ("x", " x"), ("x y", "x  y"), ("\u00e9", "e\u0301")])
def test_labels_that_look_the_same_are_refused(labels: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="look the same, but differ in spaces or in Unicode form"):
        table(plates((*labels, "z")), tmp_path)
    study = table(plates((*labels, "z")), tmp_path, classes={labels[0]: "x", labels[1]: "x", "z": "z"})
    assert study.classes == ["x", "z"]


@pytest.mark.parametrize("word", ["None", "nan", "NaN", "null", "N/A", "na", " "])
@pytest.mark.parametrize("read", [table, h5ad])
def test_a_label_that_may_mean_a_missing_value(word: str, read: Any, tmp_path: Path) -> None:
    """Check that it is neither dropped nor taken for a class before a setting says which of both it is."""
    made = plates((word, "case"))
    with pytest.raises(DataError, match="may be a class or mean that the label is unknown; list it in"):
        read(made, tmp_path)
    assert read(made, tmp_path, classes={"case": "case", word: "none"}).classes == ["case", "none"]
    made = plates(("case", "control"))
    made.loc[made["batch"] == "b", "label"] = word
    study = read(made, tmp_path, unlabelled=[word, "unknown"])
    assert study.classes == ["case", "control"]
    assert study.batches["b"].y is None


def test_the_advice_for_such_a_label_works(tmp_path: Path) -> None:
    made = plates(("case", "control"))
    made.loc[made["batch"] == "b", "label"] = "nan"
    made.to_csv(tmp_path / "t.csv", index=False)
    config = compose("dataset=table", f"dataset.path={tmp_path / 't.csv'}", "dataset.unlabelled=['nan']")
    assert build(config.dataset).batches["b"].y is None


def test_a_class_spelt_like_a_word_for_unlabelled(tmp_path: Path) -> None:
    study = table(plates(("Unknown", "case")), tmp_path)
    assert study.classes == ["Unknown", "case"]
    said = told(study)["label_like_unlabelled"]
    assert "label 'Unknown' is taken for a class, though dataset.unlabelled has 'unknown'" in said


@pytest.mark.parametrize("word", ["NA", "nan", "None", ""])
def test_a_batch_or_subject_that_may_be_missing_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 10: column 'batch' (is empty|has '\w+', which marks)"):
        table(with_batches(("a", word, "c")), tmp_path)
    with pytest.raises(DataError, match=r"line 2: column 'person' (is empty|has '\w+', which marks)"):
        table(plates().assign(person=[word] * 6 + ["p"] * 30), tmp_path, subject="person")


def test_names_are_read_as_text(tmp_path: Path) -> None:
    made = plates(("01", "02")).assign(
        person=["007", "7", "1e5"] * 12, id=[f"{i:03d}" if i else "" for i in range(36)]
    )
    study = table(made, tmp_path, subject="person", sample="id", subject_labels="split")
    assert study.classes == ["01", "02"]
    assert list(study.batches["a"].subject[:3]) == ["007", "7", "1e5"]
    assert list(study.batches["a"].names[:3]) == ["line 2", "001", "002"]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["1.0", "2.0", ""], ["1", "2"]),
        (["1.0", "2.0", "NA"], ["1", "2"]),
        (["1.0", "1", "2"], ["1", "1.0", "2"]),
        (["TRUE", "FALSE", ""], ["False", "True"]),
        (["true", "false", "NA"], ["False", "True"]),
        (["TRUE", "true", "x"], ["TRUE", "true", "x"]),
        (["0.50", "0.5", "1"], ["0.5", "0.50", "1"]),
    ],
)
def test_whole_columns_that_programs_write_in_their_own_way(
    cells: list[str], names: list[str], tmp_path: Path
) -> None:
    """Check that a column of whole numbers with gaps, and one of flags, have the names they always had."""
    made = plates(rows=9).assign(label=np.tile(np.repeat(np.array(cells, object), 3), 3))
    if cells[2] in ("", "NA"):  # all labels of the last batch are missing
        labels = np.where(made["batch"] == "c", cells[2], np.array(cells[:2], object)[np.arange(27) % 2])
        made["label"] = labels
    assert table(made, tmp_path).classes == names


def test_labels_of_one_file_a_batch_are_text(tmp_path: Path) -> None:
    for name, labels in (("1", ("0", "1")), ("2", ("0.0", "1.0")), ("3", ("00", "1"))):
        plates(labels).drop(columns="batch").to_csv(tmp_path / f"{name}.csv", index=False)
    files = {name: {"path": str(tmp_path / f"{name}.csv")} for name in ("2", "1")}
    study = load_csv_study("t", files, "label", {"0": "control", "1": "case"})
    assert list(study.batches) == ["1", "2"]
    with pytest.raises(DataError, match="label '00' is none of the classes 0, 1"):
        load_csv_study("t", files | {"3": {"path": str(tmp_path / "3.csv")}}, "label", {"0": "a", "1": "b"})


def test_features_that_files_spell_differently(tmp_path: Path) -> None:
    made = plates()
    made[made["batch"] != "c"].to_csv(tmp_path / "one.csv", index=False)
    made[made["batch"] == "c"].rename(columns={"mz_1": "MZ_1"}).to_csv(tmp_path / "two.csv", index=False)
    paths = [str(tmp_path / f"{name}.csv") for name in ("one", "two")]
    study = load_table_study("t", paths, "batch", "label")
    assert list(study.features) == ["mz_0", "mz_2"]
    assert "features 'mz_1' and 'MZ_1' differ only by case" in told(study)["names_alike"]
    said = told(study)["features_not_shared"]
    assert "2 of 4 features are not in every file and are left out: 'mz_1', 'MZ_1'." in said


def test_features_that_one_file_spells_alike(tmp_path: Path) -> None:
    study = table(plates().rename(columns={"mz_0": "100.10", "mz_1": "100.1", "mz_2": "Mz "}), tmp_path)
    assert len(study.features) == 3
    (found,) = [one.text for one in study.cautions if one.code == "names_alike"]
    assert "features '100.10' and '100.1' differ only by case, space, Unicode form or number" in found


def test_positions_are_in_natural_order_in_every_reader(tmp_path: Path) -> None:
    parts = {"10": "a", "2": "b", "1": "c"}
    made = with_batches(tuple(parts))
    for name in parts:
        made[made["batch"] == name].drop(columns="batch").to_csv(tmp_path / f"{name}.csv", index=False)
        obs = {"kind": made[made["batch"] == name]["label"].tolist()}
        x = made[made["batch"] == name].filter(like="mz_").to_numpy()
        write_h5ad(tmp_path / f"{name}.h5ad", obs, ["mz_0", "mz_1", "mz_2"], x)
    files = {kind: [str(tmp_path / f"{name}.{kind}") for name in parts] for kind in ("csv", "h5ad")}
    named = {name: {"path": path} for name, path in zip(parts, files["csv"], strict=True)}
    classes = {label: label for label in sorted(set(made["label"]))}
    for study in (
        load_table_study("t", files["csv"], None, "label"),
        load_h5ad_study("t", files["h5ad"], None, "kind"),
        load_csv_study("t", named, "label", classes),
        table(made, tmp_path),
    ):
        assert list(study.batches) == ["1", "2", "10"]


def test_the_log_of_a_run_names_its_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with_batches(("plate 10", "plate 9", "plate 1")).to_csv(tmp_path / "t.csv", index=False)
    run(
        compose(
            "dataset=table",
            f"dataset.path={tmp_path / 't.csv'}",
            f"out={tmp_path}",
            "split='12_3'",
            *fast("baseline"),
            "method=baseline",
        )
    )
    assert "sources plate 1, plate 9; targets plate 10" in caplog.text


def test_names_on_paper() -> None:
    assert visible(" a\u200b  b ") == "a b"
    assert plain("007.0") == plain("7")
    assert plain("STRASSE") == plain("stra\u00dfe")
    assert groups(["1", "1", "2"]) == []
    assert groups(["a", "b", "A"]) == [["a", "A"]]


def test_an_index_of_a_parquet_file_may_be_named(tmp_path: Path) -> None:
    made = plates().assign(id=[f"s{i}" for i in range(36)])
    made.set_index("id").sample(frac=1, random_state=0).to_parquet(tmp_path / "t.parquet")
    study = load_table_study("t", str(tmp_path / "t.parquet"), "batch", "label", sample="id")
    assert list(study.features) == ["mz_0", "mz_1", "mz_2"]
    for name, batch in study.batches.items():
        rows = made.set_index("id").loc[list(batch.names)]
        assert set(rows["batch"]) == {name}
        np.testing.assert_array_equal(batch.x, rows.filter(like="mz_"))
    with pytest.raises(CalibError, match="has no column 'ids'"):
        load_table_study("t", str(tmp_path / "t.parquet"), "batch", "label", sample="ids")


UNFIT = ("\x00", "\r")
PLACES = ("batch", "label", "person", "id", "feature")


def with_sign(sign: str, place: str) -> pd.DataFrame:
    """Return plates in which one name at a place holds a sign in its middle."""
    made = plates().assign(person=[f"p{i}" for i in range(36)], id=[f"s{i}" for i in range(36)])
    if place == "feature":
        return made.rename(columns={"mz_1": f"mz{sign}_1"})
    found = made[place].iloc[7]
    return made.assign(**{place: made[place].replace(found, f"{found[:1]}{sign}{found[1:]}x")})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("sign", UNFIT)
def test_signs_that_cannot_be_kept_in_the_names_of_a_table(
    sign: str, kind: str, place: str, tmp_path: Path
) -> None:
    if kind == "csv" and sign == "\r":
        return  # the line ends there, which is another fault
    made, file = with_sign(sign, place), tmp_path / f"t.{kind}"
    made.to_parquet(file) if kind == "parquet" else made.to_csv(file, index=False)
    with pytest.raises(DataError, match=rf"U\+{ord(sign):04X}.*; remove it\.$") as error:
        load_table_study("t", str(file), "batch", "label", subject="person", sample="id")
    where = r"header of column 4|line 1, column 4" if place == "feature" else f"column '{place}'"
    assert re.search(rf"File {re.escape(str(file))}, .*{where}", str(error.value))


@pytest.mark.parametrize("place", ["batch", "label", "person", "feature"])
def test_signs_that_cannot_be_kept_in_the_names_of_an_h5ad_file(place: str, tmp_path: Path) -> None:
    made = with_sign("\r", place)
    obs = {column: made[column].tolist() for column in ("batch", "label", "person")}
    peaks = made.iloc[:, 2:5]
    file = write_h5ad(tmp_path / "t.h5ad", obs, list(peaks.columns), peaks.to_numpy())
    where = "index of var" if place == "feature" else f"column '{place}' of obs"
    with pytest.raises(DataError, match=rf"t.h5ad, {where}: the name '.*' has the sign U\+000D, which"):
        load_h5ad_study("t", str(file), "batch", "label", subject="person")


def test_signs_that_cannot_be_kept_in_one_file_a_batch_and_in_settings(tmp_path: Path) -> None:
    files: dict[str, Any] = {}
    for name, part in with_sign("\x00", "label").groupby("batch"):
        part[["label", "mz_0"]].to_csv(tmp_path / f"{name}.csv", index=False)
        files[str(name)] = {"path": str(tmp_path / f"{name}.csv")}
    with pytest.raises(DataError, match=r"a.csv, line 3, column 'label': there is a NUL sign"):
        load_csv_study("t", files, "label", {"case": "case", "control": "control"})
    with pytest.raises(DataError, match=r"dataset.files: the name 'a\\x00' has the sign U\+0000"):
        load_csv_study("t", {"a\0": files["a"], "b": files["b"]}, "label", {"case": "a", "control": "b"})
    with pytest.raises(DataError, match=r"dataset.classes.case: the name 'a\\x00' has the sign"):
        table(plates(), tmp_path, classes={"case": "a\0", "control": "b"})


def test_tabs_and_line_breaks_in_names_stay(tmp_path: Path) -> None:
    """Check that the headers of spreadsheets, which often have line breaks, reach record and predictions."""
    made = with_batches(("a\nb", "a\tb", "c")).rename(columns={"mz_1": "Glucose\n[mM]"})
    made.to_csv(tmp_path / "t.csv", index=False)
    where = ["dataset=table", f"dataset.path={tmp_path / 't.csv'}", f"out={tmp_path}", "split=all"]
    for result in run(compose(*where, *fast("baseline"), "method=baseline")):
        assert set(result["sources"]) | set(result["targets"]) == {"a\nb", "a\tb", "c"}
    for file in tmp_path.rglob("predictions.csv"):
        assert set(pd.read_csv(file)["batch"]) <= {"a\nb", "a\tb", "c"}
