"""The rows of data matrices as tensors, for training and for predictions block by block."""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from calib.data.matrix import Matrix, blocks, dense
from calib.runtime import Runtime

MERGED = 2**27
"""Most numbers (512 MB in float32) that are copied into one tensor, from which rows are gathered fastest."""


class Rows:
    """The rows of several batches, numbered from the first batch to the last, as tensors on demand.

    Sparse batches stay sparse, and large batches stay separate. Only the rows that are taken are made dense
    and copied. On a GPU all rows are made dense at once if they fill at most half of its free memory, since
    rows that are taken from the processor's memory make the GPU wait.
    """

    def __init__(self, x: Sequence[Matrix], runtime: Runtime) -> None:
        self._runtime = runtime
        self._features = x[0].shape[1]
        all_dense = not any(map(sparse.issparse, x))
        if all_dense and (runtime.device.type != "cpu" or sum(prod(part.shape) for part in x) <= MERGED):
            x = [np.ascontiguousarray(np.concatenate(x))]  # pandas keeps tables column by column
        self._parts = [runtime.tensor(part) if isinstance(part, np.ndarray) else part for part in x]
        self._ends = np.cumsum([part.shape[0] for part in x]).tolist()
        if runtime.device.type == "cuda" and not all_dense and _fits(x, runtime):
            self._parts = [dense_rows(x, runtime)]

    def take(self, index: Tensor) -> Tensor:
        """Return the rows with these numbers, ``(len(index), features)``, on the run's device."""
        if len(self._parts) == 1:
            return self._part(0, index)
        rows = torch.empty(len(index), self._features, dtype=self._runtime.dtype, device=self._runtime.device)
        owner = torch.bucketize(index, torch.tensor(self._ends, device=index.device), right=True)
        for number in owner.unique().tolist():
            here = (owner == number).nonzero()[:, 0]
            start = self._ends[number - 1] if number else 0
            rows[here] = self._part(number, index[here] - start)
        return rows

    def _part(self, number: int, index: Tensor) -> Tensor:
        """Return rows of one batch, by their numbers within it."""
        part = self._parts[number]
        if isinstance(part, Tensor):
            return part.index_select(0, index)
        return self._runtime.tensor(part[index.cpu().numpy()].toarray())


def _fits(x: Sequence[Matrix], runtime: Runtime) -> bool:
    """Return whether all rows fill at most half of a GPU's free memory when they are dense."""
    free, _ = torch.cuda.mem_get_info(runtime.device)
    return 2 * sum(prod(part.shape) for part in x) * runtime.dtype.itemsize <= free


def dense_rows(x: Sequence[Matrix], runtime: Runtime) -> Tensor:
    """Return the rows of all batches on the run's device, dense; on the processor one block is at a time."""
    rows = sum(part.shape[0] for part in x)
    made = torch.empty(rows, x[0].shape[1], dtype=runtime.dtype, device=runtime.device)
    start = 0
    for part in x:
        for block in blocks(part):
            values = runtime.tensor(dense(part[block]))
            made[start : start + len(values)] = values
            start += len(values)
    return made


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the processor on a device; neither waits for the other."""
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


@torch.inference_mode()
def by_blocks(
    judge: Callable[[Tensor], Tensor], x: Matrix, runtime: Runtime, whole: bool = False
) -> NDArray[np.floating]:
    """Apply a trained network to every row of a batch, and return its outputs ``(rows, ...)``.

    Args:
        judge: the network; takes rows as ``(1, rows, features)`` and returns ``(1, rows, ...)``.
        x: the batch ``(rows, features)``.
        runtime: gives the device and the number type.
        whole: whether to pass all rows at once, for networks whose output for a row depends on the others.
    """
    out = None
    for rows in [slice(0, x.shape[0])] if whole else blocks(x):
        part = judge(runtime.tensor(dense(x[rows]))[None])[0].cpu().numpy()
        if len(part) == x.shape[0]:
            return part
        if out is None:
            out = np.empty((x.shape[0], *part.shape[1:]), part.dtype)
        out[rows] = part
    assert out is not None  # there is at least one block
    return out
