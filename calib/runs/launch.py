"""Many runs carried out by one of Hydra's launchers, with the time left on the screen."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import hydra
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig
from tqdm import tqdm

from calib.errors import CalibError
from calib.runs import experiment
from calib.runs.isolation import ending_in_order, isolated
from calib.runs.schedule import Scheduled, overrides, together
from calib.shown import one_line

log = logging.getLogger(__name__)

QUIET = (
    "hydra/hydra_logging=none",
    "+hydra.job_logging.handlers.nowhere={class: logging.NullHandler}",
    "hydra.job_logging.root.handlers=[nowhere]",
)
"""Overrides that keep the log of a run in its run.log: lines of several runs would tear the progress bar."""

SEARCH = "hydra.searchpath="
"""Override that names further folders of settings; it is the launcher's, and no job may have it."""

LIMITS = ("n_jobs", "array_parallelism")
"""Names that joblib and Slurm have for the number of runs at once."""

ATTEMPTS = 3
"""Number of starts after which runs whose workers were killed count as failed."""

DEATH = f"its worker process was killed {ATTEMPTS} times; repeat the command with fewer runs at once (--jobs)"

BAR = "{desc} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}"


def carry_out_all(
    scheduled: Sequence[Scheduled],
    conf: Path,
    launcher: str = "joblib",
    workers: int | None = None,
    settings: Sequence[str] = (),
) -> dict[str, str]:
    """Carry out the runs, several at once if the launcher can; a failed run stops no other.

    Args:
        scheduled: runs in the order in which they are started.
        conf: the configuration folder.
        launcher: name of a file in its folder ``launch``.
        workers: number of runs at once, if the launcher can make several; None keeps the file's number.
        settings: overrides of the launcher, such as ``partition=short``.

    Returns:
        Name of each run that has no record afterwards -> the reason.

    Raises:
        CalibError: the launcher cannot start any run.
        HydraException: there is no such launcher, or it has no such setting.
    """
    chosen = f"launch={launcher}"  # each job gets it too, or the launcher's settings would be unknown to it
    place = f"hydra.sweep.dir='{scheduled[0].job.run.config.out}'"
    search = [word for word in scheduled[0].job.overrides if word.startswith(SEARCH)]
    given = [chosen, place, *search, *(f"hydra.launcher.{setting}" for setting in settings), *QUIET]
    with ending_in_order(), watched(scheduled):
        reasons = _reasons(scheduled, conf, chosen, given, workers)
    return {
        str(item.job): reasons.get(item.job.overrides, DEATH)
        for item in scheduled
        if not item.job.run.record.is_finished()
    }


def _reasons(
    scheduled: Sequence[Scheduled], conf: Path, chosen: str, given: Sequence[str], workers: int | None
) -> dict[tuple[str, ...], str]:
    """Carry out the runs and return, by a run's overrides, the reason if it ends without a record."""
    waiting = list(scheduled)
    for _ in range(ATTEMPTS):
        groups = together(waiting)
        jobs = [[*_of_jobs(overrides(group)), chosen, "progress=false"] for group in groups]
        try:
            returned = _launch(jobs, conf, given, workers)
        except BrokenProcessPool:
            waiting = [item for item in waiting if not item.job.run.record.is_finished()]
            log.warning("A worker process was killed; going on with the %d runs that are left.", len(waiting))
        except HydraException:  # a missing file of Hydra's is an OSError, too
            raise
        except OSError as error:  # the launcher could not make the output folder
            raise CalibError(
                f"The output folder cannot be written to: {error.filename}: {error.strerror or error}; "
                "choose another with --out."
            ) from error
        else:
            pairs = zip(groups, returned, strict=True)
            return {item.job.overrides: _reason(job) for group, job in pairs for item in group}
    return {}


def _of_jobs(words: Sequence[str]) -> list[str]:
    """Return the overrides of a run that a job of a launcher may have."""
    return [word for word in words if not word.startswith(SEARCH)]


def _launch(
    jobs: Sequence[Sequence[str]], conf: Path, overrides: Sequence[str], workers: int | None
) -> Sequence[JobReturn]:
    """Start the launcher on jobs, given by their overrides, and return Hydra's result of each."""
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
        for limit in LIMITS:
            if workers and limit in config.hydra.launcher:
                config.hydra.launcher[limit] = workers
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
        pooled = "joblib" in config.hydra.launcher._target_
        task = isolated(_run, _described) if pooled else _run
        launcher = Plugins.instance().instantiate_launcher(context, task, config)
        return launcher.launch(jobs, initial_job_idx=0)


def _run(config: DictConfig) -> None:
    """Carry out one job; a launcher needs a function without a result."""
    experiment.run(config)


def _described(config: DictConfig) -> str:
    """Return the name of a job for messages."""
    return f"{config.dataset.name} {config.split} {config.method.name}, seed {config.seed}"


def _reason(job: JobReturn) -> str:
    """Return why a job ended without a record."""
    if job.status == JobStatus.COMPLETED:
        return "it ended without a record"
    error = job._return_value
    return one_line(error) if isinstance(error, Exception) and str(error) else type(error).__name__


@contextmanager
def watched(scheduled: Sequence[Scheduled]) -> Iterator[None]:
    """Show a bar over expected seconds that follows the records; without a terminal, log a line for each."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(scheduled, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _watch(scheduled: Sequence[Scheduled], stop: threading.Event) -> None:
    """Watch the records once a second until all are finished or ``stop`` is set."""
    waiting, terminal = list(scheduled), sys.stderr.isatty()
    total = sum(item.seconds for item in scheduled)
    with tqdm(total=total, desc="runs", bar_format=BAR, smoothing=0, disable=not terminal) as bar:
        started, gone = time.monotonic(), 0.0
        last = False
        while waiting and not last:
            last = stop.wait(1)
            for item in [item for item in waiting if item.job.run.record.is_finished()]:
                waiting.remove(item)
                gone += item.seconds
                count = f"{len(scheduled) - len(waiting)} of {len(scheduled)}"
                bar.set_postfix_str(one_line(f"{count}, last: {item.job}"))
                bar.update(item.seconds)
                if not terminal:
                    left = (time.monotonic() - started) * (total - gone) / gone
                    log.info("%s: %s; about %s left", count, str(item.job), timedelta(seconds=round(left)))
