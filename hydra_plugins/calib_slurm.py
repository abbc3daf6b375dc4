"""Hydra's Slurm launcher, for sweeps in which a lost job costs no other.

hydra-submitit-launcher submits a sweep as one job array, but raises the error of the first job that Slurm
ends (cancelled, out of time or memory, its node gone), and what the others return is lost. Here every job
returns: a lost one an error that says what Slurm says. Hydra takes launchers only from the namespace package
``hydra_plugins``, so this module has its place there; ``conf/launch/slurm.yaml`` names it.
"""

import logging
import shutil
import subprocess
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
except ImportError:  # without the extra 'slurm' the class below stays abstract, and Hydra passes over it
    SlurmLauncher = Launcher

log = logging.getLogger("calib.launching")


class ArrayLauncher(SlurmLauncher):
    """Submits a sweep as one job array and waits for all of it."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit and wait; an interruption cancels what has not ended.

        Returns:
            One return a job, in order; a job that Slurm has lost returns a ``CalibError``.

        Raises:
            CalibError: there is no Slurm here, or it refuses the jobs.
        """
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in zip(numbers, job_overrides, strict=True)
        ]
        jobs = self._submit(calls)
        array = jobs[0].job_id.partition("_")[0]
        log.info(
            "Slurm has queued %d runs as job %s, at most %d at once; squeue -j %s shows them, "
            "scancel %s ends them; logs: %s",
            len(jobs),
            array,
            self.params["array_parallelism"],
            array,
            array,
            jobs[0].paths.folder.parent,
        )
        try:
            return [self._returned(job, call) for job, call in zip(jobs, calls, strict=True)]
        except KeyboardInterrupt:
            subprocess.run(["scancel", array], check=False)
            log.warning("Slurm's job %s is cancelled.", array)
            raise

    def _submit(self, calls: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        import submitit  # here, because Hydra imports every plugin at every start

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
        except submitit.core.utils.FailedJobError as error:  # of sbatch, with what it said
            said = "; ".join(line for line in str(error).splitlines() if line.strip())
            raise CalibError(f"Slurm refuses the jobs: {said}") from error

    def _returned(self, job: Any, call: tuple[Any, ...]) -> JobReturn:
        overrides, _, number, *_ = call
        job.wait()
        state = job.state
        # the file of a job that ended well may take its time to appear on a shared disk; of others none comes
        if state.startswith("COMPLETED") or job.paths.result_pickle.exists():
            error = job.exception()
            if error is None:
                returned: JobReturn = job.results()[0]
                return self._told(returned, number)
            state = "FAILED"
        why = CalibError(
            f"Slurm's job {job.job_id} ended as {state} without a record (log: {job.paths.stderr}); "
            "repeat the command to make it again."
        )
        return self._told(JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=why), number)

    def _told(self, returned: JobReturn, number: int) -> JobReturn:
        if returned.status != JobStatus.COMPLETED:
            log.error("#%d failed: %s", number, returned._return_value)
        return returned
