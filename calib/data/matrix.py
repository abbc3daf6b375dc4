"""Data matrices that may be sparse, with the results of dense data; ``tensors`` has rows for networks."""

import hashlib
from collections.abc import Iterator, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Matrix: TypeAlias = NDArray[np.floating] | sparse.csr_array
"""Data ``(samples, features)``, dense or sparse."""

Checksums: TypeAlias = NDArray[np.uint64]
"""A number for each row ``(samples,)``."""

BLOCK = 2**25
"""Most numbers of a block of rows: 128 MB in float32."""


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
