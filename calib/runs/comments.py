"""What the files of ``conf/`` say of themselves: their comments, their cards, and what they are based on."""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The faster of the safe readers, where it is there."""


def content(file: Path) -> dict[str, Any]:
    """Return the settings of a file as they are written."""
    found: dict[str, Any] = LOADER(file.read_text(encoding="utf-8")).get_single_data() or {}
    return found


def card(conf: Path, method: str) -> dict[str, Any]:
    """Return a method's card with what it takes over from the method that it is based on."""
    found: dict[str, Any] = {}
    file = content(conf / "method" / f"{method}.yaml")
    for group, name, place in bases(file, "method"):
        found |= card(conf, name) if (group, place) == ("method", "") else {}
    return found | dict(file.get("card", {}))


def opening(file: Path) -> str:
    """Return the comment with which a file begins, in one line."""
    lines = file.read_text(encoding="utf-8").removeprefix("# @package _global_\n").splitlines()
    return " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines))


def first_sentences(conf: Path, group: str) -> dict[str, str]:
    """Return the first sentence of each file's comment in a group, by the file's name."""
    files = sorted((conf / group).glob("*.yaml"))
    return {file.stem: re.split(r"(?<=[.]) (?=[A-Z])", opening(file))[0] for file in files}


def comments(conf: Path, group: str, name: str) -> dict[str, str]:
    """Return the comment of each setting in a file of a group and in the files that it is based on."""
    file = conf / group / f"{name}.yaml"
    found: dict[str, str] = {}
    for other, base, place in bases(content(file), group):
        prefix = f"{place}." if place else ""
        found |= {f"{prefix}{key}": text for key, text in comments(conf, other, base).items()}
    return found | own_comments(file)


def own_comments(file: Path) -> dict[str, str]:
    """Return the comment behind each setting that a file itself has, by the setting's name with dots."""
    found: dict[str, str] = {}
    keys: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if setting := re.match(r"( *)\"?(\w+)\"?:(?:.*?\s# (.*))?", line):
            keys = [*keys[: len(setting[1]) // 2], setting[2]]
            if setting[3]:
                found[".".join(keys)] = setting[3]
    return found


def bases(file: Mapping[str, Any], group: str) -> Iterator[tuple[str, str, str]]:
    """Return the files that a file is based on: group, name and the setting that it is put at, or ""."""
    for entry in file.get("defaults", []):
        if entry == "_self_":
            continue
        if isinstance(entry, str):  # such as baseline, or combat@corrector
            name, _, place = entry.partition("@")
            yield group, name, place
        else:  # such as /classifier@classifier: svm
            ((key, name),) = entry.items()
            if key.startswith("override "):  # a choice of Hydra's own
                continue
            other, _, place = key.removeprefix("/").partition("@")
            yield other, name, place
