"""Helpers for the tests of faults: sweeps in processes of their own, and the content of their records."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from calib.records.record import RESULT
from tests.conftest import ROOT

TIMES = ("seconds", "correction", "peak_memory_mb", "git", "files", "checksum")
"""Keys of a result that differ between repetitions: times, memory, the commit, and checksums of the files."""

COMPARED = ("predictions.csv", "embedding.npz", "history.csv", "mmd.csv")

SWEEP = ("--series", "demo", "--methods", "baseline,combat")
"""Arguments of a sweep with six runs and a correction, which takes some seconds."""


def script(*arguments: str) -> list[str]:
    """Return the command line of a reproduction."""
    return [sys.executable, str(ROOT / "scripts" / "reproduce.py"), *arguments]


def sweep(*arguments: str) -> list[str]:
    """Return the command line of ``run.py -m``."""
    return [sys.executable, str(ROOT / "run.py"), "-m", *arguments]


def called(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and return its exit status and output."""
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def started(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def allow_interrupts() -> None:
    """Allow interrupts, as a terminal does; a shell's background jobs, which tests may be, ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def killed(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to the whole process group, as a batch system does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """Wait until the condition returns something, and return it; fail if the process ends before."""
    until = time.monotonic() + 120
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def results(out: Path) -> dict[Path, bytes]:
    """Return the bytes of every result, after checking that each is complete."""
    found = {file: file.read_bytes() for file in out.glob(f"runs/*/*/*/{RESULT}")}
    for content in found.values():
        json.loads(content)
    return found


def content(out: Path) -> dict[str, Any]:
    """Return all that a sweep recorded except times: path -> bytes of a file, or content of a result."""
    found: dict[str, Any] = {}
    for file in sorted(out.glob(f"runs/*/*/*/{RESULT}")):
        result = json.loads(file.read_text())
        found[str(file.relative_to(out))] = {k: v for k, v in result.items() if k not in TIMES}
        for name in COMPARED:
            found[str(file.with_name(name).relative_to(out))] = file.with_name(name).read_bytes()
    return found


def children(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started."""
    found = []
    with suppress(OSError):  # the process has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def workers(pid: int) -> list[int]:
    """Return the ids of the Python processes that a process has started, without multiprocessing's helpers."""
    found = []
    for child in children(pid):
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"python" in command and b"tracker" not in command:
                found.append(child)
    return found


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started, and of those that they have started."""
    found = children(pid)
    return found + [one for child in found for one in descendants(child)]


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and is not collected yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status not in "ZX"
