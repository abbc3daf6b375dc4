"""A report with nothing new is recognised, and any change of what it depends on or consists of is noticed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from calib.records.record import RESULT, Record
from calib.report import again
from calib.report.again import SEEN, found_again, remember

SAID = (["page"], 1)


class Place:
    """A report with everything that it depends on."""

    def __init__(self, folder: Path) -> None:
        self.out, self.conf, self.data = folder / "out", folder / "conf", folder / "table.csv"
        self.report = self.out / "report"
        for part in (self.conf, self.report / "figures"):
            part.mkdir(parents=True)
        (self.conf / "reproduce.yaml").write_text("a: 1\n")
        self.data.write_text("values\n")
        (self.report / "index.html").write_text("page")
        (self.report / "figures" / "a.png").write_bytes(b"figure")
        self.records = [Record(self.out / "runs" / name) for name in ("made", "missing")]
        self.make(self.records[0])

    def make(self, record: Record) -> None:
        """Make a record."""
        record.prepare()
        record.write_text("predictions.csv", "row\n")
        record.finish({"key": record.path.name})

    def options(self, **other: Any) -> argparse.Namespace:
        """Return the options of the command."""
        return argparse.Namespace(**({"out": self.out, "series": "paper", "jobs": None} | other))

    def remember(self, **dataset: Any) -> None:
        """Remember the report."""
        settings = OmegaConf.create({"path": str(self.data), "_target_": "x"} | dataset)
        jobs: Any = [SimpleNamespace(run=SimpleNamespace(record=record)) for record in self.records]
        remember(self.options(), self.conf, jobs, [settings], *SAID)

    def found(self, **other: Any) -> tuple[list[str], int] | None:
        """Look for the report again."""
        return found_again(self.options(**other), self.conf)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(again, "RUN", None)  # any content is that of a run
    monkeypatch.setattr(again, "distributions", lambda: [SimpleNamespace(name="numpy", version="2")])
    return Place(tmp_path)


def test_a_report_is_found_again_until_something_changes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.found() is None
    place.remember()
    assert place.found() == SAID
    assert place.found(jobs=2) == SAID  # which changes no number
    assert place.found(series="demo") is None
    with monkeypatch.context() as patch:
        patch.setattr(again, "code", lambda: ("another",))
        assert place.found() is None
    with monkeypatch.context() as patch:
        patch.setattr(again, "distributions", lambda: [SimpleNamespace(name="numpy", version="3")])
        assert place.found() is None
    assert place.found() == SAID


CHANGES: dict[str, Callable[[Place], object]] = {
    "the plan": lambda place: (place.conf / "reproduce.yaml").write_text("a: 2\n"),
    "a file of a study": lambda place: place.data.write_text("others\n"),
    "a study's file is gone": lambda place: place.data.unlink(),
    "a new record": lambda place: place.make(place.records[1]),
    "a record made again": lambda place: (place.records[0].path / RESULT).write_text('{"key": "other"}'),
    "a damaged record": lambda place: (place.records[0].path / "predictions.csv").write_text("forged"),
    "the page": lambda place: (place.report / "index.html").write_text("forged"),
    "a figure is gone": lambda place: (place.report / "figures" / "a.png").unlink(),
    "the list itself": lambda place: (place.report / SEEN).write_text(json.dumps({"asked": {}})),
    "no list": lambda place: (place.report / SEEN).write_text("{"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: str, place: Place) -> None:
    place.remember()
    CHANGES[change](place)
    assert place.found() is None


def test_nothing_is_kept_where_only_the_reader_knows_its_files(place: Place) -> None:
    place.remember(archive="a.zip")
    assert not (place.report / SEEN).exists()
