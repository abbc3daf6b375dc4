"""Sweeps as job arrays: on a real Slurm if SLURM_CONF names one, and tests that need none."""

import inspect
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
from filelock import FileLock
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import MissingConfigException
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig

from calib.errors import CalibError
from calib.records.record import RESULT
from calib.runs.cli import choose_launch, explain, main
from calib.runs.experiment import run
from calib.runs.launch import carry_out_all
from calib.runs.planner import Planner
from calib.runs.run import Run
from calib.runs.schedule import guessed_seconds, schedule
from calib.runs.series import PLAN, Series, read_series
from hydra_plugins import calib_slurm
from hydra_plugins.calib_slurm import ArrayLauncher
from tests.conftest import CONF, ROOT, SMALL, fast
from tests.faults import allow_interrupts, script

TINY = [*SMALL, *fast("baseline")]


@pytest.fixture
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reserve a real Slurm for one test at a time, because a small one has too few cores for two."""
    if "SLURM_CONF" not in os.environ:
        pytest.skip("SLURM_CONF does not name the settings of a Slurm cluster")
    with FileLock(tmp_path_factory.getbasetemp().parent / "slurm.lock"):
        yield


def launcher_config(*overrides: str) -> DictConfig:
    """Return the launcher that a sweep with these overrides uses."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
        return config.hydra.launcher


def test_one_word_chooses_where_runs_are_made() -> None:
    assert launcher_config().n_jobs == -1
    assert "Basic" in launcher_config("launch=basic")._target_
    assert "Basic" in launcher_config("hydra/launcher=basic")._target_
    chosen = launcher_config("launch=slurm", "out=there", "threads=3", "hydra.launcher.partition=short")
    assert (chosen.partition, chosen.cpus_per_task, chosen.timeout_min) == ("short", 3, 120)
    assert chosen.submitit_folder == "there/slurm/%j"
    assert choose_launch(["-m", "+launch=slurm", "+search=x"]) == ["-m", "launch=slurm", "+search=x"]


def test_hydra_finds_the_launcher() -> None:
    (found,) = (one for one in Plugins.instance().discover(Launcher) if one.__name__ == "ArrayLauncher")
    assert launcher_config("launch=slurm")._target_ == f"{found.__module__}.{found.__name__}"


def test_without_slurm_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # an empty folder
    monkeypatch.setattr(
        sys, "argv", ["run.py", "-m", "+launch=slurm", f"out={tmp_path}", "method=baseline", *TINY]
    )
    with pytest.raises(SystemExit, match="^Error: There is no sbatch here: start this on a machine of"):
        main(run, CONF)
    with pytest.raises(CalibError, match="There is no sbatch here"):
        carry_out_all(planned(tmp_path), CONF, "slurm")
    assert not list(tmp_path.rglob(RESULT))


def test_without_the_extra_hydra_passes_over_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.config", None)
    bare = runpy.run_path(str(calib_slurm.__file__))
    assert inspect.isabstract(bare["ArrayLauncher"])
    missing = MissingConfigException("", "hydra/launcher/submitit_slurm", ["basic", "joblib"])
    assert explain(missing, [], CONF).startswith("launch=slurm needs the package hydra-submitit-launcher")


def planned(out: Path) -> list:
    """Return those of three runs of the tiny study that have no record."""
    series = Series(["demo"], ["baseline"], ["paper"], [0], [" ".join(TINY)])
    return schedule(list(Planner(CONF, out).jobs([series])), guessed_seconds(CONF))


def made(state: str, result: JobReturn | None, folder: Path) -> SimpleNamespace:
    """Return a job as submitit describes it."""
    paths = SimpleNamespace(result_pickle=folder / "result", stderr=folder / "log")
    if result is not None:
        paths.result_pickle.touch()
    return SimpleNamespace(
        job_id="7_1", state=state, paths=paths, exception=lambda: None, results=lambda: [result]
    )


@pytest.mark.parametrize(
    ("state", "told"),
    [("UNKNOWN", "left the queue before it began"), ("CANCELLED by 0", "ended as CANCELLED by 0")],
)
def test_a_lost_job_costs_no_other(
    state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, None, False])  # None: Slurm does not answer, so nothing is known
    monkeypatch.setattr(calib_slurm, "_queued", lambda _: next(answers, False))
    monkeypatch.setattr(calib_slurm, "PAUSE", 0.01)
    monkeypatch.setattr(calib_slurm, "LATE", 0.1)
    good = JobReturn(status=JobStatus.COMPLETED)
    (tmp_path / "good").mkdir()
    jobs = [made(state, None, tmp_path), made("COMPLETED", good, tmp_path / "good")]
    calls = [([f"seed={n}"], "hydra.sweep.dir", n, "", None) for n in range(2)]
    lost, kept = object.__new__(ArrayLauncher)._wait("7", jobs, calls)
    assert kept is good
    assert (lost.overrides, lost.status) == (["seed=0"], JobStatus.FAILED)
    with pytest.raises(CalibError, match=f"Slurm's job 7_1 {told}; repeat the command to make the run"):
        _ = lost.return_value


