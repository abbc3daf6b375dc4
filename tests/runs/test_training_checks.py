"""Tests that a training which cannot be used is noticed: in the log, in the record and on the page."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.report.cautions_table import cautions_section
from calib.runs.experiment import run
from calib.runs.training_checks import no_better_than_chance, one_class_of_sources, one_class_of_targets
from tests.conftest import compose

Y = np.arange(20) % 2
STUDY = SimpleNamespace(classes=["control", "case"])


def shares(p: Any) -> np.ndarray:
    """Return class probabilities, given those of the second class."""
    p = np.broadcast_to(p, 20)
    return np.column_stack([1 - p, p])


TOO_SURE = np.where((np.arange(20) < 14) == Y, 0.999, 0.001)
"""Right for 14 of 20 samples, with a loss above that of guessing."""


@pytest.mark.parametrize(
    ("p", "warned"), [(0.5, True), (0.52, True), (np.where(Y, 0.9, 0.1), False), (TOO_SURE, False)]
)
def test_a_loss_at_chance_is_noticed(p: Any, warned: bool) -> None:
    found = list(no_better_than_chance({"a": (shares(p), Y)}, "train it longer"))
    assert [caution.code for caution in found] == ["no_better_than_chance"] * warned
    assert list(no_better_than_chance({}, "")) == []


def test_one_class_for_all_is_noticed() -> None:
    ranked = np.where(Y, 0.4, 0.3)  # the ranking is perfect, and the answer is always the first class
    (found,) = one_class_of_sources({"a": (shares(ranked), Y)}, STUDY, "train it longer")  # type: ignore[arg-type]
    assert "100% of its samples are answered 'control', though only 50%" in found.text
    assert "rank the classes (AUC 1.000)" in found.text
    right = {"b": (shares(0.3), np.zeros(20, int)), "c": (shares(np.where(Y, 0.9, 0.1)), Y)}
    assert list(one_class_of_sources(right, STUDY, "")) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("y", "warned"), [(None, True), (Y, True), (np.zeros(20, int), False)])
def test_one_class_for_a_target_is_noticed_unless_it_is_right(y: Any, warned: bool) -> None:
    batches = {"a": SimpleNamespace(y=Y), "b": SimpleNamespace(y=y)}
    made = SimpleNamespace(
        study=SimpleNamespace(batches=batches, **vars(STUDY)), split=SimpleNamespace(sources=["a"])
    )
    outcome = SimpleNamespace(probability={"b": shares(0.3)}, scores={"b": {"auc": 0.6}})
    found = list(one_class_of_targets(made, outcome.probability, "train it longer"))  # type: ignore[arg-type]
    assert [caution.code for caution in found] == ["one_class_answered"] * warned
    assert all("rank the classes" not in caution.text for caution in found)


def test_warnings_reach_terminal_record_and_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("uvwx"))
    table.insert(0, "label", np.where(np.arange(60) % 2, "case", "control"))
    table.insert(0, "batch", np.repeat(["a", "b", "c"], 20))
    table.to_csv(tmp_path / "t.csv", index=False)
    config = compose(
        "dataset=table", f"dataset.path={tmp_path / 't.csv'}", f"out={tmp_path}", "split='12_3'",
        "method=baseline", "method.classifier.epochs=1", "method.classifier.lr=0",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "calib"):
        (result,) = run(config)
    warnings = {warning["code"]: warning["text"] for warning in result["warnings"]}
    assert "method.classifier.lr=0" in warnings["no_better_than_chance"]
    assert warnings["no_better_than_chance"] in caplog.text
    (file,) = tmp_path.glob("runs/*/*/*/result.json")
    assert json.loads(file.read_text())["warnings"] == result["warnings"]
    caplog.clear()
    run(config)  # it is read from its record
    assert warnings["no_better_than_chance"] in caplog.text
    section = cautions_section([SimpleNamespace(result=result), SimpleNamespace(result={})])  # type: ignore[list-item]
    assert section is not None
    assert warnings["no_better_than_chance"] in str(section.tables[0].rows)
    assert cautions_section([SimpleNamespace(result=result | {"warnings": []})]) is None  # type: ignore[list-item]
