"""The shape of results: the values that a ``result.json`` must have to be used as a result.

A record may be of an earlier version, made by another program, or copied to the place of another run.
"""

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]
"""Key -> the kind of its value, several kinds, or the shape of the group that it is."""

NUMBER = (int, float)

RUN: Shape = {
    "study": str,
    "split": str,
    "method": str,
    "label": str,
    "uses_target_labels": bool,
    "uses_seed": bool,
    "protocol": str,
    "seed": int,
    "key": str,
    "chosen_by": str,
    "selection": str,
    "targets": dict,
    "mean": dict,
    "mmd": dict,
    "correction": (dict, type(None)),
    "seconds": {"fit": NUMBER, "total": NUMBER},
    "peak_memory_mb": (*NUMBER, type(None)),
}
"""The shape of a run's result: what a reader of records needs."""

CORRECTION: Shape = {
    "key": str,
    "seconds": NUMBER,
    "cpu_seconds": NUMBER,
    "peak_memory_mb": (*NUMBER, type(None)),
}
"""The shape of a correction's result."""


def misfit(content: Mapping[str, Any], shape: Shape, folder: str) -> str:
    """Return the end of a sentence that says why a content is not of a shape, or "" if it is.

    Args:
        content: the content of a ``result.json``.
        shape: the shape that it should have.
        folder: name of the record's folder, which ends in the key of the run that it stands for.
    """
    if wrong := _wrong(content, shape):
        return f"its result.json has no {wrong} of the usual kind"
    if not folder.endswith(f"-{content['key']}"):
        return f"its result.json is that of another run, whose key is {content['key']}"
    if not isinstance(content.get("files", {}), dict):
        return "its result.json has no list of files"
    targets = content.get("targets", {})
    if not all(isinstance(scores, dict) and isinstance(scores.get("n"), int) for scores in targets.values()):
        return "a target in its result.json has no number of samples"
    return ""


def _wrong(content: Mapping[str, Any], shape: Shape, place: str = "") -> str:
    """Return the first key whose value is missing or of another kind, or ""."""
    for key, kind in shape.items():
        value = content.get(key)
        if isinstance(kind, Mapping):
            inner = _wrong(value, kind, f"{place}{key}.") if isinstance(value, dict) else f"{place}{key}"
            if inner:
                return inner
        elif key not in content or not isinstance(value, kind):
            return f"{place}{key}"
    return ""
