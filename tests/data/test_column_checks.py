"""Tests that columns which are no measurements are named, and that measurements are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.column_checks import findings
from calib.data.csv_per_batch import load_csv_study
from calib.data.study import Batch, Study
from calib.data.table_study import load_table_study
from tests.conftest import compose

ROWS = 40


def measured(rng: np.random.Generator, features: int = 30, rows: int = ROWS) -> pd.DataFrame:
    """Return plates of measurements with a strong batch effect and a class difference in a few features."""
    y = np.tile(np.arange(rows) % 2, 3)
    plate = np.repeat(["a", "b", "c"], rows)
    x = rng.normal(size=(3 * rows, features)) + np.repeat(rng.normal(0, 4, (3, features)), rows, axis=0)
    x[:, :3] += y[:, None]
    made = pd.DataFrame(x, columns=[f"mz_{i}" for i in range(features)])
    made.insert(0, "label", np.where(y == 1, "case", "control"))
    made.insert(0, "plate", plate)
    return made


def numbered(t: pd.DataFrame) -> np.ndarray:
    return (t["label"] == "case").to_numpy(float)


Make = Callable[[pd.DataFrame, np.random.Generator], Any]
COLUMNS: dict[str, tuple[str, Make]] = {
    "dx": ("label", lambda t, rng: numbered(t)),
    "dx_scaled": ("label", lambda t, rng: 5 - 2 * numbered(t)),
    "dx_noisy": ("label", lambda t, rng: numbered(t) + rng.normal(0, 0.05, len(t))),
    "dx_one_wrong": ("label", lambda t, rng: np.where(np.arange(len(t)) == 7, 0.5, numbered(t))),
    "dx_codes": ("label", lambda t, rng: numbered(t) + 2 * rng.integers(0, 3, len(t))),
    "clock": ("label", lambda t, rng: 50 * t["plate"].map({"a": 0, "b": 1, "c": 2}) + 20 * numbered(t) + rng.uniform(0, 15, len(t))),
    "turned": ("label", lambda t, rng: np.where(t["plate"] == "b", -1, 1) * numbered(t) + rng.normal(0, 0.05, len(t))),
    "platform": ("batch", lambda t, rng: t["plate"].map({"a": 3, "b": 1, "c": 2})),
    "once_moved": ("batch", lambda t, rng: np.where(np.arange(len(t)) == 7, 1, t["plate"].map({"a": 3, "b": 1, "c": 2}))),
    "dilution": ("constant", lambda t, rng: 2.5),
    "zero": ("constant", lambda t, rng: 0),
    "injected": ("monotone", lambda t, rng: np.arange(len(t))),
    "minutes": ("monotone", lambda t, rng: np.tile(np.arange(ROWS)[::-1] * 1.5, 3)),
    "shuffled": ("id", lambda t, rng: rng.permutation(len(t))),
    "barcode": ("id", lambda t, rng: rng.choice(10**6, len(t), replace=False)),
    "vial": ("id", lambda t, rng: np.concatenate([rng.permutation(ROWS) for _ in range(3)])),
    "Age": ("name", lambda t, rng: rng.integers(20, 80, len(t))),
    "Run order": ("monotone", lambda t, rng: np.arange(len(t))),
    "subject_id": ("name", lambda t, rng: rng.integers(0, 12, len(t))),
    "AGE_years": ("name", lambda t, rng: rng.integers(20, 80, len(t))),
    "age at diagnosis": ("name", lambda t, rng: rng.integers(20, 80, len(t))),
}  # fmt: skip


def study_of(made: pd.DataFrame) -> Study:
    features = [c for c in made if c not in ("plate", "label")]
    batches = {
        str(plate): Batch(str(plate), part[features].to_numpy(float), numbered(part).astype(np.int64))
        for plate, part in made.groupby("plate")
    }
    return Study("t", batches, features, ["control", "case"])


@pytest.mark.parametrize("column", COLUMNS)
def test_each_kind_of_column_is_named_and_no_other(column: str) -> None:
    kind, make = COLUMNS[column]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        made = measured(rng)
        made[column] = make(made, rng)
        found = [(finding.kind, list(finding.columns)) for finding in findings(study_of(made))]
        assert found == [(kind, [column])]


DATA: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "intensities": lambda rng, shape: rng.gamma(2, 500, shape),
    "rounded intensities": lambda rng, shape: np.round(rng.gamma(2, 50_000, shape)),
    "counts": lambda rng, shape: rng.poisson(1, shape).astype(float),
    "sparse counts": lambda rng, shape: rng.poisson(0.05, shape) + (np.arange(shape[0])[:, None] == 0),
    "logarithms": lambda rng, shape: np.round(rng.normal(8, 2, shape), 4),
    "batch effects": lambda rng, shape: rng.normal(size=shape) + 20 * np.arange(shape[0])[:, None] // 40,
    "shares": lambda rng, shape: rng.dirichlet(np.full(shape[1], 0.1), shape[0]),
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("features", [5, 300])
def test_measurements_are_not_named(kind: str, features: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        made = measured(rng, features)
        made.loc[:, made.columns[2:]] = DATA[kind](rng, (len(made), features))
        assert [f for f in findings(study_of(made)) if f.kind not in ("constant",)] == []


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_rows_prove_nothing(rows: int) -> None:
    made = measured(np.random.default_rng(0), 200, rows)
    assert findings(study_of(made)) == []


def test_unlabelled_studies_and_several_classes() -> None:
    rng = np.random.default_rng(0)
    made = measured(rng)
    made["plate_number"] = made["plate"].map({"a": 1, "b": 2, "c": 3})
    study = study_of(made)
    bare = Study("t", {n: Batch(n, b.x) for n, b in study.batches.items()}, study.features, study.classes)
    assert [(f.kind, list(f.columns)) for f in findings(bare)] == [("batch", ["plate_number"])]
    y = rng.integers(0, 3, (3, ROWS))
    three = {
        n: Batch(n, np.column_stack([b.x[:, 0], y[i]]), y[i])
        for i, (n, b) in enumerate(study.batches.items())
    }
    found = findings(Study("t", three, ["mz_0", "code"], ["x", "y", "z"]))
    assert [(f.kind, list(f.columns)) for f in found] == [("label", ["code"])]


def test_real_studies_are_not_warned_of(data_dir: Path) -> None:
    for name in ("mi", "chd"):
        assert not build(compose(f"dataset={name}").dataset).cautions


def test_the_warning_says_what_to_do(tmp_path: Path) -> None:
    made = measured(np.random.default_rng(0))
    made["dx copy"] = numbered(made)
    made.to_csv(tmp_path / "t.csv", index=False)
    (found,) = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label").cautions
    assert found.code == "column_label"
    assert "Study 't': the column 'dx copy' alone tells the label" in found.text
    assert "dataset.ignore=['dx copy']" in found.text
    assert not load_table_study("t", str(tmp_path / "t.csv"), "plate", "label", ignore=["dx copy"]).cautions
    files = {}
    for plate, part in made.groupby("plate"):
        part.drop(columns="plate").to_csv(tmp_path / f"{plate}.csv", index=False)
        files[str(plate)] = {"path": str(tmp_path / f"{plate}.csv")}
    (found,) = load_csv_study("t", files, "label", {"control": "control", "case": "case"}).cautions
    assert "'dx copy' alone tells the label" in found.text


@pytest.mark.parametrize("header", ["", " ", "Unnamed: 0", "...1"])
def test_columns_without_a_name_are_left_out(header: str, tmp_path: Path) -> None:
    made = measured(np.random.default_rng(0)).sort_values(["plate", "label"])
    made.insert(0, "first", range(len(made)))
    text = made.to_csv(index=False).replace("first", header, 1)
    (tmp_path / "t.csv").write_text(text)
    study = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label")
    assert len(study.features) == 30
    assert "1 column without a name left out" in study.cautions[0].text
    if header.strip():  # what is named in the settings is taken at its word
        ignored = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label", ignore=[header])
        assert len(ignored.features) == 30
        assert not ignored.cautions
        asked = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label", features=[header, "mz_*"])
        assert len(asked.features) == 31
    by_pattern = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label", features="mz_*")
    assert len(by_pattern.features) == 30


def test_several_columns_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        ",plate,label,f,,\n"
        + "".join(f"s{i},{'ab'[i % 2]},{'xy'[i // 2 % 2]},{i % 7},,{i}\n" for i in range(24))
    )
    study = load_table_study("t", str(tmp_path / "t.csv"), "plate", "label")
    assert list(study.features) == ["f"]
    assert [one.code for one in study.cautions] == ["columns_without_name"]
    assert "3 columns without a name left out" in study.cautions[0].text
