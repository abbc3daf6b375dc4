"""Tests of the warnings about a study and a split, which a run logs and keeps in its record."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from calib.data.cautions import Caution
from calib.data.checks import cautions, logged
from calib.data.split import parse_split
from calib.data.study import Study


def of_one_class(study: Study, classes: dict[str, int]) -> Study:
    """Return the study with all samples of these batches in one class."""
    batches = dict(study.batches)
    for name, index in classes.items():
        batches[name] = replace(batches[name], y=np.full(len(batches[name]), index))
    return replace(study, batches=batches)


def found(study: Study, split: str = "12_3") -> Sequence[Caution]:
    return cautions(study, parse_split(split, study))


def test_an_ordinary_study_has_no_warnings(study: Study) -> None:
    assert not found(study)


def test_sources_of_one_class_are_named(study: Study) -> None:
    (one,) = found(of_one_class(study, {"2": 1}))
    assert one.code == "one_class_source"
    assert one.text.startswith("Sources with samples of one class only: '2' (case). A method that scales")
    (both,) = found(of_one_class(study, {"1": 0, "2": 1}))
    assert both.text.startswith("Every source has samples of one class only: '1' (control), '2' (case). No")
    assert not found(of_one_class(study, {"3": 1}))


def test_warnings_of_the_reading_come_first_and_count_in_no_checksum(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    read = replace(
        of_one_class(study, {"2": 1}), cautions=[Caution("test", "A test."), Caution("test", "A test.")]
    )
    assert read.sha256() == of_one_class(study, {"2": 1}).sha256()
    kept = logged(found(read))
    assert [one["code"] for one in kept] == ["test", "one_class_source"]
    assert caplog.messages == [one["text"] for one in kept]
