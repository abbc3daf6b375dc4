"""Checks before a training: whether the data are what the method assumes, and whether the memory suffices.

Their warnings are logged, kept in ``result.json`` and shown on the report page.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from calib.data.cautions import Caution
from calib.data.matrix import Matrix
from calib.data.study import LabelledTask, Task
from calib.runs.run import Run

ASSUMPTIONS = ("any", "intensities", "counts", "logarithms")
"""What the card of a method may say of its input (``card.assumes``).

``intensities`` are not negative, ``counts`` are whole numbers, too, and ``logarithms`` are small numbers.
"""
LOGARITHM = 100
"""Absolute value above which data are no logarithms: 2^100 is more than any instrument counts."""
ROWS = 200
"""Rows of each batch that are looked at for fractions, from its beginning."""
MEMINFO = Path("/proc/meminfo")
"""Where Linux says how much memory is available."""
COPIES = 4
"""Numbers that Adam's training keeps for each weight: itself, its gradient and two moments."""


def before_training(run: Run, task: Task | LabelledTask) -> list[Caution]:
    """Return the warnings about the data and the memory of a training."""
    name = run.config.method.name
    found = [*unmet(name, assumption(run.config.method), facts([batch.x for batch in task.batches]))]
    sizes = task.sources[0].x.shape[1], len(task.sources), len(task.batches)
    needed = run.method.most_weights(*sizes) * COPIES * np.dtype(run.config.dtype).itemsize
    return [*found, *too_large(name, needed, free_memory(run.config.device), sizes[0])]


def assumption(method: DictConfig) -> str:
    """Return what a method assumes of its input; a wrapper assumes what the wrapped method does."""
    card: Any = OmegaConf.to_container(method, resolve=True)
    while isinstance(card.get("method"), dict):
        card = card["method"]
    assumes = str(card.get("card", {}).get("assumes", "any"))
    if assumes == "counts" and card.get("logged"):  # logarithms of counts, which the method turns back
        return "intensities"
    return assumes


@dataclass(frozen=True)
class Facts:
    """The values of all batches: the smallest, the largest absolute one, and whether some are fractions."""

    smallest: float
    largest: float
    fractions: bool


def facts(batches: Sequence[Matrix]) -> Facts:
    """Return the facts of data ``(samples, features)`` of several batches."""
    values = [x if isinstance(x, np.ndarray) else x.data for x in batches]
    first = [part if isinstance(part, np.ndarray) else part.data for part in (x[:ROWS] for x in batches)]
    return Facts(
        min((float(part.min()) for part in values if part.size), default=0.0),
        max((float(max(part.max(), -part.min())) for part in values if part.size), default=0.0),
        any(bool((part != np.rint(part)).any()) for part in first),
    )


def unmet(name: str, assumes: str, data: Facts) -> Iterator[Caution]:
    """Yield a warning if the data are not what the card of method ``name`` says."""
    if assumes in ("intensities", "counts") and data.smallest < 0:
        yield Caution(
            "assumes_no_negative_values",
            f"method={name} is made for {assumes}, and the data have negative values, the smallest "
            f"{data.smallest:.3g}; give it the data before logarithm or centring, or take another method.",
        )
    elif assumes == "counts" and data.fractions:
        yield Caution(
            "assumes_counts",
            f"method={name} is made for counts, and the data have fractions; give it the raw counts (as with "
            "dataset.layer=counts), or take another method.",
        )
    elif assumes == "logarithms" and data.largest > LOGARITHM:
        yield Caution(
            "assumes_logarithms",
            f"method={name} is made for a logarithmic scale, and the largest value is {data.largest:.3g}; "
            "set protocol.transform=arcsinh or log2, or give it logarithms.",
        )


def too_large(name: str, needed: int, free: int | None, features: int) -> Iterator[Caution]:
    """Yield a warning if the networks need more memory than is free.

    Args:
        name: name of the method.
        needed: bytes of the networks and of their training.
        free: bytes that are free, None where that is unknown.
        features: number of features of the study.
    """
    if free is not None and needed > free:
        yield Caution(
            "more_memory_than_free",
            f"The networks of method={name} are as wide as the data, {features:,} features, and their "
            f"training takes about {needed / 1e9:.0f} GB, of which {free / 1e9:.0f} GB are free; choose "
            "fewer features (dataset.features), or a method with narrow networks, such as "
            "standardise_network.",
        )


def free_memory(device: str) -> int | None:
    """Return the bytes that are free on a device, or None where the system does not say."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    if MEMINFO.is_file():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None
