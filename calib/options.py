"""What the scripts that make many runs have in common on the command line."""

import argparse
import logging
import os
from pathlib import Path


def several(text: str) -> list[str]:
    """The names between commas."""
    return [name for name in text.split(",") if name]


def numbers(text: str) -> list[int]:
    """The whole numbers between commas, one at least.

    Raises:
        ValueError: there is none, or something else.
    """
    found = [int(name) for name in several(text)]
    if not found:
        raise ValueError
    return found


def positive(text: str) -> int:
    """A whole number above 0.

    Raises:
        ValueError: it is something else.
    """
    if int(text) < 1:
        raise ValueError
    return int(text)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Where and how runs are made: ``--out``, ``--jobs``, ``--launcher``, ``--device``, ``--dry-run``."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("outputs"), help="folder of the records (default outputs)")
    add("--jobs", type=positive, default=os.cpu_count(), help="runs at once (default: one a core)")
    add("--launcher", default="joblib", help="one of Hydra's launchers: joblib, basic, ... (default joblib)")
    add("--device", default="cpu", help="cpu | cuda | cuda:1 (default cpu)")
    add("--dry-run", action="store_true", help="only say what is recorded and what would be run")


def show_progress() -> None:
    """Say on the terminal what has been made, whatever a launcher does to the loggers of runs."""
    launches = logging.getLogger("calib.launching")
    launches.addHandler(logging.StreamHandler())
    launches.propagate = False
    launches.setLevel(logging.INFO)
