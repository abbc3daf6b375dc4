"""Commands one after another in one process, and what each has loaded: ``python -m tests.startup_steps <folder>``.

A line is printed for each: its name, and those of ``WATCHED`` that are loaded after it. They go from the
lightest to the heaviest, since nothing that is loaded is ever unloaded.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

WATCHED = (
    *("numpy", "hydra", "pandas", "scipy", "scipy.stats", "scipy.optimize", "scipy.sparse.linalg", "torch"),
    *("sklearn", "joblib", "matplotlib", "openTSNE", "sknetwork", "jinja2", "sympy", "torch._dynamo"),
)
"""Packages and modules that take long to import."""

HELP = ("--help", "--version", "methods", "check --help", "predict --help")
"""Commands that answer at once."""

STEPS = {
    "help": [one.split() for one in HELP],
    "help of options": [[name, "--help"] for name in ("answer", "fetch", "reproduce", "search")],
    "configuration": [["run", "--help"], ["run", "--cfg", "job"]],
    "check": [["check", "dataset=demo"]],
    "status": [["reproduce", "--series", "demo", "--methods", "joint", "--dry-run", "--out", "{folder}"]],
    "first epoch": [["run", "dataset=demo", "method=joint", "out={folder}", "progress=false"]],
}
"""Name -> commands."""


def told(step: str) -> None:
    """Print what is loaded by now."""
    print(json.dumps([step, [name for name in WATCHED if name in sys.modules]]), flush=True)


def main(folder: Path) -> None:
    """Carry out all steps, the last one until an epoch begins."""
    from calib.commands import main as calib

    for step, commands in STEPS.items():
        if step == "first epoch":
            _stop_at_epochs(step)
        for words in commands:
            _call(calib, [word.format(folder=folder) for word in words])
        told(step)


def _call(calib: object, words: Sequence[str]) -> None:
    """Call ``calib`` with these words, and keep what it prints."""
    assert callable(calib)
    sys.argv = ["calib", *words]
    hidden = sys.stdout if words[-1] == "progress=false" else StringIO()
    with redirect_stdout(hidden), suppress(SystemExit):
        calib()


def _stop_at_epochs(step: str) -> None:
    """Let the process end where the first epoch would begin."""
    from calib.runtime import Runtime

    def begins(*_: object) -> None:
        told(step)
        os._exit(0)

    Runtime.epochs = begins  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
