"""What the tests of faults have in common: sweeps in processes of their own, and what is in their records."""

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
"""What in a result differs from one time to the next: times, memory, the commit, and checksums of the files."""

COMPARED = ("predictions.csv", "embedding.npz", "history.csv", "mmd.csv")

SWEEP = ("--series", "demo", "--methods", "baseline,combat")
"""Six runs and a correction, some seconds altogether."""


def script(*arguments: str) -> list[str]:
    """The command line of a reproduction."""
    return [sys.executable, str(ROOT / "scripts" / "reproduce.py"), *arguments]


def sweep(*arguments: str) -> list[str]:
    """The command line of ``run.py -m``."""
    return [sys.executable, str(ROOT / "run.py"), "-m", *arguments]


def called(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """The command carried out, with what it says."""
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def started(command: Sequence[str]) -> subprocess.Popen[str]:
    """The command begun, in a process group of its own."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def killed(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the whole group, as a batch system or a loss of power does it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What the condition gives as soon as it gives something, while the process lives."""
    until = time.monotonic() + 120
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def results(out: Path) -> dict[Path, bytes]:
    """The bytes of every result; each is whole."""
    found = {file: file.read_bytes() for file in out.glob(f"runs/*/*/*/{RESULT}")}
    for content in found.values():
        json.loads(content)
    return found


def content(out: Path) -> dict[str, Any]:
    """All that a sweep recorded, apart from times: place -> bytes of the files, content of the result."""
    found: dict[str, Any] = {}
    for file in sorted(out.glob(f"runs/*/*/*/{RESULT}")):
        result = json.loads(file.read_text())
        found[str(file.relative_to(out))] = {k: v for k, v in result.items() if k not in TIMES}
        for name in COMPARED:
            found[str(file.with_name(name).relative_to(out))] = file.with_name(name).read_bytes()
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    with suppress(OSError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def workers(pid: int) -> list[int]:
    """The Python processes that a process has started, without multiprocessing's helpers."""
    found = []
    for child in children(pid):
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"python" in command and b"tracker" not in command:
                found.append(child)
    return found
