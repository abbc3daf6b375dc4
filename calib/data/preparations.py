"""What is done to values of a kind before any method sees them: counts, intensities, relative abundances.

None of it looks at a label. Results are float32, since logarithms and sines differ between processors in the
last digit of float64, and with them a study's checksum would.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.sparsefuncs import mean_variance_axis

from calib.data.genes import FLAVORS, chosen_genes, common_genes, normalised
from calib.data.sheet import Sheet
from calib.data.study import FloatArray
from calib.data.transform import own_unit
from calib.errors import CalibError, DataError, check_choice, check_number

Prepare = Literal["none", "counts", "arcsinh", "arcsine_sqrt"]


@dataclass(frozen=True)
class Counts:
    """How counts are prepared; see ``counts.load_counts_study``."""

    total: float = 10000
    genes: int | None = None
    flavor: str = "cell_ranger"

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            CalibError: one is of the wrong kind.
        """
        check_number("dataset.total", self.total, least=1)
        if self.genes is not None:
            check_number("dataset.genes", self.genes, least=1, whole=True)
        check_choice("dataset.flavor", self.flavor, FLAVORS)


def prepared_sheet(sheet: Sheet, kind: Prepare, counts: Counts, study: str) -> Sheet:
    """Return the sheet with its values prepared as their kind asks for.

    Args:
        sheet: the samples of all batches, with missing values as NaN.
        kind: ``none`` leaves values that are on a logarithmic or another even scale. ``counts``: features
            detected in every batch, each sample scaled to the same sum, log(1 + x), the features that vary
            most within the batches. ``arcsinh``, for intensities: arcsinh of x / unit, where the unit is the
            data's own (``transform.own_unit``). ``arcsine_sqrt``, for shares of a whole: the arcsine of the
            square root, which makes the variance of a share independent of its size and takes zeros.
        counts: how counts are prepared.
        study: name of the study, under which the choice of features is stored.

    Raises:
        CalibError: there is no such kind.
        DataError: the values are not of this kind.
    """
    check_choice("dataset.prepare", kind, KINDS)
    return KINDS[kind](sheet, counts, study)


def _counts(sheet: Sheet, how: Counts, study: str) -> Sheet:
    """Return normalised counts of the features that vary most."""
    check_counts(sheet)
    cells = normalised(common_genes(sheet), how.total)
    if how.genes is None:
        return cells
    origin = {"rows": list(map(str, sheet.names)), "batch": list(map(str, sheet.batch)), "total": how.total}
    return chosen_genes(cells, how.genes, how.flavor, study, {"file": sheet.file.split("/")[-1], **origin})


def _arcsinh(sheet: Sheet, how: Counts, study: str) -> Sheet:
    """Return arcsinh of intensities in their own unit."""
    unit = own_unit([sheet.values[sheet.batch == name] for name in pd.unique(sheet.batch)])
    return _changed(sheet, lambda x: np.arcsinh(x / unit))


def _arcsine_sqrt(sheet: Sheet, how: Counts, study: str) -> Sheet:
    """Return the arcsine of the square root of shares."""
    values = sheet.values.data if sparse.issparse(sheet.values) else sheet.values
    if ((values < 0) | (values > 1)).any():
        raise DataError(
            f"File {sheet.file} holds values below 0 or above 1, which are no shares of a whole; divide each "
            "sample by its sum, or set dataset.prepare=none."
        )
    return _changed(sheet, lambda x: np.arcsin(np.sqrt(x)))


def _changed(sheet: Sheet, change: Callable[[Any], Any]) -> Sheet:
    """Return the sheet with its values changed by a function that keeps zeros, as float32."""
    if sparse.issparse(sheet.values):
        values = sheet.values.copy().astype(np.float32)
        values.data = change(sheet.values.data.astype(np.float64)).astype(np.float32)
        return replace(sheet, values=values)
    return replace(sheet, values=change(np.asarray(sheet.values, np.float64)).astype(np.float32))


def most_variable_features(sheet: Sheet, count: int) -> NDArray[np.bool_]:
    """Return which features vary most within the batches ``(features,)``: by the mean of their variances.

    Differences between batches have no part in it, and labels have none.

    Raises:
        CalibError: there are fewer features.
    """
    check_number("dataset.most_variable", count, least=1, whole=True)
    if count > len(sheet.features):
        raise CalibError(
            f"dataset.most_variable={count} is more than the {len(sheet.features)} features that there are."
        )
    within = np.mean([_variance(sheet.values[sheet.batch == b]) for b in pd.unique(sheet.batch)], axis=0)
    chosen = np.zeros(len(within), bool)
    chosen[np.argsort(-within.astype(np.float32), kind="stable")[:count]] = True
    return chosen


def _variance(x: Any) -> FloatArray:
    """Return the variance of each feature of a batch, dense or sparse."""
    if sparse.issparse(x):
        variance: FloatArray = mean_variance_axis(sparse.csr_matrix(x, dtype=np.float64), axis=0)[1]
        return variance
    return np.asarray(x, np.float64).var(axis=0)


def check_counts(cells: Sheet) -> None:
    """Check that the values can be raw counts: none is missing, infinite or negative.

    Fractions are allowed, because the counts of some protocols are estimates.

    Raises:
        DataError: a value cannot be a count.
    """
    values = cells.values.data if sparse.issparse(cells.values) else cells.values
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(
            f"File {cells.file} holds negative, missing or infinite values where raw counts are expected; "
            "name the layer that has the counts with dataset.layer."
        )


KINDS: dict[str, Callable[[Sheet, Counts, str], Sheet]] = {
    "none": lambda sheet, how, study: sheet,
    "counts": _counts,
    "arcsinh": _arcsinh,
    "arcsine_sqrt": _arcsine_sqrt,
}
"""Kind of values -> function that prepares them."""
