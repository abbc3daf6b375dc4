"""Transformation and scaling of a study before any method sees it; paper and released code use none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from calib.data.matrix import Matrix, dense, infinite_feature
from calib.data.study import Batch, Study
from calib.errors import DataError

Array = NDArray[np.floating]
Transform = Literal["none", "arcsinh", "log2"]
BatchScale = Literal["none", "standardise", "minmax"]

TRANSFORMS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "arcsinh": lambda x: np.arcsinh(x / 100),
    "log2": lambda x: np.log2(np.maximum(x, 0) + 1),
}
"""Functions of the intensities; all keep zeros, so sparse data need only their other values transformed."""


def prepare(study: Study, transform: Transform, scale: BatchScale, dtype: str) -> Study:
    """Return the study with every batch ``prepared``; reference samples are scaled with their batch.

    Raises:
        DataError: a value is too large for the transformation or the number type.
    """

    def prepare_batch(batch: Batch) -> Batch:
        x = prepared(batch.x, transform, scale, dtype)
        if (column := infinite_feature(x)) is not None:
            values = dense(batch.x[:, [column]])[~np.isfinite(dense(x[:, [column]]))]
            raise DataError(
                f"Study '{study.name}', batch '{batch.name}': feature '{study.features[column]}' has values "
                f"such as {values[0]:.3g} that protocol.transform={transform}, "
                f"protocol.batch_scale={scale} and dtype={dtype} turn into no finite number; rescale it or "
                "set dtype=float64."
            )
        if batch.reference is None:
            return replace(batch, x=x)
        both = np.concatenate([batch.dense, dense(batch.reference)])
        x, reference = np.split(dense(prepared(both, transform, scale, dtype)), [len(batch)])
        return replace(batch, x=x, reference=reference)

    return replace(study, batches={name: prepare_batch(batch) for name, batch in study.batches.items()})


def prepared(x: Matrix, transform: Transform, scale: BatchScale, dtype: str) -> Matrix:
    """Return one batch ``(samples, features)`` transformed and scaled.

    Sparse data stay sparse unless they are scaled.

    Args:
        x: data of the batch.
        transform: ``arcsinh`` of x/100, or ``log2`` of x+1 with negative values set to 0 (the released
            code's log gives NaN for them).
        scale: ``standardise`` gives each feature mean 0 and variance 1 within the batch, ``minmax`` a range
            of 0 to 1; either is a batch correction by itself. Constant features become 0.
        dtype: number type of the result.
    """
    if not isinstance(x, np.ndarray) and scale == "none":
        values = prepared(x.data, transform, scale, dtype)
        return sparse.csr_array((values, x.indices, x.indptr), shape=x.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # values that are too large become infinite
        return _prepared(dense(x), transform, scale).astype(dtype, copy=False)


def _prepared(x: Array, transform: Transform, scale: BatchScale) -> Array:
    """Return a dense batch transformed and scaled, in float64 unless neither is asked for."""
    if (transform, scale) != ("none", "none"):
        x = x.astype(np.float64, copy=False)  # the caller rounds once, at the end
    x = TRANSFORMS[transform](x)
    if scale != "none":
        low, width = (
            (x.mean(axis=0), x.std(axis=0)) if scale == "standardise" else (x.min(axis=0), np.ptp(x, axis=0))
        )
        varies = (np.ptp(x, axis=0) > 0) & (width > 0)  # rounding gives a constant feature a small deviation
        x = np.where(varies, x - low, 0) / np.where(varies, width, 1)
    return x
