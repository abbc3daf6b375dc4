"""Mini-batches of all batches in lockstep: which rows they have, and the data and labels of these rows."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calib.data.matrix import Matrix
from calib.data.study import Task
from calib.data.tensors import Rows
from calib.runtime import Runtime

AnyArray = TypeVar("AnyArray")


class Pool:
    """Data and labels of several batches on the run's device, for mini-batches.

    Args:
        x: data of each batch ``(rows, features)``, source batches first.
        y: class indices of each source batch ``(rows,)``.
        runtime: gives the device and the number type.
        members: the positions in ``x`` of the batches that each network of a stack takes; None: all batches,
            for each.
        labels: the positions in ``y`` of the labels of each network's sources, in their order; None: all of
            them, for each.
    """

    def __init__(
        self,
        x: Sequence[Matrix],
        y: Sequence[NDArray[np.integer]],
        runtime: Runtime,
        members: Sequence[Sequence[int]] | None = None,
        labels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.sizes = [rows.shape[0] for rows in x]
        self._x = Rows(x, runtime)
        self._y = torch.as_tensor(np.concatenate(y)).to(runtime.device)

        def starts(parts: Sequence[Any], chosen: Sequence[Sequence[int]] | None) -> Tensor:
            """Return the number of the first row of each part, or of the chosen parts of each network."""
            first = np.cumsum([0, *(part.shape[0] for part in parts[:-1])])
            first = first if chosen is None else first[np.asarray(chosen)]
            return torch.as_tensor(first, device=runtime.device)[..., None]

        self._starts, self._label_starts = starts(x, members), starts(y, labels)

    @classmethod
    def of_tasks(cls, tasks: Sequence[Task], runtime: Runtime) -> "Pool":
        """Return the pool of a stack with a network for each task; data that tasks share are in it once."""
        x, members = _once([[batch.x for batch in task.batches] for task in tasks])
        y, labels = _once([[source.y for source in task.sources] for task in tasks])
        return cls(x, y, runtime, members, labels)

    def x(self, rows: Tensor) -> Tensor:
        """Return data ``(seeds, batches, batch_size, features)`` of ``rows (seeds, batches, batch_size)``."""
        flat = (rows + self._starts).flatten()
        return self._x.take(flat).unflatten(0, rows.shape)

    def y(self, rows: Tensor) -> Tensor:
        """Return the labels ``(seeds, sources, batch_size)`` of the sources' part of ``rows``."""
        return self._y[rows[:, : self._label_starts.shape[-2]] + self._label_starts]


def _once(groups: Sequence[Sequence[AnyArray]]) -> tuple[list[AnyArray], list[list[int]]]:
    """Return every array of some groups once, and for each group the positions of its arrays."""
    found = {id(one): one for group in groups for one in group}
    places = {identity: place for place, identity in enumerate(found)}
    return list(found.values()), [[places[id(one)] for one in group] for group in groups]


def lockstep(
    sizes: Sequence[int], batch_size: int, generator: torch.Generator, discard_first: bool
) -> Iterator[Tensor]:
    """Yield mini-batches of all batches without end: row indices ``(len(sizes), batch_size)``.

    Each batch is shuffled, cut into full mini-batches and shuffled again when they are used up. Rows
    left over wait for another shuffle. With ``discard_first`` the first mini-batch comes from a shuffle
    of its own, as in the released code, which makes new iterators right after it.
    """

    def stream(size: int) -> Iterator[Tensor]:
        passes = (part for _ in iter(int, 1) for part in _one_pass(size, batch_size, generator))
        first = _one_pass(size, batch_size, generator)[:1] if discard_first else []
        return chain(first, passes)

    return (torch.stack(parts) for parts in zip(*map(stream, sizes), strict=True))


def _one_pass(size: int, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Return one shuffle of ``size`` rows, cut into full mini-batches.

    A batch smaller than a mini-batch is shuffled several times, until one is full.
    """
    shuffles = [torch.randperm(size, generator=generator) for _ in range(-(-batch_size // size))]
    rows = torch.cat(shuffles)
    return rows[: max(len(rows) // batch_size, 1) * batch_size].view(-1, batch_size).unbind()
