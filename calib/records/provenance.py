"""What a result depends on beside its settings: versions, machine, revision of the code."""

import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch

from calib import __version__

PACKAGES = ("torch", "numpy", "scikit-learn", "pandas", "hydra-core")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that touch numbers."""
    own = {"python": platform.python_version(), "calib": __version__}
    return own | {name: version(name) for name in PACKAGES}


def hardware(device: str, threads: int) -> dict[str, str | int]:
    """The processor or accelerator that did the work, and how many threads it was given."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    used = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return {"processor": processor, "device": used, "threads": threads}


def revision() -> dict[str, str | bool] | None:
    """Commit of the code and whether its tracked files differ; None where the code is not under git."""
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
    """Largest memory that this process has held so far, in MB; None where the system cannot tell."""
    if sys.platform == "win32":
        return None
    import resource

    with suppress(
        OSError
    ):  # Linux; what getrusage tells there a process inherits from the one that started it
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return round(int(found[1]) / 2**10, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
