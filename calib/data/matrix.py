"""Data that may be sparse: as an array, in blocks of rows, and what has to be the same either way."""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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
