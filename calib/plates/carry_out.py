"""The runs of a comparison, several methods at once: what a launcher does for sweeps, for many short runs.

A launcher composes and starts every run by itself, which takes longer than a run that fits in a tenth of a
second. Here a process makes all runs of a method, of which the configuration is known already.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch
from joblib import Parallel, delayed
from omegaconf import DictConfig

from calib.errors import CalibError
from calib.failures import interrupted
from calib.registry import CONF
from calib.runs.experiment import run
from calib.runs.isolation import ending_in_order
from calib.runs.launch import watched
from calib.runs.planner import Job
from calib.runs.schedule import Scheduled, guessed_seconds, schedule
from calib.shown import one_line

KILLED = "its process was killed, most likely for lack of memory; repeat the command with jobs=1"


def carry_out(methods: Sequence[Sequence[Job]], workers: int | None) -> dict[str, str]:
    """Carry out the runs that have no record; a failed run stops no other.

    Args:
        methods: the runs of each method.
        workers: methods at once; None: one a core.

    Returns:
        Name of each run that has no record afterwards -> the reason.
    """
    scheduled = schedule([job for jobs in methods for job in jobs], guessed_seconds(CONF))
    if not scheduled:
        return {}
    groups = _groups(methods, scheduled)
    reasons: dict[str, str] = {}
    with ending_in_order(), watched(scheduled):
        try:
            for found in _each(groups, min(workers or os.cpu_count() or 1, len(groups))):
                reasons |= found
        except BrokenProcessPool:
            pass  # the runs that it leaves without a record are named below
    return {
        str(item.job): reasons.get(str(item.job), KILLED)
        for item in scheduled
        if not item.job.run.record.is_finished()
    }


def _groups(methods: Sequence[Sequence[Job]], scheduled: Sequence[Scheduled]) -> list[list[Job]]:
    """Return the unfinished runs of each method, the method that takes longest first."""
    seconds = {str(item.job): item.seconds for item in scheduled}
    waiting = [[job for job in jobs if str(job) in seconds] for jobs in methods]
    return sorted(filter(None, waiting), key=lambda jobs: -sum(seconds[str(job)] for job in jobs))


def _each(groups: Sequence[Sequence[Job]], workers: int) -> Iterator[Mapping[str, str]]:
    """Yield, as they end, why runs of a method have failed."""
    known = [{str(job): _config(job) for job in jobs} for jobs in groups]
    if workers == 1:
        yield from map(_runs, known)
    else:
        yield from Parallel(workers, return_as="generator_unordered")(delayed(_runs)(one) for one in known)


def _config(job: Job) -> DictConfig:
    """Return the configuration of a run on its split alone."""
    config = job.run.config.copy()
    config.split, config.progress = job.run.split.label, False
    return config


def _runs(configs: Mapping[str, DictConfig]) -> dict[str, str]:
    """Carry out runs one after another, and return why any of them failed.

    Their warnings are in their records, and are told where they are needed.
    """
    failed = {}
    with _silent():
        for name, config in configs.items():
            try:
                run(config)
            except CalibError as error:
                failed[name] = str(error)
            except Exception as error:
                if interrupted(error):
                    raise KeyboardInterrupt from error
                failed[name] = f"{type(error).__name__}: {one_line(error)}"
    return failed


@contextmanager
def _silent() -> Iterator[None]:
    """Let nothing that is logged within reach the terminal, and give the caller its threads back."""
    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = handlers
        torch.set_num_threads(threads)
