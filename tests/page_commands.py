"""Command blocks of README and docs: which there are, what a shell makes of them, and how a test runs them.

A shell reads each block, so that comments, quotes, variables and continued lines are what they are for a
reader. In it the commands of this project are functions that only say with which words they were called.
"""

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import yaml

from calib.commands import COMMANDS
from calib.commands.predictions import OPTIONS
from calib.plates.options import parse
from calib.runs.comments import bases, content
from tests.conftest import CONF, ROOT

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^(?P<in> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=in)```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"not run: \w.+")
"""What stands in a comment above a command block that no test runs."""

OURS = ("calib", "python", ".venv/bin/python", "make", "source")
SPOKEN = "".join(f"function {name} {{ printf '%s\\x1f' {name} \"$@\"; printf '\\x1e'; }}\n" for name in OURS)
"""A shell's functions that print the words of a command, between signs that no command has."""

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the comment above it."""

    kind: str
    text: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether a test runs these commands."""
        return self.kind == "bash" and not NOT_RUN.fullmatch(self.mark)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["kind"], one["text"], one["mark"] or "") for one in found]


def commands(text: str, folder: Path, path: str = "/nowhere") -> list[list[str]]:
    """Return the words of each command of this project in a block, as a shell that stands in a folder makes them.

    Raises:
        CalledProcessError: the shell has no such command; by default it has those of this project only.
    """
    text = re.sub(r"<(\w+)>", r"\1", text)  # <key> stands for letters that a reader puts in its place
    done = subprocess.run(
        ["/bin/bash", "-euc", SPOKEN + text], cwd=folder, env={"PATH": path}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return [command.split("\x1f")[:-1] for command in done.stdout.split("\x1e")[:-1]]


def run(page: Path, folder: Path) -> None:
    """Carry out a page's Python and its commands in a folder, and compare what is printed with the page.

    A block of text below commands is what they print, but for spaces; ``…`` stands for what is left out.
    """
    names: dict[str, object] = {}
    printed = ""
    for block in blocks(page):
        if block.kind == "python":
            exec(compile(block.text, page.name, "exec"), names)
        elif block.runs:
            printed = "".join(carry_out(command) for command in commands(block.text, folder, "/usr/bin:/bin"))
        elif block.kind == "text":
            place, told = 0, " ".join(printed.split())
            for piece in block.text.split("…"):
                words = " ".join(piece.split())
                assert words in told[place:], f"{page.name}: {words}"
                place = told.index(words, place) + len(words)


def carry_out(words: Sequence[str]) -> str:
    """Return what ``calib ...`` prints; runs are made one after another in this process, which is cheaper."""
    assert words[0] == "calib", words
    words = [*words, "jobs=1"] if words[1] == "answer" else words
    told, before = io.StringIO(), sys.argv
    sys.argv = [f"calib {words[1]}", *words[2:]]
    try:
        with contextlib.redirect_stdout(told):
            import_module(f"calib.commands.{words[1]}").command_line()
    finally:
        sys.argv = before
    return told.getvalue()


def faults(words: Sequence[str]) -> Iterator[str]:
    """Return what a command names that there is not: a target of make, a file, a command, a setting."""
    program, *rest = words
    if program == "make":
        for word in rest:
            name, assigned, _ = word.partition("=")
            if not re.search(rf"(?m)^{name}{' .?=' if assigned else ':'}", MAKEFILE):
                yield f"make has no {name}"
    elif program.endswith("python"):
        if rest[0] != "-m" and not (ROOT / rest[0]).is_file():
            yield f"{rest[0]} is no file"
        if rest[0] == "run.py":
            yield from _unknown(rest[1:])
    elif program == "calib":
        if rest[0] not in COMMANDS:
            yield f"calib has no command {rest[0]}"
        if rest[0] == "run":
            yield from _unknown(rest[1:])
        elif rest[0] == "predict":
            yield from (f"no {word}" for word in rest[1:] if word.split("=")[0] not in OPTIONS)
        elif rest[0] in ("answer", "check"):
            with tempfile.TemporaryDirectory() as folder:  # a file is a word without "="
                files = {word: Path(folder, word) for word in rest[1:] if "=" not in word}
                for file in files.values():
                    file.touch()
                parse([str(files.get(word, word)) for word in rest[1:]], f"calib {rest[0]}")


def _unknown(overrides: Sequence[str]) -> Iterator[str]:
    """Return the choices and settings of a run that no file of ``conf/`` has."""
    settings = dict(word.split("=", 1) for word in overrides if not word.startswith("-"))
    main = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    chosen = {
        group: name for entry in main["defaults"] if isinstance(entry, dict) for group, name in entry.items()
    }
    chosen |= {key: value.split(",")[0] for key, value in settings.items() if (CONF / key).is_dir()}
    for key, value in settings.items():
        group = key.partition("@")[0]
        if (CONF / group).is_dir():
            names = value.split(",")
            yield from (f"no {group}={n}" for n in names if not (CONF / group / f"{n}.yaml").is_file())
        elif key.split(".")[0] in chosen:
            group, first, *_ = key.split(".")
            if first not in _first_level(group, chosen[group]):
                yield f"{group}={chosen[group]} has no setting {first}"
        elif key.split(".")[0] not in main:
            yield f"a run has no setting {key}"


def _first_level(group: str, name: str) -> set[str]:
    """Return the settings of a file and of those that it is based on, without what is inside blocks."""
    found = content(CONF / group / f"{name}.yaml")
    based = list(bases(found, group))
    inner = {place.split(".")[0] for _, _, place in based if place}
    return set(found) | inner | {k for g, n, place in based if not place for k in _first_level(g, n)}
