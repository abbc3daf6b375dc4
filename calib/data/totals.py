"""Rows at the end of a table that are no samples, but the sums or means of the rows above."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.errors import DataError

FOOT = 5
"""Rows at the end of a table that are looked at."""
BODY = 4
"""Least number of rows above them."""
NEAR = ((4, 1e-2), (2, 1e-3))
"""Least number of features, and how near a row has to be to the sum or mean, in standard deviations.

A sample is so near to the mean of all its features with a probability below one in a million."""


def check_no_totals(x: NDArray[np.float64], rows: pd.Index, file: Path) -> None:
    """Check that no row at the end of a table holds the sums or the means of the rows above it.

    Args:
        x: values ``(rows, features)`` in the order of the file, NaN where they are missing.
        rows: line of each row, less two.
        file: the file, for messages.

    Raises:
        DataError: a row does.
    """
    for place in range(max(len(x) - FOOT, BODY), len(x)):
        above, row = x[:place], x[place]
        with np.errstate(all="ignore"):
            spread = above.std(axis=0)
            usable = np.isfinite(spread) & (spread > 0) & np.isfinite(row)
            for word, statistic in (("sums", above.sum(axis=0)), ("means", above.mean(axis=0))):
                off = np.abs(row - statistic)[usable] / spread[usable]
                if any(len(off) >= least and (off < near).all() for least, near in NEAR):
                    raise DataError(
                        f"File {file}: line {rows[place] + 2} holds the {word} of the lines above it, so it "
                        "is no sample; delete it, or leave it out with dataset.exclude."
                    )
