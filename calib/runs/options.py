"""Command-line options that all scripts for many runs share."""

import argparse
import logging
import os
from pathlib import Path

from calib.shown import terminal_handler


def several(text: str) -> list[str]:
    """Return the names in a list separated by commas."""
    return [name for name in text.split(",") if name]


def numbers(text: str) -> list[int]:
    """Return the whole numbers in a list separated by commas.

    Raises:
        ValueError: the list is empty, or holds something else.
    """
    found = [int(name) for name in several(text)]
    if not found:
        raise ValueError
    return found


def positive(text: str) -> int:
    """Return the whole number above 0 that a text stands for.

    Raises:
        ValueError: the text is something else.
    """
    if int(text) < 1:
        raise ValueError
    return int(text)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where and how runs are carried out."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("outputs"), help="folder of the records (default outputs)")
    add("--jobs", type=positive, help="runs at once (default: one a core; under slurm as conf/launch says)")
    add("--launcher", default="joblib", help="a file of conf/launch: joblib, basic, slurm (default joblib)")
    add(
        "--launcher-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the launcher: partition=short timeout_min=60",
    )
    add("--device", default="cpu", help="cpu | cuda | cuda:1 (default cpu)")
    add("--dry-run", action="store_true", help="only say what is recorded and what would be run")


def local_jobs(options: argparse.Namespace) -> int:
    """Return the number of processes to use on this machine: as many as asked for, at most its cores."""
    cores = os.cpu_count() or 1
    return min(options.jobs or cores, cores)


def show_progress() -> None:
    """Print which runs are finished, even where a launcher changes the loggers of runs."""
    launches = logging.getLogger("calib.runs.launch")
    launches.addHandler(terminal_handler())
    launches.propagate = False
    launches.setLevel(logging.INFO)
