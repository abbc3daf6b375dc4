"""Raw counts in a study whose values are taken as they are: recognised, and normalised on request."""

import numpy as np
from scipy import sparse

from calib.data.cautions import counted, note
from calib.data.genes import normalised
from calib.data.sheet import Sheet
from calib.errors import DataError

WHOLE = 0.9
"""Least share of the values other than zero that are whole numbers among counts; estimates have fractions."""

LARGEST = 20
"""Least largest value of counts; smaller whole numbers may be ranks or genotypes."""

ROWS = 2000
"""Most rows that are looked at, evenly spaced."""


def look_like_counts(sheet: Sheet) -> bool:
    """Return whether the values are like raw counts: not negative, mostly whole, and some of them large."""
    rows = sheet.values[:: max(len(sheet.batch) // ROWS, 1)]
    values = np.asarray(rows.data if sparse.issparse(rows) else rows).ravel()
    values = values[values != 0]
    if not len(values) or not np.isfinite(values).all() or (values < 0).any():
        return False
    return bool(values.max() >= LARGEST and (values == np.round(values)).mean() >= WHOLE)


def with_normalised_counts(sheet: Sheet, total: float | None, place: str) -> Sheet:
    """Return the sheet with its counts scaled to the same ``total`` a sample, then log(1 + x).

    Args:
        sheet: samples with all features of the file, since all count in a sample's sum.
        total: sum of a sample's counts after scaling; None leaves the values as they are, with a warning if
            they are like raw counts.
        place: where in the file the values are, for messages.

    Raises:
        DataError: a value cannot be a count, or a sample has no counts.
    """
    if total is None:
        if look_like_counts(sheet):
            note(
                "raw_counts",
                f"File {sheet.file}: {place} holds whole numbers that look like raw counts and are taken as "
                "they are; set dataset.normalise=10000, which scales each sample to that sum and takes "
                "log(1 + x), or name a layer of normalised values with dataset.layer.",
            )
        return sheet
    values = sheet.values.data if sparse.issparse(sheet.values) else sheet.values
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(
            f"File {sheet.file}: {place} holds negative, missing or infinite values, which are no counts; "
            "name the layer that has the counts with dataset.layer, or set dataset.normalise=null."
        )
    empty = np.asarray(sheet.values.sum(axis=1)).ravel() == 0
    if empty.any():
        raise DataError(
            f"File {sheet.file}: {counted(int(empty.sum()), 'sample')} without any count, the first "
            f"'{sheet.names[int(np.argmax(empty))]}', cannot be normalised; leave them out of the file."
        )
    if not look_like_counts(sheet):
        note(
            "no_raw_counts",
            f"File {sheet.file}: {place} does not look like raw counts, but dataset.normalise={total:g} "
            "treats its values as such; set dataset.normalise=null if they are normalised already.",
        )
    return normalised(sheet, total)
