"""Tests that every row of a table keeps its own values and label, whatever index its file carries."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.data.table_study import load_table_study
from calib.errors import DataError

INDEXES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "row numbers": lambda t: t,
    "shuffled": lambda t: t.sample(frac=1, random_state=1),
    "sample names": lambda t: t.set_axis([f"s{i}" for i in range(len(t))]),
    "put together": lambda t: pd.concat([part.reset_index(drop=True) for _, part in t.groupby("batch")]),
    "filtered": lambda t: t[t["f0"] > 0],
    "two levels": lambda t: t.set_index([t["batch"].rename("plate"), t["f0"].rename("well")]),
    "times": lambda t: t.set_axis(pd.date_range("2020-01-01", periods=len(t))[::-1]),
}


def interleaved() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    batch = np.array(["a", "b", "c"], object)[np.arange(60) % 3]
    made = pd.DataFrame(rng.normal(size=(60, 3)), columns=["f0", "f1", "f2"])
    made.insert(0, "label", np.where(np.arange(60) // 3 % 2, "case", "control"))
    made.insert(0, "batch", batch)
    return made


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("index", INDEXES)
def test_rows_keep_their_values(index: str, kind: str, tmp_path: Path) -> None:
    made = INDEXES[index](interleaved())
    file = tmp_path / f"t.{kind}"
    made.to_parquet(file) if kind == "parquet" else made.to_csv(file, index=False)
    study = load_table_study("rows", str(file), "batch", "label")
    assert list(study.features) == ["f0", "f1", "f2"]
    for name, batch in study.batches.items():
        rows = made[made["batch"] == name]
        np.testing.assert_array_equal(batch.x, rows[["f0", "f1", "f2"]].to_numpy())
        assert [study.classes[y] for y in batch.y] == list(rows["label"])


@pytest.mark.parametrize("first", [0, 1, 7], ids=str)
@pytest.mark.parametrize("step", [1, 3])
def test_row_numbers_without_a_heading_shift_no_column(first: int, step: int, tmp_path: Path) -> None:
    """Check files as R's write.table writes them, with a name less in the header than cells in a row."""
    made = interleaved().set_axis(range(first, first + 60 * step, step))
    (tmp_path / "t.csv").write_text(made.to_csv()[1:])
    with pytest.raises(DataError, match="line 2 has 6 cells and the header 5; name every column"):
        load_table_study("rows", str(tmp_path / "t.csv"), "batch", "label")


@pytest.mark.parametrize("column", [1.0, 2.5])
def test_separators_at_the_ends_of_rows_shift_no_column(column: float, tmp_path: Path) -> None:
    """Check rows that end in a separator, whose first cells count up as row numbers do."""
    made = interleaved()
    made.insert(0, "mz", np.arange(60) * column)
    header, *rows = made.to_csv(index=False).splitlines()
    (tmp_path / "t.csv").write_text("\n".join([header, *(f"{row}," for row in rows)]))
    study = load_table_study("rows", str(tmp_path / "t.csv"), "batch", "label")
    assert list(study.features) == ["mz", "f0", "f1", "f2"]
    for name, batch in study.batches.items():
        np.testing.assert_array_equal(batch.x, made[made["batch"] == name].iloc[:, [0, 3, 4, 5]].to_numpy())
