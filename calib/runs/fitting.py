"""The training of runs: one alone, or several that differ in seed and split as one."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calib.data.split import make_labelled_task, make_task
from calib.errors import CalibError
from calib.methods.base import Fitted
from calib.records.corrections import Corrections
from calib.runs.run import Run, units_in
from calib.runtime import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """The trained method of one run.

    Attributes:
        seconds: time that the training took; an equal part of it where several runs were trained together.
        seeds, splits: the seeds and splits that were trained together, in most runs those of the run alone.
    """

    fitted: Fitted
    runtime: Runtime
    seconds: float
    seeds: Sequence[int]
    splits: Sequence[str]


def train(run: Run, task: Any, runtime: Runtime) -> Trained:
    """Fit the method of one run to its task."""
    started = time.perf_counter()
    fitted = run.method.fit(task, runtime)
    return Trained(fitted, runtime, time.perf_counter() - started, [run.config.seed], [run.split.label])


def train_together(runs: Sequence[Run], loosely: bool) -> dict[str, Trained]:
    """Fit the methods of runs that differ in seed and split in one training.

    Args:
        loosely: as of ``carry_out_together``.

    Returns:
        The trained method of each run by its key; nothing if the training fails, so that each run is then
        trained alone.
    """
    tasks: dict[str, Any] = {}
    for run in runs:  # the seeds of a split share its task
        if run.split.label not in tasks:
            with suppress(CalibError):  # the run says by itself why it fails
                tasks[run.split.label] = task_of(run)
    if not (runs := [run for run in runs if run.split.label in tasks]):
        return {}
    seeds, splits = list(dict.fromkeys(run.config.seed for run in runs)), list(tasks)
    runtimes = [replace(runtime_of(run), last_digits_may_differ=loosely) for run in runs]
    log.info("Training seeds %s of %s together", ", ".join(map(str, seeds)), ", ".join(splits))
    started = time.perf_counter()
    try:
        fitted = runs[0].method.fit_together([tasks[run.split.label] for run in runs], runtimes)
    except CalibError as error:
        log.warning("One of the runs trained together failed, so each is trained alone (%s)", error)
        return {}
    seconds = (time.perf_counter() - started) / len(runs)
    together = zip(runs, fitted, runtimes, strict=True)
    return {run.key: Trained(method, runtime, seconds, seeds, splits) for run, method, runtime in together}


def runtime_of(run: Run) -> Runtime:
    """Return the device, number type, seed and stored corrections of a run."""
    config = run.config
    runtime = Runtime.from_names(config.seed, config.device, config.dtype, config.progress)
    runtime.unit = units_in(run.data)[1]
    runtime.cuda_graphs = config.cuda_graphs
    runtime.corrections = Corrections(Path(str(config.out)), run.study.name, run.data, config.force)
    return runtime


def task_of(run: Run) -> Any:
    """Return the batches of a run as its method may see them: without the labels of targets, or with them."""
    make = make_labelled_task if run.method.uses_target_labels else make_task
    task = make(run.study, run.split)
    run.method.check_task(task, run.config.method.name)
    return task
