"""A report with nothing new, recognised without planning, reading studies or loading what computes.

A report depends on the command, the code and its libraries, the configuration, the files of the studies and
the records. ``remember`` writes all of these beside the report, with the checksums of its files, and
``found_again`` compares them: if all is as it was, so is the report.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calib.data.downloads import data_folders, find
from calib.errors import CalibError, DamagedError
from calib.files import checksum, facts, same
from calib.records.provenance import code
from calib.records.record import Record
from calib.records.shape import RUN

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from calib.runs.planner import Job

SEEN = "seen.json"
"""The file beside a report that says what it depends on and consists of."""

HOW = ("jobs", "launcher", "launcher_options")
"""Options that change neither the plan nor the report."""


def found_again(options: argparse.Namespace, conf: Path) -> tuple[list[str], int] | None:
    """Return what the command said when it wrote the report, and its exit code; None if anything has changed.

    Args:
        options: those of ``calib reproduce``.
        conf: folder of the configuration.
    """
    folder = Path(options.out) / "report"
    try:
        known = json.loads((folder / SEEN).read_text(encoding="utf-8"))
        unchanged = (
            known["asked"] == _asked(options, conf)
            and all(_content(path) == content for path, content in known["data"].items())
            and all(_state(folder.parent / name) == state for name, state in known["records"].items())
            and all(same(folder / name, content) for name, content in known["files"].items())
        )
        return (list(map(str, known["said"])), int(known["code"])) if unchanged else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # no such file, or of another shape
        return None


def remember(
    options: argparse.Namespace,
    conf: Path,
    jobs: Sequence["Job"],
    datasets: Iterable["DictConfig"],
    said: Sequence[str],
    exit_code: int,
) -> None:
    """Keep what a report depends on and consists of; nothing is kept where that cannot be told.

    Args:
        options, conf: as of ``found_again``.
        jobs: all planned runs.
        datasets: the settings of the studies.
        said: what the command has said.
        exit_code: its exit code.

    Raises:
        CalibError: the folder of the report cannot be written to.
    """
    folder = Path(options.out) / "report"
    data = _data(datasets)
    if data is None:
        return
    known = {
        "asked": _asked(options, conf),
        "data": data,
        "records": {
            job.run.record.path.relative_to(folder.parent).as_posix(): _state(job.run.record.path)
            for job in jobs
        },
        "files": {
            file.relative_to(folder).as_posix(): facts(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and not file.name.startswith(".") and file.suffix != ".npz"
            if file.name != SEEN
        },
        "said": list(said),
        "code": exit_code,
    }
    Record(folder).write_text(SEEN, json.dumps(known))


def _asked(options: argparse.Namespace, conf: Path) -> dict[str, Any]:
    """Return what the command asks for and what carries it out, as JSON gives it back."""
    return {
        "options": {name: str(value) for name, value in vars(options).items() if name not in HOW},
        "folders": [str(folder) for folder in data_folders()],
        "conf": [facts(file)["sha256"] for file in sorted(conf.rglob("*.yaml"))],
        "code": list(code()),
        "libraries": sorted(f"{one.name} {one.version}" for one in distributions()),
    }


def _data(datasets: Iterable["DictConfig"]) -> dict[str, Any] | None:
    """Return path -> content of each file of the studies; None if only its reader knows which they are."""
    from calib.runs.contents import contents, files_of

    found: dict[str, Any] = {}
    for dataset in datasets:
        files = list(files_of(dataset))
        if (not files and contents(dataset) is None) or "archive" in dataset:
            return None
        found |= {(path := str(file["path"])): _content(path) for file in files}
    return found


def _content(path: str) -> dict[str, Any] | None:
    """Return place, size and checksum of a file of a study; None if there is none."""
    file = find(str(Path(path).expanduser()), [Path.cwd(), *data_folders()])
    return None if file is None else {"place": str(file), **facts(file)}


def _state(path: Path) -> str:
    """Return the checksum of a finished record, the sentence on a damaged one, or "" if there is none."""
    try:
        result = Record(path, RUN).read()
    except (CalibError, DamagedError) as error:
        return str(error)
    return "" if result is None else checksum(result)
