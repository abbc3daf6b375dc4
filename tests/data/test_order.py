"""The order of measurement and missing values: readers keep them beside the values, and no method sees them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.mix import Mix, mixed
from calib.data.split import parse_split
from calib.data.study import Study
from calib.errors import DataError
from tests.conftest import compose

ROWS = 24
HOLES = ((3, "g"), (3, "h"), (20, "f"))


def table() -> pd.DataFrame:
    """Return a table whose rows are not in the order of its plates, with an order and missing values."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.lognormal(5, 1, (ROWS, 4)), columns=list("fghi"))
    for row, column in HOLES:
        made.loc[row, column] = np.nan
    made.insert(0, "plate", ["a", "b", "c"] * 8)
    made.insert(1, "label", ["x"] * 12 + ["y"] * 12)
    made.insert(2, "run", rng.permutation(ROWS) + 0.5)
    made.insert(3, "name", [f"s{i}" for i in range(ROWS)])
    made.loc[5, "run"] = np.nan
    return made


def check(study: Study, rows: pd.DataFrame) -> None:
    """Check that a study has the order and the missing values of the table, sample by sample."""
    rows = rows.set_index("name")
    for batch in study.batches.values():
        assert batch.names is not None
        assert batch.order is not None
        of_batch = rows.loc[list(batch.names)]
        assert np.array_equal(batch.order, of_batch["run"], equal_nan=True)
        missing = of_batch[list(study.features)].isna().to_numpy()
        assert np.array_equal(study.missing.get(batch.name, np.zeros_like(missing)), missing)
        assert missing.any() == (batch.name in study.missing)


COMMON = ("dataset.batch=plate", "dataset.label=label", "dataset.impute=median", "dataset.sample=name")


def read_table(folder: Path, rows: pd.DataFrame, *overrides: str) -> Study:
    rows.to_csv(folder / "t.csv", index=False)
    path = f"dataset.path={folder / 't.csv'}"
    study: Study = build(compose("dataset=table", path, *COMMON, *overrides).dataset)
    return study


def test_a_table(tmp_path: Path) -> None:
    study = read_table(tmp_path, table(), "dataset.order=run")
    assert study.features == list("fghi")
    check(study, table())
    without = read_table(tmp_path, table(), "dataset.ignore=[run]")
    assert without.sha256() == study.sha256()
    assert {batch.order for batch in without.batches.values()} == {None}


def test_samples_without_a_label_take_theirs_along(tmp_path: Path) -> None:
    rows = table()
    rows.loc[[0, 3, 20], "label"] = None
    study = read_table(tmp_path, rows, "dataset.order=run")
    assert "a (unlabelled)" in study.batches
    check(study, rows)


def test_features_that_are_left_out_take_theirs_along(tmp_path: Path) -> None:
    rows = table()
    rows.loc[rows["plate"] == "a", "f"] = np.nan
    left = read_table(tmp_path, rows, "dataset.order=run")
    assert left.features == list("ghi")
    check(left, rows)
    filled = read_table(tmp_path, rows, "dataset.order=run", "dataset.missing_features=other_batches")
    assert filled.missing["a"][:, 0].all()
    check(filled, rows)


def test_a_matrix(tmp_path: Path) -> None:
    rows = table()
    rows[["name", *"fghi"]].to_csv(tmp_path / "x.csv", index=False)
    rows[["name", "plate", "label", "run"]].iloc[::-1].to_csv(tmp_path / "t.csv", index=False)
    files = (f"dataset.values={tmp_path / 'x.csv'}", f"dataset.table={tmp_path / 't.csv'}")
    config = compose("dataset=matrix", *files, "dataset.samples=rows", *COMMON, "dataset.order=run")
    check(build(config.dataset), rows)


def test_an_h5ad_file(tmp_path: Path) -> None:
    made_h5ad = pytest.importorskip("tests.made_h5ad")
    rows = table().fillna(dict.fromkeys("fghi", 1.0))
    obs, x = rows[["plate", "label", "run"]], rows[list("fghi")].to_numpy()
    made_h5ad.write_h5ad(tmp_path / "t.h5ad", obs, list("fghi"), x, cells=list(rows["name"]))
    path = f"dataset.path={tmp_path / 't.h5ad'}"
    config = compose("dataset=h5ad", path, "dataset.batch=plate", "dataset.label=label", "dataset.order=run")
    check(build(config.dataset), rows)


def test_an_order_that_is_none_is_refused(tmp_path: Path) -> None:
    rows = table().assign(run="Monday")
    with pytest.raises(DataError, match="column 'run': 'Monday' is not a number"):
        read_table(tmp_path, rows, "dataset.order=run")
    with pytest.raises(DataError, match="no column 'runs', which dataset.order names"):
        read_table(tmp_path, table(), "dataset.order=runs")


def test_drawn_targets_take_theirs_along(tmp_path: Path) -> None:
    study = read_table(tmp_path, table(), "dataset.order=run")
    drawn, _ = mixed(study, parse_split("12_3", study), Mix(share=0.3))
    assert drawn.missing == {}
    batch, rows = drawn.batches["c"], table().set_index("name")
    assert batch.names is not None
    assert np.array_equal(batch.order, rows.loc[list(batch.names), "run"], equal_nan=True)  # type: ignore[arg-type]
    assert replace(study, missing={}).sha256() == study.sha256()
