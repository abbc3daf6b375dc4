"""Table 3: the paper's numbers, and rows of their own for the parts of the pancreas study that can be had."""

from itertools import product

import pandas as pd
import pytest

from calib.report.exhibits import MISSING, Table
from calib.report.groups import CONVERGED
from calib.report.table_three import table_three

THREE = [("12_3", "3"), ("13_2", "2"), ("23_1", "1")]
FIVE = [("1234_5", "5"), ("1235_4", "4"), ("1245_3", "3"), ("1345_2", "2"), ("2345_1", "1")]


def results(
    study: str, lines: list[tuple[str, str]], method: str, variant: str, value: float
) -> pd.DataFrame:
    """Return made results of two seeds, which differ by .02."""
    return pd.DataFrame(
        [
            {
                "study": study,
                "split": split,
                "target": target,
                "method": method,
                "variant": variant,
                "protocol": "paper",
                "seed": seed,
                "accuracy": value + 0.02 * seed,
            }
            for (split, target), seed in product(lines, (0, 1))
        ]
    )


@pytest.fixture
def table() -> Table:
    made = [
        results("pancreas_mini", THREE, "joint", "", 0.2),
        results("pancreas_mini", THREE, "joint", CONVERGED, 0.9),
        results("pancreas_mini", THREE, "baseline", CONVERGED, 0.8),
        results("pancreas_1000", FIVE[:4], "joint", CONVERGED, 0.7),
        results("mi", THREE, "joint", "", 0.99),
    ]
    lines = {
        "mi": {"": THREE},
        "pancreas_mini": {"": THREE, CONVERGED: THREE},
        "pancreas_1000": {"": FIVE, CONVERGED: FIVE},
    }
    return table_three(pd.concat(made), lines, "paper")


def rows(table: Table, study: str, rates: str) -> list[dict[str, str]]:
    return [dict(zip(table.heads, row, strict=True)) for row in table.rows if row[:2] == [study, rates]]


def test_the_printed_numbers_stand_alone(table: Table) -> None:
    """No number of other cells stands in a row of the paper's study, nor a printed one in a row of others."""
    paper = rows(table, "pancreas", "as printed")
    assert [row[""] for row in paper] == ["printed", "ours", "difference"] * 4
    assert [paper[0]["sources"], paper[0]["target"], paper[0]["Joint"]] == ["12", "3", "0.428 (2)"]
    assert paper[-3]["sources"] == "average"
    assert paper[-3]["Joint"] == "0.371 (1)"
    assert all(row["Joint"] == MISSING for row in paper if row[""] != "printed")
    numbers = table.numbers
    assert numbers[numbers["study"] != "pancreas"]["printed"].isna().all()
    assert "mi" not in set(numbers["study"])
    assert "not the paper's" in table.caption
    assert "4036 cells" in table.caption


def test_each_part_has_rows_for_both_rates(table: Table) -> None:
    printed, converged = (rows(table, "pancreas_mini", rates) for rates in ("as printed", "converged"))
    assert [row["Joint"] for row in printed] == ["0.210 ± 0.014"] * 4
    assert [row["Joint"] for row in converged] == ["0.910 ± 0.014 (1)"] * 4
    assert [row["Baseline"] for row in converged] == ["0.810 ± 0.014 (2)"] * 4
    assert [(row["sources"], row["target"]) for row in converged] == [
        ("12", "3"),
        ("13", "2"),
        ("23", "1"),
        ("average", ""),
    ]


def test_five_protocols_are_left_out_one_at_a_time_and_a_gap_leaves_no_average(table: Table) -> None:
    five = rows(table, "pancreas_1000", "converged")
    assert [row["sources"] for row in five] == ["1234", "1235", "1245", "1345"]
    assert rows(table, "pancreas_1000", "as printed") == []
    average = table.numbers[
        (table.numbers["study"] == "pancreas_1000") & (table.numbers["sources"] == "average")
    ]
    assert average.empty
