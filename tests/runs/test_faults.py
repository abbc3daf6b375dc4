"""Faults made on purpose: kills, two sweeps at once, no memory, no room; each really happens, in real sweeps."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calib.records.record import RESULT
from tests.conftest import SMALL, fast
from tests.faults import (
    SWEEP,
    alive,
    called,
    content,
    descendants,
    killed,
    results,
    script,
    started,
    sweep,
    wait_for,
    workers,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, fork and mount"),
]

KILLS = 8
TINY = [*SMALL, *fast("joint")]


took: list[float] = []
"""Seconds of the undisturbed sweep."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the sweep records when nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed")
    begun = time.monotonic()
    done = called(script(*SWEEP, "--jobs", "1", "--out", str(out)))
    took.append(time.monotonic() - begun)
    assert done.returncode == 0, done.stderr
    assert len(results(out)) == 6
    return content(out)


def test_a_sweep_killed_again_and_again_loses_nothing(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    """SIGKILL to the whole group; what is finished stays as it is, to the byte."""
    rng, kills, rounds, midway = random.Random(0), 0, 0, 0
    while kills < KILLS:
        out, rounds = tmp_path / str(rounds), rounds + 1
        command = script(*SWEEP, "--jobs", "1", "--out", str(out))
        finished: dict[Path, bytes] = {}
        while len(finished) < 6 and kills < KILLS:
            process = started(command)
            time.sleep(took[0] * rng.uniform(0.05, 0.65))  # from the imports to the middle of the runs
            killed(process)
            kills += 1
            now = results(out)
            assert now | finished == now, "a finished record is gone or another"
            midway += any(not (log.parent / RESULT).exists() for log in out.rglob("run.log"))
            finished = now
        if kills == KILLS:
            done = called(command)
            assert done.returncode == 0, done.stderr
            assert results(out) | finished == results(out)
            assert not list(out.rglob(".*")), "left behind by the killed"
        assert content(out) == undisturbed
    print(f"\n{kills} kills in {rounds} sweeps; after {midway} of them a run was half made; 0 records lost")
    assert midway >= 1


def test_two_sweeps_at_once_make_each_run_once(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    processes = [started(script(*SWEEP, "--jobs", "1", "--out", str(tmp_path))) for _ in range(2)]
    finished: dict[Path, bytes] = {}
    while any(process.poll() is None for process in processes):
        now = results(tmp_path)
        assert now | finished == now, "made twice, with other times"
        finished = now
        time.sleep(0.05)
    for process in processes:
        told = process.communicate()[0]
        assert process.returncode == 0, told
    assert content(tmp_path) == undisturbed


def test_a_killed_run_is_named_and_stops_no_other(tmp_path: Path) -> None:
    command = sweep("seed=0,1,2", f"out={tmp_path}", *TINY, "method.epochs=100", "hydra.launcher.n_jobs=2")
    process = started(command)
    wait_for(lambda: list(tmp_path.rglob("run.log")), process)
    victim = wait_for(lambda: [p for w in workers(process.pid) for p in workers(w)], process)[0]
    os.kill(victim, signal.SIGKILL)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    (sentence,) = {line for line in told.splitlines() if "was killed (SIGKILL)" in line and "failed" in line}
    assert "most likely because the memory was full; the other runs go on" in sentence
    assert "seed=" in sentence
    assert "Traceback" not in told
    assert len(results(tmp_path)) == 2
    before = results(tmp_path)
    again = called(command)
    assert again.returncode == 0, again.stderr
    assert len(results(tmp_path)) == 3
    assert results(tmp_path) | before == results(tmp_path)


@pytest.mark.parametrize(
    ("number", "script_of"),
    [(signal.SIGTERM, sweep), (signal.SIGKILL, script)],
    ids=["SIGTERM-run.py", "SIGKILL-reproduce.py"],
)
def test_children_end_with_their_parent(
    number: signal.Signals, script_of: Callable[..., list[str]], tmp_path: Path
) -> None:
    tiny = ("seed=0,1,2,3", f"out={tmp_path}", *TINY, "method.epochs=2000", "hydra.launcher.n_jobs=2")
    series = (*SWEEP, "--jobs", "2", "--out", str(tmp_path))
    command = script_of(*(tiny if script_of is sweep else series))
    process = started(command)
    wait_for(lambda: list(tmp_path.rglob("run.log")), process)
    wait_for(lambda: [p for w in workers(process.pid) for p in workers(w)], process)
    family = descendants(process.pid)
    assert len(family) >= 3, "two workers and a training at least"
    os.kill(process.pid, number)  # to the parent alone
    told = process.communicate(timeout=60)[0]
    assert process.returncode == (143 if number == signal.SIGTERM else -9), told
    assert "Traceback" not in told
    until = time.monotonic() + 20
    while left := [pid for pid in family if alive(pid)]:
        assert time.monotonic() < until, f"{len(left)} of {len(family)} processes go on"
        time.sleep(0.1)
    again = called([*command[:2], *(part.replace("epochs=2000", "epochs=1") for part in command[2:])])
    assert again.returncode == 0, again.stderr
    assert "Another process is making the record" not in again.stdout + again.stderr


def test_a_single_run_that_is_terminated_leaves_no_lock(tmp_path: Path) -> None:
    process = started([sys.executable, sweep()[1], f"out={tmp_path}", *TINY, "method.epochs=2000"])
    wait_for(lambda: list(tmp_path.rglob("run.log")), process)
    os.kill(process.pid, signal.SIGTERM)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 143, told
    assert "Traceback" not in told
    assert not list(tmp_path.rglob(".*"))
    assert not results(tmp_path)


def test_a_killed_worker_is_replaced(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    process = started(script(*SWEEP, "--jobs", "2", "--out", str(tmp_path)))
    wait_for(lambda: list(tmp_path.rglob("run.log")), process)
    victim = wait_for(lambda: [w for w in workers(process.pid) if workers(w)], process)[0]
    os.kill(victim, signal.SIGKILL)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert "A worker process was killed; going on with the" in told
    assert content(tmp_path) == undisturbed


def test_a_killed_worker_of_run_py_is_said_in_one_sentence(tmp_path: Path) -> None:
    command = sweep("seed=0,1,2", f"out={tmp_path}", *TINY, "method.epochs=100", "hydra.launcher.n_jobs=2")
    process = started(command)
    victim = wait_for(lambda: [w for w in workers(process.pid) if workers(w)], process)[0]
    os.kill(victim, signal.SIGKILL)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert told.splitlines()[-1].startswith("Error: a worker process was killed")
    assert "Traceback" not in told
    assert called(command).returncode == 0
    assert len(results(tmp_path)) == 3


def test_a_run_without_memory_stops_no_other(tmp_path: Path) -> None:
    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

    widths = "method.corrector.latent=50,8000000,60"  # the second takes 32 GB
    command = sweep(
        "method=normae", widths, f"out={tmp_path}", *SMALL, *fast("normae"), "hydra.launcher.n_jobs=2"
    )
    done = called(command, preexec_fn=little_memory)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "demo 12_3 normae, protocol paper, seed 0 needs more memory than there is" in done.stderr
    assert len(results(tmp_path)) == 2
    (error,) = tmp_path.glob("runs/*/*/*/error.txt")
    assert "can't allocate memory" in error.read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a tmpfs with these options, or mounts it again with others; the folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        done = called(["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)])
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        return folder

    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def is_said(done: subprocess.CompletedProcess[str], sentence: str) -> bool:
    """Whether the sweep failed with this sentence and no traceback."""
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "Traceback" not in told, told
    assert "Logging error" not in told, told
    return sentence in told


def test_a_full_disk(small_disk: Callable[[str], Path], undisturbed: dict[str, object]) -> None:
    disk, full = small_disk("size=64k"), 0
    finished: dict[Path, bytes] = {}
    for size in (64, 256, 512):
        small_disk(f"size={size}k")
        done = called(script(*SWEEP, "--jobs", "1", "--out", str(disk / "out")))
        now = results(disk / "out")
        assert now | finished == now
        assert not list(disk.rglob(".*")), "left behind on the full disk"
        finished = now
        assert is_said(done, "No space left on device"), done.stdout + done.stderr
        full += 1
    small_disk("size=64m")
    done = called(script(*SWEEP, "--jobs", "1", "--out", str(disk / "out")))
    assert done.returncode == 0, done.stderr
    assert results(disk / "out") | finished == results(disk / "out")
    assert content(disk / "out") == undisturbed
    print(f"\n{full} sweeps on a full disk, {len(finished)} of 6 records kept, 0 lost")


@pytest.mark.parametrize("limit", [1000, 60_000])
def test_files_that_cannot_grow(limit: int, tmp_path: Path, undisturbed: dict[str, object]) -> None:
    """The full disk where nothing can be mounted: a quota on the size of every file."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = script(*SWEEP, "--jobs", "1", "--out", str(tmp_path / "out"))
    assert is_said(called(command, preexec_fn=limited), "File too large")
    assert not results(tmp_path / "out")
    assert called(command).returncode == 0
    assert content(tmp_path / "out") == undisturbed


def test_a_read_only_folder(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=64m")
    command = script(*SWEEP, "--jobs", "1", "--out", str(disk / "out"))
    small_disk("ro")
    assert is_said(called(command), "Read-only file system")
    small_disk("rw")
    assert called(command).returncode == 0
    before = results(disk / "out")
    small_disk("ro")
    assert is_said(called(command), "Read-only file system")  # the report cannot be written; no run is made
    single = [sys.executable, script()[1].replace("scripts/reproduce", "run"), "method=baseline"]
    done = called([*single, f"out={disk / 'out'}"])
    assert done.returncode == 0, done.stderr  # a recorded run needs nothing to be written
    assert results(disk / "out") == before


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    for jobs in ("1", "2"):
        done = called(script(*SWEEP, "--jobs", jobs, "--out", str(tmp_path / "out")))
        assert is_said(done, "cannot be written to")
    assert is_said(called(sweep("seed=0,1", f"out={tmp_path / 'out'}", *TINY)), str(tmp_path / "out"))


@pytest.mark.slow
def test_a_run_after_numba_in_the_same_process() -> None:
    """As with --jobs 1 after a study whose genes scanpy has chosen."""
    program = """
import calib.runs.isolation
import numba
import numpy as np

@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i]
    return s

def task(config):
    assert total(np.ones(100)) == 100

task(None)
calib.runs.isolation.isolated(task, lambda config: "the run")(None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_error_in_answer_to_the_signal_stands_for_the_end() -> None:
    """As of a library whose cleaning up fails when the signal comes in the middle of it."""
    code = (
        "import os, signal, time\n"
        "from calib.runs.isolation import ending_in_order\n"
        "with ending_in_order():\n"
        "    try:\n"
        "        os.kill(os.getpid(), {signal})\n"
        "        time.sleep(1)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "    raise ValueError('no attribute')\n"
    )
    for number, expected in ((int(signal.SIGTERM), 143), (0, 1)):
        command = [sys.executable, "-c", code.format(signal=number)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == expected
