"""Carrying out many runs under one of Hydra's launchers, with the time left on the screen."""

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

log = logging.getLogger(__name__)

QUIET = ("hydra/hydra_logging=none", "hydra.job_logging.root.handlers=[]")
"""What runs log goes to their own run.log only: lines from several at once would tear the progress bar."""

LIMITS = ("n_jobs", "array_parallelism")
"""How joblib and Slurm call the number of runs at once."""

ATTEMPTS = 3
"""How often runs are begun before killed workers are taken for a fault of the machine."""

DEATH = f"its worker process was killed {ATTEMPTS} times; repeat the command with fewer runs at once (--jobs)"

BAR = "{desc} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}"


def carry_out_all(
    scheduled: Sequence[Scheduled],
    conf: Path,
    launcher: str = "joblib",
    workers: int | None = None,
    settings: Sequence[str] = (),
) -> dict[str, str]:
    """Make the runs, several at once, as the launcher can; a failed one stops no other.

    Args:
        conf: the configuration folder.
        launcher: a file of its folder ``launch``.
        workers: how many runs at once, where the launcher can make several; None: as its file says.
        settings: of the launcher, such as ``partition=short``.

    Returns:
        The runs that have no record afterwards, and why.

    Raises:
        CalibError: the launcher cannot start any run.
        HydraException: there is no such launcher, or it has no such setting.
    """
    chosen = f"launch={launcher}"  # said to each job too, whose settings of the launcher are else unknown
    place = f"hydra.sweep.dir='{scheduled[0].job.run.config.out}'"
    given = [chosen, place, *(f"hydra.launcher.{setting}" for setting in settings), *QUIET]
    with ending_in_order(), _progress(scheduled):
        reasons = _reasons(scheduled, conf, chosen, given, workers)
    return {
        _name(one): reasons.get(one.job.overrides, DEATH)
        for one in scheduled
        if not one.job.run.record.is_finished()
    }


def _reasons(
    scheduled: Sequence[Scheduled], conf: Path, chosen: str, given: Sequence[str], workers: int | None
) -> dict[tuple[str, ...], str]:
    """Make the runs; why each ended, if it has no record, by its overrides."""
    waiting = list(scheduled)
    for _ in range(ATTEMPTS):
        groups = together(waiting)
        jobs = [[*overrides(group), chosen, "progress=false"] for group in groups]
        try:
            returned = _launch(jobs, conf, given, workers)
        except BrokenProcessPool:
            waiting = [one for one in waiting if not one.job.run.record.is_finished()]
            log.warning("A worker process was killed; going on with the %d runs that are left.", len(waiting))
        except HydraException:  # one of which is an OSError as well
            raise
        except OSError as error:  # a launcher makes the output folder
            raise CalibError(
                f"The output folder cannot be written to: {error.filename}: {error.strerror or error}; "
                "choose another with --out."
            ) from error
        else:
            pairs = zip(groups, returned, strict=True)
            return {one.job.overrides: _reason(job) for group, job in pairs for one in group}
    return {}


def _launch(
    jobs: Sequence[Sequence[str]], conf: Path, overrides: Sequence[str], workers: int | None
) -> Sequence[JobReturn]:
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
        for limit in LIMITS:
            if workers and limit in config.hydra.launcher:
                config.hydra.launcher[limit] = workers
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
        pooled = "joblib" in config.hydra.launcher._target_
        task = isolated(_run, _told) if pooled else _run
        launcher = Plugins.instance().instantiate_launcher(context, task, config)
        return launcher.launch(jobs, initial_job_idx=0)


def _run(config: DictConfig) -> None:
    experiment.run(config)


def _told(config: DictConfig) -> str:
    return f"{config.dataset.name} {config.split} {config.method.name}, seed {config.seed}"


def _reason(job: JobReturn) -> str:
    if job.status == JobStatus.COMPLETED:
        return "it ended without a record"
    error = job._return_value
    return str(error) if isinstance(error, Exception) and str(error) else type(error).__name__


@contextmanager
def _progress(scheduled: Sequence[Scheduled]) -> Iterator[None]:
    """A bar over expected seconds, moved by records that appear; a line a run where there is no terminal."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(scheduled, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _watch(scheduled: Sequence[Scheduled], stop: threading.Event) -> None:
    waiting, terminal = list(scheduled), sys.stderr.isatty()
    total = sum(one.seconds for one in scheduled)
    with tqdm(total=total, desc="runs", bar_format=BAR, smoothing=0, disable=not terminal) as bar:
        started, gone = time.monotonic(), 0.0
        last = False
        while waiting and not last:
            last = stop.wait(1)
            for one in [one for one in waiting if one.job.run.record.is_finished()]:
                waiting.remove(one)
                gone += one.seconds
                count = f"{len(scheduled) - len(waiting)} of {len(scheduled)}"
                bar.set_postfix_str(f"{count}, last: {_name(one)}")
                bar.update(one.seconds)
                if not terminal:
                    left = (time.monotonic() - started) * (total - gone) / gone
                    log.info("%s: %s; about %s left", count, _name(one), timedelta(seconds=round(left)))


def _name(one: Scheduled) -> str:
    return f"{one.job.run} {one.job.variant}".strip()
