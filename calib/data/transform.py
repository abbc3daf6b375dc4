"""Transformation and scaling of a study before any method sees it; paper and released code use none."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from calib.data.matrix import BLOCK, Matrix, blocks, dense, infinite_feature
from calib.data.study import Batch, Samples, Study
from calib.errors import DataError
from calib.units import PAPERS_UNIT

if TYPE_CHECKING:
    from calib.runtime import Runtime

Array = NDArray[np.floating]
Transform = Literal["none", "arcsinh", "log2"]
BatchScale = Literal["none", "standardise", "minmax"]

TRANSFORMS: dict[str, Callable[[Array, float], Array]] = {
    "none": lambda x, unit: x,
    "arcsinh": lambda x, unit: np.arcsinh(x / unit),
    "log2": lambda x, unit: np.log2(np.maximum(x, 0) + 1),
}
"""Functions of values and their unit; all keep zeros, so of sparse data only other values are transformed."""


LARGEST = {"float32": 1e15, "float64": 1e30}
"""Number type -> largest absolute value with which methods can compute.

Squares of larger values, summed over many samples and features, would be infinite in float32, the number type
of the calibrated data of a record, or in the run's.
"""


def prepare(
    study: Study, transform: Transform, scale: BatchScale, dtype: str, unit: float | None = None
) -> Study:
    """Return the study with every batch ``prepared``; reference samples are scaled with their batch.

    Its ``unit`` is that of the data it then has: as the study names it, or that of the data (``own_unit``).

    Args:
        study, transform, scale, dtype: as in ``prepared``.
        unit: unit of the study's data; None: ``unit_of(study)``.

    Raises:
        DataError: as ``checked``.
    """
    unit = unit_of(study) if unit is None else unit

    def prepare_batch(batch: Batch) -> Batch:
        place = f"Study '{study.name}', batch '{batch.name}'"
        x = checked(batch.x, transform, scale, dtype, place, study.features, unit)
        if batch.reference is None:
            return replace(batch, x=x)
        both = np.concatenate([batch.dense, dense(batch.reference)])
        x, reference = np.split(
            dense(checked(both, transform, scale, dtype, place, study.features, unit)), [len(batch)]
        )
        return replace(batch, x=x, reference=reference)

    made = replace(study, batches={name: prepare_batch(batch) for name, batch in study.batches.items()})
    return replace(made, unit=unit if (transform, scale) == ("none", "none") else unit_of(made))


def unit_of(study: Study) -> float:
    """Return the value by which arcsinh divides the data: the study's own setting, or that of its data."""
    return own_unit([batch.x for batch in study.batches.values()]) if study.unit is None else study.unit


