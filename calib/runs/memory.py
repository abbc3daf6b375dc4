"""The memory that a training takes, and what is free: what does not fit is refused before it starts."""

import os
from contextlib import suppress
from pathlib import Path

import torch

from calib.errors import CalibError

MEMINFO = Path("/proc/meminfo")
"""Where Linux says how much memory is available."""
GROUP = Path("/sys/fs/cgroup")
"""Where Linux says how much memory a container or a batch job may take."""
COPIES = 4
"""Numbers that Adam's training keeps for each weight: itself, its gradient and two moments."""
DENSE = 8
"""Bytes of a number of the data, where all of them are held at once (float64)."""


def check_memory(
    name: str, weights: int, copies: float, samples: int, features: int, itemsize: int, free: int | None
) -> None:
    """Raise CalibError if a method takes more memory than is free.

    Args:
        name: name of the method.
        weights: weights of its networks (``Method.most_weights``).
        copies: how many times it holds all data (``Method.dense_copies``).
        samples, features: size of the data.
        itemsize: bytes of a weight.
        free: bytes that are free, None where that is unknown.
    """
    networks, data = weights * COPIES * itemsize, round(copies * samples * features * DENSE)
    if free is None or networks + data <= free:
        return
    other = (
        "baseline, which reads the rows as it needs them"
        if data > networks
        else "standardise_network, whose networks are narrow"
    )
    raise CalibError(
        f"method={name} takes about {(networks + data) / 1e9:,.1f} GB of memory for {samples:,} samples of "
        f"{features:,} features, and {free / 1e9:,.1f} GB are free; choose fewer features (dataset.features) "
        f"or samples, make fewer runs at once, take a larger machine, or another method, such as {other}."
    )


def free_memory(device: str) -> int | None:
    """Return the bytes that are free on a device, or None where the system does not say.

    On a processor they are those of the machine, or of a limit of this process or of its group (a container,
    a batch job) where that leaves fewer.
    """
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    found = [_of_machine(), _of_process(), *map(_of_group, _groups())]
    return min((free for free in found if free is not None), default=None)


def _of_machine() -> int | None:
    """Return the bytes that the machine has, without those in use where that is known."""
    if MEMINFO.is_file():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None


def _groups() -> list[Path]:
    """Return the folders of the group of this process and of the groups around it; each has a limit."""
    inner = ""
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
        inner = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    own = GROUP / inner
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(GROUP)]


def _of_group(folder: Path) -> int | None:
    """Return the bytes that the group of this process may still take, or None without a limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        most = int((folder / "memory.max").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
        return most - used + int(stat.get("inactive_file", 0))  # cached files give way
    return None


def _of_process() -> int | None:
    """Return the bytes that this process may still take (``ulimit -v``), or None without a limit."""
    with suppress(ImportError, OSError):  # not on this system
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return most - pages * resource.getpagesize()
    return None
