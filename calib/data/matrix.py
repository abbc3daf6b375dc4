"""Data that may be sparse: as an array, in blocks of rows, and what has to be the same either way."""

from collections.abc import Callable, Iterator, Sequence, Sized
from math import prod
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from calib.runtime import Runtime

Matrix: TypeAlias = NDArray[np.floating] | sparse.csr_array
"""``(samples, features)``."""

BLOCK = 2**25
"""Most numbers of a block: 128 MB in float32."""


def dense(x: Matrix) -> NDArray[np.floating]:
    """The matrix as an array."""
    return x if isinstance(x, np.ndarray) else x.toarray()


def pieces(x: NDArray[Any], of: Sequence[Sized]) -> list[NDArray[Any]]:
    """The rows of ``x``, cut into pieces as long as the things that were stacked to make it."""
    return np.split(x, np.cumsum([len(one) for one in of])[:-1])


def blocks(x: Matrix) -> Iterator[slice]:
    """Its rows in order, in slices of at most ``BLOCK`` numbers; at least one slice, empty without rows."""
    samples, features = x.shape
    step = max(BLOCK // max(features, 1), 1)
    return (slice(start, min(start + step, samples)) for start in range(0, max(samples, 1), step))


def as_floats(values: Any) -> Matrix:
    """Values of any number type without loss, float32 where that holds them, else float64.

    Sparse ones stay so where fewer than half are not zero: otherwise the array takes less memory.
    """
    kind = np.promote_types(values.dtype, np.float32)
    if not sparse.issparse(values):
        return np.asarray(values, kind)
    if 2 * values.nnz >= np.prod(values.shape, dtype=float):
        return values.toarray().astype(kind, copy=False)
    x = sparse.csr_array(values, dtype=kind)
    x.sum_duplicates()  # a file may hold an entry in parts, and the logarithm is not additive
    return x


def infinite_feature(x: Matrix) -> int | None:
    """Position of the first feature with a missing or infinite value, or None."""
    if isinstance(x, np.ndarray):
        finite = np.logical_and.reduce([np.isfinite(x[rows]).all(axis=0) for rows in blocks(x)])
        wrong = np.flatnonzero(~finite)
    else:
        wrong = x.indices[~np.isfinite(x.data)]
    return int(wrong.min()) if len(wrong) else None


def feature_means(x: Matrix) -> NDArray[np.floating]:
    """Mean of every feature ``(features,)``; the same bits whether sparse or not."""
    return x.mean(axis=0) if isinstance(x, np.ndarray) else x.sum(axis=0) / x.shape[0]


MERGED = 2**27
"""Most numbers (512 MB in float32) that are copied into one tensor, from which rows are gathered fastest."""


class Rows:
    """The rows of several batches, counted on from one batch to the next.

    Sparse batches stay sparse and large ones stay where they are; only the rows that are taken become
    dense and are copied.
    """

    def __init__(self, x: Sequence[Matrix], runtime: Runtime) -> None:
        self._runtime = runtime
        self._features = x[0].shape[1]
        whole = not any(map(sparse.issparse, x))
        if whole and (runtime.device.type != "cpu" or sum(prod(part.shape) for part in x) <= MERGED):
            x = [np.ascontiguousarray(np.concatenate(x))]  # tables come column by column
        self._parts = [runtime.tensor(part) if isinstance(part, np.ndarray) else part for part in x]
        self._ends = np.cumsum([part.shape[0] for part in x]).tolist()

    def take(self, index: Tensor) -> Tensor:
        """The rows ``(len(index), features)`` at these places, on the run's device."""
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
        part = self._parts[number]
        if isinstance(part, Tensor):
            return part.index_select(0, index)
        return self._runtime.tensor(part[index.cpu().numpy()].toarray())


@torch.inference_mode()
def by_blocks(
    judge: Callable[[Tensor], Tensor], x: Matrix, runtime: Runtime, whole: bool = False
) -> NDArray[np.floating]:
    """What a trained network makes of every row of a batch, ``(rows, ...)``.

    Args:
        judge: takes rows as ``(1, rows, features)`` and gives ``(1, rows, ...)``.
        whole: pass all rows at once, for networks to which a row's neighbours matter.
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
