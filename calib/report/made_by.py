"""The commands below tables and figures, so that they make what is shown when they are typed as printed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from calib.runs.planner import Job

TARGETS = ("reproduce-all", "report")
"""Targets of the Makefile that take the lists of conf/reproduce.yaml."""

DEFAULT_SERIES, DEFAULT_OUT = "paper", Path("outputs")
"""The list and the folder that a command means where it names none."""


def as_run(command: str, jobs: Sequence[Job], out: Path) -> str:
    """Return a command with the lists that have the runs, with their studies, and with the folder.

    A command names the lists that usually have the runs. Where none of them has a run of these studies, as
    for the simulated study or a user's own list, it gets the lists that do. Studies that are not planned here
    are left out, since naming one that cannot be had is a failure.

    Args:
        command: a command as a table names it, such as ``make report STUDIES=mi``.
        jobs: all planned runs of the report.
        out: folder of the records.
    """
    words = shlex.split(command)
    if words[:1] != ["make"] or len(words) < 2 or words[1] not in TARGETS:
        return command
    settings = dict(word.split("=", 1) for word in words[2:])
    if "STUDIES" in settings:
        named = settings["STUDIES"].split(",")
        jobs = [job for job in jobs if job.run.study.name in named] or jobs
        settings["STUDIES"] = ",".join(dict.fromkeys(map(_dataset, jobs)))
    having = list(dict.fromkeys(name for job in jobs for name in job.series))
    asked = settings.get("SERIES", DEFAULT_SERIES).split(",")
    if having and not set(asked) & set(having):
        settings["SERIES"] = ",".join(having)
    if out != DEFAULT_OUT:
        settings["OUT"] = str(out)
    return shlex.join(["make", words[1], *(f"{name}={value}" for name, value in settings.items())])


def _dataset(job: Job) -> str:
    """Return the name of a job's study in the plan, which is that of its configuration."""
    chosen = [word.partition("=")[2] for word in job.overrides if word.startswith("dataset=")]
    return chosen[0] if chosen else job.run.study.name