def own_unit(batches: Sequence[Matrix]) -> float:
    """Return the unit of data: a typical value, above which arcsinh is about a logarithm.

    It is the median over batches of the median absolute value that is not zero, so a large batch counts as
    much as a small one. Labels have no part in it. Of a batch of more than ``BLOCK`` numbers only rows at
    equal distances count.

    Args:
        batches: data of each batch ``(samples, features)``.
    """
    medians = []
    for x in batches:
        step = max(-(-x.shape[0] * x.shape[1] // BLOCK), 1)
        part = x[::step]
        values = np.abs(part if isinstance(part, np.ndarray) else part.data)
        values = values[(values > 0) & np.isfinite(values)]
        if values.size:
            medians.append(np.median(values))
    return float(np.median(medians)) if medians else 1.0


def checked(
    x: Matrix,
    transform: Transform,
    scale: BatchScale,
    dtype: str,
    place: str,
    features: Sequence[object],
    unit: float = PAPERS_UNIT,
) -> Matrix:
    """Return one batch ``(samples, features)`` ``prepared``, with values that methods can compute with.

    Every batch passes through this function before a method sees it: in a run, in a prediction of a saved
    model and in the estimators.

    Args:
        x, transform, scale, dtype, unit: as in ``prepared``.
        place: start of an error message, which names the batch.
        features: names of the features.

    Raises:
        DataError: a value is missing, infinite or larger than ``LARGEST``, or the batch is to be scaled by
            itself and its rows are all the same.
    """
    made = prepared(x, transform, scale, dtype, unit)
    if (column := infinite_feature(made, LARGEST[dtype])) is not None:
        values, result = (dense(part[:, [column]])[:, 0] for part in (x, made))
        value = values[~(np.abs(result) <= LARGEST[dtype])][0]
        raise DataError(
            f"{place}: feature '{features[column]}' has values such as {value:.3g}, of which "
            f"protocol.transform={transform}, protocol.batch_scale={scale} and dtype={dtype} make no finite "
            f"number of at most {LARGEST[dtype]:.0e}, and squares of larger ones cannot be summed; correct "
            "these values, or rescale the feature."
        )
    if scale != "none":
        check_varies(x, place)
    return made


def prepared_batch(
    batch: Batch | Samples, transform: Transform, scale: BatchScale, runtime: "Runtime"
) -> Matrix:
    """Return the data of a batch ``prepared`` within a method, after ``check_varies`` where they are scaled.

    ``runtime`` gives their unit and the number type of the result.

    Raises:
        DataError: the batch is to be scaled by itself and has no two different rows.
    """
    if scale != "none":
        check_varies(batch.x, f"Batch '{batch.name}'")
    return prepared(batch.x, transform, scale, runtime.numpy_dtype, runtime.unit)


def check_varies(x: Matrix, place: str) -> None:
    """Raise DataError where a batch ``(samples, features)`` has no two different rows.

    Scaled or normalised by itself, such a batch is the same constant whatever its values are, so all of its
    samples would get the same answer.

    Args:
        x: the batch.
        place: start of the message, which names the batch.
    """
    if x.shape[0] < 2:
        raise DataError(
            f"{place} has one sample, so it cannot be scaled by itself or by its own statistics; give it "
            "together with other samples of its batch, or take a method or protocol that scales no batch "
            "by itself."
        )
    first = dense(x[:1])
    if not any((dense(x[rows]) != first).any() for rows in blocks(x)):
        raise DataError(
            f"{place} has {x.shape[0]} samples that are all the same, so it cannot be scaled by itself or by "
            "its own statistics; check its values, or leave it out."
        )


def prepared(
    x: Matrix, transform: Transform, scale: BatchScale, dtype: str, unit: float = PAPERS_UNIT
) -> Matrix:
    """Return one batch ``(samples, features)`` transformed and scaled.

    Sparse data stay sparse unless they are scaled.

    Args:
        x: data of the batch.
        transform: ``arcsinh`` of x/unit, or ``log2`` of x+1 with negative values set to 0 (the released
            code's log gives NaN for them).
        scale: ``standardise`` gives each feature mean 0 and variance 1 within the batch, ``minmax`` a range
            of 0 to 1; either is a batch correction by itself. Constant features become 0.
        dtype: number type of the result.
        unit: value by which arcsinh divides, in the unit of the data.
    """
    if not isinstance(x, np.ndarray) and scale == "none":
        values = prepared(x.data, transform, scale, dtype, unit)
        return sparse.csr_array((values, x.indices, x.indptr), shape=x.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # values that are too large become infinite
        return _prepared(dense(x), transform, scale, unit).astype(dtype, copy=False)


def _prepared(x: Array, transform: Transform, scale: BatchScale, unit: float) -> Array:
    """Return a dense batch transformed and scaled, in float64 unless neither is asked for."""
    if (transform, scale) != ("none", "none"):
        x = x.astype(np.float64, copy=False)  # the caller rounds once, at the end
    x = TRANSFORMS[transform](x, unit)
    if scale != "none":
        low, width = (
            (x.mean(axis=0), x.std(axis=0)) if scale == "standardise" else (x.min(axis=0), np.ptp(x, axis=0))
        )
        varies = (np.ptp(x, axis=0) > 0) & (width > 0)  # rounding gives a constant feature a small deviation
        x = np.where(varies, x - low, 0) / np.where(varies, width, 1)
    return x
