"""Checks before a training: whether the data are what the method assumes, and whether the memory suffices.

Their warnings are logged, kept in ``result.json`` and shown on the report page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from calib.data.cautions import Caution
from calib.data.matrix import Matrix
from calib.data.study import LabelledTask, Task
from calib.runs.memory import check_memory, free_memory
from calib.runs.run import Run

ASSUMPTIONS = ("any", "intensities", "counts", "logarithms")
"""What the card of a method may say of its input (``card.assumes``).

``intensities`` are not negative, ``counts`` are whole numbers, too, and ``logarithms`` are small numbers.
"""
LOGARITHM = 100
"""Absolute value above which data are no logarithms: 2^100 is more than any instrument counts."""
ROWS = 200
"""Rows of each batch that are looked at for fractions, from its beginning."""


def before_training(run: Run, task: Task | LabelledTask) -> list[Caution]:
    """Return the warnings about the data of a training.

    Raises:
        CalibError: the method takes more memory than is free.
    """
    name, features = run.config.method.name, task.sources[0].x.shape[1]
    check_memory(
        name,
        run.method.most_weights(features, len(task.sources), len(task.batches)),
        run.method.dense_copies,
        sum(batch.x.shape[0] for batch in task.batches),
        features,
        np.dtype(run.config.dtype).itemsize,
        free_memory(run.config.device),
    )
    return [*unmet(name, assumption(run.config.method), facts([batch.x for batch in task.batches]))]


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
