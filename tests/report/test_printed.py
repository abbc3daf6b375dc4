"""The paper's tables: a tiny tree of records gives exactly the committed files; ranks, gaps and odd names."""

import json
from pathlib import Path

import pandas as pd
import pytest

from calib.report.costs import cost_table
from calib.report.exhibits import MISSING, Table, latex, markdown, write_table
from calib.report.paper import ONE_SOURCE
from calib.report.printed import printed_tables
from calib.report.results import result_rows
from calib.report.side_by_side import Heading, table_beside
from tests.conftest import ROOT

GOLDEN = ROOT / "tests" / "golden" / "report"
LINES = {
    "": [("12_3", "3"), ("13_2", "2"), ("23_1", "1")],
    ONE_SOURCE: [("1_23", "2"), ("1_23", "3"), ("2_13", "1"), ("2_13", "3"), ("3_12", "1"), ("3_12", "2")],
}


def results() -> pd.DataFrame:
    files = sorted(GOLDEN.glob("runs/*/*/*/result.json"))
    found = [json.loads(file.read_text()) for file in files]
    return pd.DataFrame(
        [
            {"variant": ONE_SOURCE if len(result["split"].partition("_")[0]) == 1 else "", "walks": ""} | row
            for result in found
            for row in result_rows(result)
        ]
    )


def tables() -> list[Table]:
    made = [t for protocol in ("paper", "released") for t in printed_tables(results(), LINES, "mi", protocol)]
    return [*made, cost_table(results(), "mi")]


def test_a_tiny_tree_of_records_gives_exactly_the_committed_tables(tmp_path: Path) -> None:
    for table in tables():
        write_table(table, tmp_path)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    committed = {f.name: f.read_text(encoding="utf-8") for f in (GOLDEN / "tables").iterdir()}
    assert made == committed


def cell(table: Table, *key: str) -> dict[str, object]:
    chosen = table.numbers
    for name, value in zip(("sources", "target", "column"), key, strict=True):
        chosen = chosen[chosen[name] == value]
    (row,) = chosen.to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_a_cell_has_the_paper_s_number_ours_and_their_difference() -> None:
    (table,) = [t for t in tables() if t.name == "table_1b_paper"]
    joint = cell(table, "12", "3", "Joint")
    assert joint["printed"] == 0.774
    assert joint["ours"] == pytest.approx((0.822 + 0.809) / 2)
    assert joint["sd"] == pytest.approx(0.013 / 2**0.5)
    assert joint["difference"] == pytest.approx(joint["ours"] - 0.774)
    assert (joint["printed_rank"], joint["rank"], joint["seeds"]) == (3, 2, 2)


def test_an_average_takes_only_seeds_that_have_every_line() -> None:
    (table,) = [t for t in tables() if t.name == "table_1b_paper"]
    assert cell(table, "13", "2", "ComBat")["seeds"] == 1
    assert cell(table, "average", "average", "ComBat")["seeds"] == 1
    assert cell(table, "average", "average", "Joint")["seeds"] == 2
    (other,) = [t for t in tables() if t.name == "table_1b_released"]
    average = cell(other, "average", "average", "Joint")
    assert (average["printed"], average["seeds"]) == (0.816, 0)


def test_what_is_missing_is_a_dash_and_a_reference_has_no_rank() -> None:
    (table,) = [t for t in tables() if t.name == "table_1b_paper"]
    ours = dict(zip(table.heads, table.rows[1], strict=True))
    assert ours["NormAE"] == MISSING
    assert "(" not in ours["CrossValid †"]
    assert "NormAE, BERMUDA, DESC, Recon_T" in table.caption
    assert "not run" in table.caption


def test_pairwise_is_averaged_over_its_sources() -> None:
    (table,) = [t for t in tables() if t.name == "table_1a_paper"]
    numbers = table.numbers
    (row,) = numbers[
        (numbers["target"] == "2") & (numbers["metric"] == "ACC") & (numbers["column"] == "Pairwise")
    ].to_dict("records")
    assert row["ours"] == pytest.approx((0.722 + 0.726) / 2)
    assert row["printed"] == 0.777


def test_a_source_that_was_not_run_leaves_no_pairwise_mean() -> None:
    part = results()
    part = part[part["split"] != "1_23"]
    (table,) = [t for t in printed_tables(part, LINES, "mi", "paper") if t.name == "table_1a_paper"]
    numbers = table.numbers[(table.numbers["column"] == "Pairwise") & (table.numbers["metric"] == "ACC")]
    assert numbers.set_index("target")["seeds"].to_dict() == {"1": 1, "2": 0, "3": 0}


def test_another_study_has_the_same_tables_without_printed_numbers() -> None:
    named = results().assign(study="mine", split="plate_1+b c:x", target="x", seed=0)
    named = named[named["variant"] == ""].drop_duplicates(["method", "protocol"])
    made = printed_tables(named, {"": [("plate_1+b c:x", "x")]}, "mine", "paper")
    assert [table.name for table in made] == ["table_metrics_mine_paper", "table_accuracy_mine_paper"]
    assert made[1].rows[0][:3] == ["plate_1+b c", "x", "ours"]
    assert all(row[-1] != MISSING for row in made[1].rows)


def test_equal_to_three_digits_is_an_equal_rank() -> None:
    heading = Heading("", "x", "x", ("row",), "", "")
    columns = {"A": {("r",): {0: 0.80041}}, "B": {("r",): {0: 0.80012}}, "C": {("r",): {0: 0.7}}}
    (row,) = table_beside(heading, [("r",)], columns, {}).rows
    assert row == ["r", "ours", "0.800 (1)", "0.800 (1)", "0.700 (3)"]


def test_names_are_no_markup() -> None:
    odd = r"a_b & 50 % \x{} <y> ~^#$"
    table = Table("odd", odd, odd, ["x|y", odd], [[odd, "−0.1 ± 0.2"]], pd.DataFrame({"a": [1]}))
    text = latex(table)
    assert r"a\_b \& 50 \% \textbackslash{}x\{\} \textless{}y\textgreater{}" in text
    assert r"$-$0.1 $\pm$ 0.2" in text
    assert markdown(["x|y"], [["a|b\nc"]]).splitlines() == [r"| x\|y |", "| --- |", r"| a\|b c |"]


def test_a_method_that_the_paper_has_not_has_no_column() -> None:
    more = results()
    mine = more[more["method"] == "joint"].assign(method="mine")
    alone, beside = (printed_tables(one, LINES, "mi", "paper") for one in (more, pd.concat([more, mine])))
    assert [table.heads for table in beside] == [table.heads for table in alone]
