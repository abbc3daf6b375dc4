"""Tests of the patterns that choose columns: exact names win, and only ``*`` and ``?`` are special."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.data.table_files import fitting, matching
from calib.data.table_study import load_table_study
from calib.errors import DataError

COLUMNS = ["[M+H]*", "[M+H]1", "M1", "H2", "m.1", "mx1", "a*", "ab", "a?", "7", "a\nb", "MZ_1", "mz_1"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[M+H]*", ["[M+H]*"]),
        ("[M+H]?", ["[M+H]*", "[M+H]1"]),
        ("[MH]?", []),
        ("m.1", ["m.1"]),
        ("m?1", ["m.1", "mx1"]),
        ("a*", ["a*"]),
        ("a?", ["a?"]),
        ("?b", ["ab"]),
        ("a*b", ["ab", "a\nb"]),
        ("mz_*", ["mz_1"]),
        ("*", COLUMNS),
        (7, ["7"]),
        ("!7", []),
        ("", []),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    assert [COLUMNS[place] for place in fitting(COLUMNS, pattern)] == expected


def test_several_patterns_keep_the_order_of_the_file() -> None:
    assert matching(COLUMNS, ["mz_1", "M?", "[M+H]?"], "t.csv").tolist() == [0, 1, 2, 12]
    with pytest.raises(DataError, match=r"dataset.features=\[M\*\]x fits none of its 13 columns"):
        matching(COLUMNS, ["[M*]x"], "t.csv")


def test_adducts_in_a_table(tmp_path: Path) -> None:
    made = pd.DataFrame(
        np.random.default_rng(0).normal(size=(12, 4)), columns=["[M+H]1", "[M+H]2", "[M-H]1", "M1"]
    )
    made.assign(batch=["a", "b"] * 6, label=["x", "x", "y", "y"] * 3).to_csv(tmp_path / "t.csv", index=False)
    study = load_table_study("t", str(tmp_path / "t.csv"), "batch", "label", features="[M+H]*")
    assert list(study.features) == ["[M+H]1", "[M+H]2"]
    study = load_table_study("t", str(tmp_path / "t.csv"), "batch", "label", ignore=["[M-H]*", "M1"])
    assert list(study.features) == ["[M+H]1", "[M+H]2"]
