"""Time of commands that train nothing, and of a run until its first epoch; part of ``make bench``.

Every command runs in its own process, three times, of which the fastest counts. A line with the package that
takes longest to import shows how much of a time is this machine's.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from common import ROUNDS

from calib.errors import CalibError

CALIB = ("-m", "calib.commands")
STATUS = (*CALIB, "reproduce", "--series", "demo", "--dry-run")
FIRST_EPOCH = (
    "import os, sys; from calib.commands import main; from calib.runtime import Runtime; "
    "Runtime.epochs = lambda *_: os._exit(0); "
    "sys.argv = ['calib', 'run', 'dataset=demo', 'method=joint']; main()"
)
"""A run of joint on the simulated study, which ends where its first epoch would begin."""

COMMANDS = {
    "import torch": ("-c", "import torch"),
    "calib --help": (*CALIB, "--help"),
    "calib methods": (*CALIB, "methods"),
    "calib answer --help": (*CALIB, "answer", "--help"),
    "calib predict --help": (*CALIB, "predict", "--help"),
    "calib reproduce --help": (*CALIB, "reproduce", "--help"),
    "calib search --help": (*CALIB, "search", "--help"),
    "calib run --help": (*CALIB, "run", "--help"),
    "calib run --cfg job": (*CALIB, "run", "--cfg", "job"),
    "calib check dataset=demo": (*CALIB, "check", "dataset=demo"),
    "calib reproduce --dry-run, joint on demo": (*STATUS, "--methods", "joint"),
    "calib reproduce --dry-run, all methods on demo": STATUS,
    "calib run dataset=demo, to the first epoch": ("-c", FIRST_EPOCH),
}
"""Name -> arguments of Python."""


def of_children() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(arguments: Sequence[str]) -> float:
    """Return the processor seconds of Python with these arguments, the least of ``ROUNDS``.

    Raises:
        CalibError: the process failed.
    """
    found = []
    for _ in range(ROUNDS):
        before = of_children()
        with tempfile.TemporaryDirectory() as empty:  # so no command finds what another has recorded
            command = [sys.executable, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=empty)
        if done.returncode:
            raise CalibError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
        found.append(of_children() - before)
    return min(found)


def main() -> None:
    """Print one line for each command."""
    print(f"{'command':<52}{'processor seconds':>18}")
    for name, arguments in COMMANDS.items():
        print(f"{name:<52}{measured(arguments):18.2f}", flush=True)
