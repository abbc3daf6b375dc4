"""Tests that a warning of the reading reaches the terminal once, and every record, log and page."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calib.data.cautions import Caution, listed, note, noting, some
from calib.data.checks import cautions
from calib.data.column_checks import CAUSES
from calib.data.simulate import simulate
from calib.data.split import parse_split
from calib.data.table_study import load_table_study
from calib.errors import CalibError
from calib.report.cautions_table import cautions_section
from calib.runs.experiment import run
from tests.conftest import ROOT, compose, fast
from tests.data.test_settings import plates

CODES = ["not_utf8", "names_alike", "columns_without_name", "column_constant", "column_monotone"]


def doubtful(folder: Path) -> Path:
    """Write a file of which there is much to say."""
    made = plates(rows=16).assign(
        batch=np.repeat(["a", "A", "\u00e9"], 16), dilution=1.5, injection=np.arange(48)
    )
    made.insert(0, "", range(len(made)))
    made.to_csv(folder / "t.csv", index=False, encoding="latin-1")
    return folder / "t.csv"


def test_it_is_kept_by_the_innermost_collection_once(caplog: pytest.LogCaptureFixture) -> None:
    with noting() as outer:
        note("one", "First.")
        with noting() as inner:
            note("two", "Second.")
        note("one", "First.")
    assert outer == [Caution("one", "First.")]
    assert inner == [Caution("two", "Second.")]
    assert not caplog.records
    note("three", "Third.")
    assert caplog.messages == ["Third."]


def test_a_reading_that_fails_says_what_it_has_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CalibError, match="no sample has the positive label 'krank'"):
        load_table_study("t", str(doubtful(tmp_path)), "batch", "label", positive="krank")
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert ["is not UTF-8" in said for said in warned] == [True, False, False]


@pytest.fixture
def made(tmp_path: Path) -> list[str]:
    file = doubtful(tmp_path)
    where = ["dataset=table", f"dataset.path={file}", f"out={tmp_path}", "method=baseline"]
    return [*where, *fast("baseline")]


def codes(result: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in result["warnings"]][: len(CODES)]


def test_it_reaches_terminal_record_log_and_page(
    made: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (result,) = run(compose(*made, "split='12_3'"))
    assert sorted(codes(result)) == sorted(CODES)
    (file,) = tmp_path.glob("runs/*/*/*/result.json")
    assert json.loads(file.read_text())["warnings"] == result["warnings"]
    log = (file.parent / "run.log").read_text()
    section = cautions_section([SimpleNamespace(result=result)])  # type: ignore[list-item]
    assert section is not None
    for warning in result["warnings"]:
        assert caplog.messages.count(warning["text"]) == 1
        assert log.count(f"WARNING {warning['text']}\n") == 1
        assert sum(warning["text"] in row[-1] for row in section.tables[0].rows) == 1
    assert {row[2] for row in section.tables[0].rows} == {"1"}  # runs, not warnings


@pytest.mark.parametrize("again", ["force=false", "force=true"])
def test_a_second_run_keeps_them(again: str, made: list[str], caplog: pytest.LogCaptureFixture) -> None:
    (first,) = run(compose(*made, "split='12_3'"))
    caplog.clear()
    (second,) = run(compose(*made, "split='12_3'", again))
    assert second["warnings"] == first["warnings"]
    for warning in first["warnings"]:
        assert caplog.messages.count(warning["text"]) == 1


def test_the_runs_of_one_reading_all_keep_them_and_say_them_once(
    made: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    results = run(compose(*made, "split=all"))
    assert len(results) == 3
    for result in results:
        assert sorted(codes(result)) == sorted(CODES)
    for warning in results[0]["warnings"][: len(CODES)]:
        assert caplog.messages.count(warning["text"]) == 1


def test_a_file_without_faults_has_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plates(rows=16).to_csv(tmp_path / "t.csv", index=False)
    with caplog.at_level(logging.WARNING):
        assert not load_table_study("t", str(tmp_path / "t.csv"), "batch", "label").cautions
    assert not caplog.records


def test_long_lists() -> None:
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([f"f{i}" for i in range(1005)], 2) == "'f0', 'f1' and 1,003 more"
    assert some(["'a' and 'A'", "'b' and 'B'"], 1) == "'a' and 'A' and 1 more"


def test_every_code_is_documented() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "calib").rglob("*.py"))
    found = set(re.findall(r"(?:note|Caution)\(\s*\"(\w+)\"", sources)) | {
        f"column_{kind}" for kind in CAUSES
    }
    assert {"not_utf8", "labelled_in_part", "one_class_source", "column_id"} < found
    documented = (ROOT / "docs" / "records.md").read_text()
    assert [code for code in sorted(found) if f"`{code}`" not in documented] == []


def test_a_blank_batch_that_a_split_leaves_out_is_named() -> None:
    study, _ = simulate([8, 8, 8, 8], 2, 5, 2, 0.5, 0.3, 0.5, 0.15, 0)
    blank = replace(study, batches=study.batches | {"4": replace(study.batches["4"], y=None)})
    (found,) = [one for one in cautions(blank, parse_split("12_3", blank)) if one.code == "left_out"]
    assert "leaves out what has no labels: '4'. It is not judged" in found.text
    assert "split='1+2+3:4'" in found.text
    assert not [one for one in cautions(blank, parse_split("12_34", blank)) if one.code == "left_out"]
    assert not [one for one in cautions(study, parse_split("12_3", study)) if one.code == "left_out"]
