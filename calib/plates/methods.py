"""The methods that an answer compares, from ``conf/answer.yaml`` or by their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from calib.errors import CalibError, nearest
from calib.registry import CONF
from calib.runs.method_table import read

FAST, ALL = "fast", "all"

NO_COMPARISON = ("reference", "wrapper")
"""Kinds of methods that are no candidates: those that need target labels, and those that wrap another one."""

CONTROL = "shuffled_labels"
"""A control of the honesty of numbers, which is no candidate either."""


@dataclass(frozen=True)
class Compared:
    """A method of the comparison.

    Attributes:
        name: its name in tables and on the command line.
        label: its name in words.
        overrides: overrides of the configuration that choose it.
        summary: what it does, a sentence.
    """

    name: str
    label: str
    overrides: tuple[str, ...]
    summary: str = ""


def compared(text: str) -> list[Compared]:
    """Return the methods that ``fast``, ``all`` or names between commas stand for, no calibration first.

    No calibration is always among them, since the others are compared with it.

    Raises:
        CalibError: there is no such method, or it needs labels of targets.
    """
    rows = {row["name"]: row for row in read()}
    fast = {one.name: one for one in (_of_line(line, rows) for line in _lines())}
    first = next(iter(fast.values()))
    candidates = {
        name: Compared(name, row["label"], (f"method={name}",), row["summary"])
        for name, row in rows.items()
        if row["kind"] not in NO_COMPARISON and name != CONTROL
    }
    if text == ALL:
        return list((fast | {name: one for name, one in candidates.items() if name not in fast}).values())
    known = candidates | fast
    found = {first.name: first}
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name == FAST:
            found |= fast
            continue
        if name not in known:
            why = "needs labels that blank plates do not have" if name in rows else "is no method"
            raise CalibError(
                f"methods={text}: {name} {why}{nearest(name, known)} Give fast, all, or names that "
                "calib methods lists, between commas."
            )
        found[name] = known[name]
    return list(found.values())


def _lines() -> Sequence[Any]:
    """Return the lines of ``conf/answer.yaml``."""
    lines = OmegaConf.to_container(OmegaConf.load(CONF / "answer.yaml"))
    assert isinstance(lines, dict)
    return lines[FAST]


def _of_line(line: Any, rows: dict[str, dict[str, str]]) -> Compared:
    """Return the method of a line of the file."""
    if isinstance(line, str):
        return Compared(line, rows[line]["label"], (f"method={line}",), rows[line]["summary"])
    overrides = (f"method={line['method']}", *line.get("with", ()))
    return Compared(line["name"], line["label"], overrides, line["summary"])


def estimator_settings(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the method that overrides choose, and the same as arguments of ``BatchClassifier``.

    Overrides that say where and how a run is made are left out.
    """
    method, settings = "", dict[str, Any]()
    for word in words:
        key, _, text = word.partition("=")
        value = OmegaConf.from_dotlist([f"value={text}"]).value
        if key == "method":
            method = text
        elif key in ("device", "dtype"):
            settings[key] = text
        elif key == "protocol":
            settings["protocol"] = text
        elif "@" in key:
            settings[key.partition("@")[2].replace(".", "__")] = text
        elif key.startswith(("method.", "protocol.")):
            settings[key.replace(".", "__")] = value
    return method, settings
