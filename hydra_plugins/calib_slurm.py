"""A Slurm launcher for Hydra, with which a sweep keeps the results of all jobs if one job is lost.

hydra-submitit-launcher submits a sweep as one job array, but it raises the error of the first job that Slurm
ends (cancelled, out of time or memory), and the results of the other jobs are lost. It asks ``sacct`` which
jobs have ended, and ``sacct`` never lists elements that are cancelled while they wait. This launcher asks
``squeue``, and every job returns something: a lost job returns an error with the reason. Hydra finds
launchers only in the namespace package ``hydra_plugins``, so this module is there;
``conf/launch/slurm.yaml`` names it.
"""

import logging
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from calib.errors import CalibError

try:
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
except ImportError:  # without the extra 'slurm' the class below stays abstract, and Hydra skips it
    SlurmLauncher = Launcher

log = logging.getLogger(__name__)
progress = logging.getLogger("calib.runs.launch")
"""A logger whose lines are also shown when many runs are launched and their records are counted."""

PAUSE, LONGEST_PAUSE = 1, 30
"""Shortest and longest pause, in seconds, between two requests to ``squeue``: 1/60 of the time waited."""

LATE = 15
"""Seconds that a shared disk may take to show the file of a job that has left the queue."""

Call = tuple[list[str], str, int, str, Any]
"""Arguments of ``SlurmLauncher.__call__``: overrides, key of the folder, number, name, Hydra's singletons."""


class ArrayLauncher(SlurmLauncher):
    """A launcher that submits a sweep as one job array and waits until all of its jobs have ended."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit the jobs and wait for them; an interruption cancels those that have not ended.

        Returns:
            One result for each job, in order; the result of a job that Slurm has lost is a ``CalibError``.

        Raises:
            CalibError: there is no Slurm on this machine, or it refuses the jobs.
        """
        calls: list[Call] = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs = self._submit(calls)
        array = jobs[0].job_id.partition("_")[0]
        limit, logs = self.params["array_parallelism"], jobs[0].paths.folder.parent
        message = (
            "Slurm has queued %d runs, at most %d at once, as job %s (to end them: scancel %s); logs in %s"
        )
        progress.info(message, len(jobs), limit, array, array, logs)
        try:
            return self._wait(array, jobs, calls)
        except KeyboardInterrupt:
            subprocess.run(["scancel", array], check=False)
            progress.warning("Slurm's job %s is cancelled.", array)
            raise

    def _submit(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Submit the calls as one job array and return submitit's jobs."""
        import submitit  # Hydra imports every plugin at every start, so this slow import is not at the top

        if shutil.which("sbatch") is None:
            raise CalibError(
                "There is no sbatch here: start this on a machine of the Slurm cluster, or use launch=joblib."
            )
        common = set(OmegaConf.structured(BaseQueueConf).keys())
        settings = {name if name in common else f"slurm_{name}": v for name, v in self.params.items()}
        executor = submitit.AutoExecutor(
            cluster="slurm",
            folder=settings.pop("submitit_folder"),
            slurm_max_num_timeout=settings.pop("slurm_max_num_timeout"),
        )
        executor.update_parameters(**settings)
        try:
            return executor.map_array(self, *zip(*calls, strict=True))
        except submitit.core.utils.FailedJobError as error:  # it contains sbatch's message
            reason = "; ".join(line for line in str(error).splitlines() if line.strip())
            raise CalibError(f"Slurm refuses the jobs: {reason}") from error

    def _wait(self, array: str, jobs: Sequence[Any], calls: Sequence[Call]) -> list[JobReturn]:
        """Wait until every job has written its result or has left the queue; return all results in order."""
        returned: dict[int, JobReturn] = {}
        started = time.monotonic()
        left_queue = None
        while len(returned) < len(jobs):
            queued = _queued(array)  # before looking for files, or one that appears in between is missed
            for index, job in enumerate(jobs):
                if index not in returned and job.paths.result_pickle.exists():
                    returned[index] = _logged(_read(job, calls[index]), calls[index])
            waited = time.monotonic() - started
            if queued or queued is None:
                left_queue = None
            elif left_queue is None:
                left_queue = waited
            elif waited > left_queue + LATE:
                break
            if len(returned) < len(jobs):
                time.sleep(min(max(PAUSE, waited / 60), LONGEST_PAUSE))
        for index, job in enumerate(jobs):
            if index not in returned:
                returned[index] = _logged(_lost(job, calls[index]), calls[index])
        return [returned[index] for index in range(len(jobs))]


def _queued(array: str) -> bool | None:
    """Return whether any element of an array waits, runs or is ending; None if Slurm does not answer."""
    command = ["squeue", "--noheader", "--format=%i", f"--jobs={array}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return bool(done.stdout.strip())
    return False if "Invalid job id" in done.stderr else None  # minutes after its end


def _read(job: Any, call: Call) -> JobReturn:
    """Return the result that a job has written, or a failed result if it could not finish."""
    from submitit.core.utils import UncompletedJobError

    error = job.exception()
    if error is not None:
        return _failed(call, f"Slurm's job {job.job_id} failed outside of its run; see {job.paths.stderr}")
    returned: JobReturn = job.results()[0]
    if isinstance(returned._return_value, UncompletedJobError):  # raised by Slurm's signal
        why = "reached its time limit; give it more with hydra.launcher.timeout_min"
        return _failed(call, f"Slurm's job {job.job_id} {why}, and repeat the command to make the run")
    return returned


def _lost(job: Any, call: Call) -> JobReturn:
    """Return the failed result of a job that has left the queue without writing a result."""
    state = job.state
    how = "left the queue before it began" if state == "UNKNOWN" else f"ended as {state}"
    log_file = f" (log: {job.paths.stderr})" if job.paths.stderr.exists() else ""
    return _failed(call, f"Slurm's job {job.job_id} {how}{log_file}; repeat the command to make the run")


def _failed(call: Call, why: str) -> JobReturn:
    """Return a failed result with the reason as its error."""
    return JobReturn(overrides=call[0], status=JobStatus.FAILED, _return_value=CalibError(f"{why}."))


def _logged(returned: JobReturn, call: Call) -> JobReturn:
    """Write to the log whether a job is done or has failed, and return its result."""
    if returned.status == JobStatus.COMPLETED:
        log.info("#%d done", call[2])
    else:
        log.error("#%d failed: %s", call[2], returned._return_value)
    return returned
