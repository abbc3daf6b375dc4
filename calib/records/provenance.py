"""The origin of a result: versions of packages, machine, revision of the code."""

import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from calib import __version__
from calib.files import facts

PACKAGES = ("torch", "numpy", "scikit-learn", "pandas", "hydra-core")
"""The packages whose versions are recorded."""

PACKAGE = Path(__file__).resolve().parent.parent


def versions() -> dict[str, str]:
    """Return the versions of Python, of calib and of the packages that compute its numbers."""
    own = {"python": platform.python_version(), "calib": __version__}
    return own | {name: version(name) for name in PACKAGES}


@cache
def code() -> tuple[int | str, ...]:
    """Return the checksums of the package's own files, so that what any other code has made is not reused."""
    files = (file for file in sorted(PACKAGE.rglob("*")) if file.is_file() and file.suffix != ".pyc")
    return tuple(facts(file)["sha256"] for file in files)


def hardware(device: str, threads: int) -> dict[str, str | int]:
    """Return the names of the processor and of the accelerator, and the number of threads.

    A GPU's ``algorithms`` say whether PyTorch took those that give the same numbers again.
    """
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    gpu = {} if (name := device_name(device)) == "cpu" else {"algorithms": algorithms()}
    return {"processor": processor, "device": name, "threads": threads, **gpu}


def made_elsewhere(result: Mapping[str, Any], device: str) -> str:
    """Return the sentence that says how a result was made otherwise than now, or "" if it was not.

    Args:
        result: content of a ``result.json``, whose ``versions`` and ``hardware`` are compared.
        device: the device that the run would be made on now.
    """
    known, now = result.get("versions"), versions()
    parts = [
        f"{name} {then} (now {now[name]})"
        for name, then in (known.items() if isinstance(known, dict) else ())
        if name in now and now[name] != then
    ]
    then = result.get("hardware")
    if isinstance(then, dict) and "device" in then:
        with suppress(RuntimeError, AssertionError, ValueError):  # this machine does not have the device
            used = device_name(device)
            parts += [f"the device {then['device']} (now {used})"] if then["device"] != used else []
    if not parts:
        return ""
    return f"It was made with {', '.join(parts)}, so its last digits may differ from a run made now."


def device_name(device: str) -> str:
    """Return the name of the accelerator, or ``cpu``."""
    if not device.startswith("cuda"):
        return "cpu"
    import torch  # takes seconds, and a run that is found again needs it for a GPU only

    return torch.cuda.get_device_name(device)


def algorithms() -> str:
    """Return the algorithms that PyTorch takes on a GPU: ``deterministic`` if it can, or ``fastest``."""
    import torch

    return "deterministic" if torch.are_deterministic_algorithms_enabled() else "fastest"


def revision() -> dict[str, str | bool] | None:
    """Return the commit of the code and whether tracked files differ from it; None if there is no git."""
    root = Path(__file__).resolve().parent.parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "calib/records/provenance.py")
        changed = git("status", "--porcelain", "--untracked-files=no")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return None


def peak_memory_mb() -> float | None:
    """Return the largest memory that this process has held so far, in MB; None if the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    with suppress(OSError):  # on Linux, where a child's value in getrusage starts at that of its parent
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return round(int(found[1]) / 2**10, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
