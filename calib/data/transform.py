"""Scaling of a study before any method sees it (fact: paper and released code use none)."""

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
"""All keep zeros, so that of sparse data they need the other values only."""


def prepare(study: Study, transform: Transform, scale: BatchScale, dtype: str) -> Study:
    """The study with every batch ``prepared``; reference samples are scaled with their batch.

    Raises:
        DataError: a value is too large for it.
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
    """One batch ``(samples, features)`` transformed and scaled; sparse data stay so unless they are scaled.

    Args:
        transform: ``arcsinh`` of x/100 or ``log2`` of x+1 with negative values set to 0 (the released
            code's log gives NaN for them).
        scale: per feature within the batch, mean 0 and variance 1, or range 0 to 1: this alone is a
            batch correction. Constant features become 0.
    """
    if not isinstance(x, np.ndarray) and scale == "none":
        values = prepared(x.data, transform, scale, dtype)
        return sparse.csr_array((values, x.indices, x.indptr), shape=x.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
        return _prepared(dense(x), transform, scale).astype(dtype, copy=False)


def _prepared(x: Array, transform: Transform, scale: BatchScale) -> Array:
    if (transform, scale) != ("none", "none"):
        x = x.astype(np.float64, copy=False)  # rounded once, at the end
    x = TRANSFORMS[transform](x)
    if scale != "none":
        low, width = (
            (x.mean(axis=0), x.std(axis=0)) if scale == "standardise" else (x.min(axis=0), np.ptp(x, axis=0))
        )
        varies = (np.ptp(x, axis=0) > 0) & (width > 0)  # rounding gives constants a deviation, too
        x = np.where(varies, x - low, 0) / np.where(varies, width, 1)
    return x
