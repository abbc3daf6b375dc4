"""Data matrices that may be sparse: their rows as arrays and tensors, with the same results as dense data."""

import hashlib
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
"""Data ``(samples, features)``, dense or sparse."""

Checksums: TypeAlias = NDArray[np.uint64]
"""A number for each row ``(samples,)``."""

BLOCK = 2**25
"""Most numbers of a block of rows: 128 MB in float32."""

MERGED = 2**27
"""Most numbers (512 MB in float32) that are copied into one tensor, from which rows are gathered fastest."""


def dense(x: Matrix) -> NDArray[np.floating]:
    """Return the matrix as an array."""
    return x if isinstance(x, np.ndarray) else x.toarray()


def as_floats(values: Any) -> Matrix:
    """Return values of any number type without loss: float32 where that can hold them, else float64.

    A sparse matrix stays sparse where fewer than half of its values differ from zero. Otherwise the array
    takes less memory.
    """
    kind = np.promote_types(values.dtype, np.float32)
    if not sparse.issparse(values):
        return np.asarray(values, kind)
    if 2 * values.nnz >= np.prod(values.shape, dtype=float):
        return values.toarray().astype(kind, copy=False)
    x = sparse.csr_array(values, dtype=kind)
    x.sum_duplicates()  # a file may hold an entry in parts, and the logarithm is not additive
    return x


def blocks(x: Matrix) -> Iterator[slice]:
    """Return slices that cover the rows in order, each of at most ``BLOCK`` numbers.

    A matrix without rows has one empty slice.
    """
    samples, features = x.shape
    step = max(BLOCK // max(features, 1), 1)
    return (slice(start, min(start + step, samples)) for start in range(0, max(samples, 1), step))


def row_checksums(x: Matrix) -> Checksums:
    """Return a checksum of the values of each row ``(samples,)``, as rounded to float32."""
    found = np.empty(x.shape[0], np.uint64)
    for rows in blocks(x):
        with np.errstate(over="ignore"):  # values that are too large for float32 become infinite
            values = np.ascontiguousarray(dense(x[rows]), np.float32) + np.float32(0)  # -0 becomes 0
        digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in values)
        found[rows] = np.frombuffer(b"".join(digests), "<u8")
    return found


def pieces(x: NDArray[Any], parts: Sequence[Sized]) -> list[NDArray[Any]]:
    """Cut the rows of ``x`` into pieces as long as the ``parts`` that were stacked to make it."""
    return np.split(x, np.cumsum([len(part) for part in parts])[:-1])


def infinite_feature(x: Matrix, largest: float | None = None) -> int | None:
    """Return the position of the first feature with a missing or infinite value, or None.

    Args:
        x: data ``(samples, features)``.
        largest: absolute value above which a value counts as infinite; None: that of the number type.
    """
    if largest is None:
        largest = float(np.finfo(x.dtype).max)
    if isinstance(x, np.ndarray):
        finite = np.logical_and.reduce([(np.abs(x[rows]) <= largest).all(axis=0) for rows in blocks(x)])
        wrong = np.flatnonzero(~finite)
    else:
        wrong = x.indices[~(np.abs(x.data) <= largest)]
    return int(wrong.min()) if len(wrong) else None


def feature_means(x: Matrix) -> NDArray[np.floating]:
    """Return the mean of every feature ``(features,)``; sparse and dense data give the same bits."""
    return x.mean(axis=0) if isinstance(x, np.ndarray) else x.sum(axis=0) / x.shape[0]


class Rows:
    """The rows of several batches, numbered from the first batch to the last, as tensors on demand.

    Sparse batches stay sparse, and large batches stay separate. Only the rows that are taken are made dense
    and copied.
    """

    def __init__(self, x: Sequence[Matrix], runtime: Runtime) -> None:
        self._runtime = runtime
        self._features = x[0].shape[1]
        all_dense = not any(map(sparse.issparse, x))
        if all_dense and (runtime.device.type != "cpu" or sum(prod(part.shape) for part in x) <= MERGED):
            x = [np.ascontiguousarray(np.concatenate(x))]  # pandas keeps tables column by column
        self._parts = [runtime.tensor(part) if isinstance(part, np.ndarray) else part for part in x]
        self._ends = np.cumsum([part.shape[0] for part in x]).tolist()

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