def ask(*command: str) -> list[str]:
    """Return the words that a command of Slurm prints; it prints nothing about jobs that it does not know."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.split()


def queued(array: str, state: str) -> list[str]:
    """Return the elements of an array that are in a state."""
    return ask("squeue", "--noheader", "--array", f"--states={state}", "--format=%i", f"--jobs={array}")


def arrays(out: Path) -> set[str]:
    """Return the arrays whose files are below a folder."""
    return {folder.name.partition("_")[0] for folder in out.rglob("slurm/[0-9]*_[0-9]*")}


def until(happened: Callable[[], object], seconds: float = 180) -> None:
    """Wait until the function returns something true."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "nothing has happened"
        time.sleep(0.1)


@contextmanager
def counted(out: Path) -> Iterator[list[int]]:
    """Count the running elements of a folder's arrays, again and again, into the list."""
    counts, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.3):
            counts.extend(len(queued(array, "RUNNING")) for array in arrays(out))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield counts
    finally:
        stop.set()
        watcher.join()


def reproduce(out: Path, *options: str) -> subprocess.Popen[str]:
    """Start the script on the demo study under Slurm; interruptions reach it as from a terminal."""
    command = script("--series", "demo", "--out", str(out))
    return subprocess.Popen(
        [*command, "--launcher", "slurm", "--launcher-options", "timeout_min=5", "mem_gb=1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=allow_interrupts,
    )


def first_of_the_demo(out: Path, *methods: str) -> Run:
    """Return the run that ``reproduce`` gives to the first element of its array."""
    series = [one.narrowed(methods=methods) for one in read_series(CONF / PLAN, "demo")]
    return schedule(Planner(CONF, out).jobs(series), guessed_seconds(CONF))[0].job.run


@pytest.mark.usefixtures("_cluster")
@pytest.mark.slow
def test_every_launcher_writes_the_same_bytes_and_slurm_keeps_its_limit(tmp_path: Path) -> None:
    with counted(tmp_path) as running:
        assert carry_out_all(planned(tmp_path / "slurm"), CONF, "slurm", 1, ["timeout_min=5"]) == {}
    assert max(running) == 1
    written = []
    for launcher in ("slurm", "joblib", "basic"):
        out = tmp_path / launcher
        left = planned(out)
        assert not left or carry_out_all(left, CONF, launcher, 2) == {}
        files = [file for name in ("predictions.csv", "embedding.npz") for file in sorted(out.rglob(name))]
        written.append({str(file.relative_to(out)): file.read_bytes() for file in files})
    assert len(written[0]) == 6
    assert written[0] == written[1] == written[2]


@pytest.mark.usefixtures("_cluster")
@pytest.mark.slow
def test_lost_jobs_are_told_and_made_by_the_next_command(tmp_path: Path) -> None:
    options = ("--methods", "baseline,combat", "--jobs", "2")
    with counted(tmp_path) as running, reproduce(tmp_path, *options) as process:
        with first_of_the_demo(tmp_path, "baseline", "combat").record.locked():  # else it might end too early
            until(lambda: list(tmp_path.rglob("slurm/*_5")))
            (array,) = arrays(tmp_path)
            until(lambda: f"{array}_0" in queued(array, "RUNNING"))
            ask("scancel", f"{array}_4", f"{array}_5")
            until(lambda: ask("sacct", "--noheader", "--format=jobid", f"--jobs={array}_0.0"))
            ask("scancel", "--signal=KILL", f"{array}_0.0")  # as the system does when the memory is full
            until(lambda: f"{array}_0" not in queued(array, "RUNNING,COMPLETING"))
        told, errors = process.communicate(timeout=400)
    assert process.returncode == 1, errors
    failed = [line for line in told.splitlines() if line.startswith("Failed: ")]
    assert len(failed) == 3
    assert sum(f"Slurm's job {array}_{n} left the queue before it began;" in told for n in (4, 5)) == 2
    assert f"Slurm's job {array}_0 ended as FAILED (log: " in told
    assert max(running) <= 2
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob(RESULT)}
    assert len(stamps) == 3
    with reproduce(tmp_path, *options) as process:
        told, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert "6 runs, 3 recorded; 3 to make" in told
    assert len(list((tmp_path / "runs").rglob(RESULT))) == 6
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps


@pytest.mark.usefixtures("_cluster")
@pytest.mark.slow
def test_an_interruption_takes_the_jobs_out_of_the_queue(tmp_path: Path) -> None:
    with reproduce(tmp_path, "--methods", "joint,baseline", "--jobs", "1") as process:
        until(lambda: list(tmp_path.rglob("run.log")))
        (array,) = arrays(tmp_path)
        assert queued(array, "PENDING")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"Slurm's job {array} is cancelled" in errors
    assert "repeat the command to go on" in errors
    assert "Traceback" not in errors
    until(lambda: not queued(array, "PENDING,RUNNING"))
