"""What a table's differences are read as: tests in words, and the sentences that every caption shares."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.evaluation.significance import (
    ALPHA,
    LEAST_SEEDS,
    MARGIN,
    decides,
    holm,
    p_different,
    p_equal,
)
from calib.report.exhibits import MISSING
from calib.report.numbers import p_text
from calib.runs.selection import CHOSEN_BY

INTERVALS = (
    "95 % intervals of whole subjects of the targets and, from two seeds on, of seeds (t quantiles). The "
    "plates are taken as they are and the training subjects are not resampled: an interval speaks of other "
    "patients on these plates and of other trainings, not of other plates."
)
"""The sentences on intervals in every caption."""

FAMILY = (
    f"No verdict is drawn from fewer than {LEAST_SEEDS} seeds of a trained method; a method that the seed "
    "does not change needs one. p: two-sided; Holm: adjusted over all tests here."
)
"""The sentences on verdicts and their multitude."""

READS = (
    f"Reads: above or below where the difference is not 0 at {ALPHA}; equal within {MARGIN} where two "
    f"one-sided tests at {ALPHA} put it within this margin, which is declared for all tables; undecided "
    f"where neither, which does not mean equal; nothing from fewer than {LEAST_SEEDS} seeds of a trained "
    "method. In brackets the p of the difference. All tests are adjusted after Holm over the differences of "
    "the table, those of either kind among themselves."
)
"""The sentences on the column of readings."""

TARGETS = "Lowest to highest: the same of the target batch with the lowest and of that with the highest."
"""The sentence on the range over targets beside an average."""

CHOSEN = f"Chosen by, of the settings: {'; '.join(f'{word}: {how}' for word, how in CHOSEN_BY.items())}."
"""The sentence on how a method's settings were chosen."""

TESTS = ("p", "p_holm", "p_equal", "p_equal_holm")
"""Columns of a difference's tests, before their prefix."""


def readings(differences: Sequence[Estimate | None]) -> list[dict[str, Any]]:
    """Return the tests of a table's differences, which are one family, and the words for each.

    Returns:
        For each difference the columns ``TESTS`` (NaN without seeds enough) and ``reads`` ("" without a
        difference).
    """
    judged = [one if one is not None and decides(one) else None for one in differences]
    p = [np.nan if one is None else p_different(one) for one in judged]
    equal = [np.nan if one is None else p_equal(one) for one in judged]
    tests = zip(p, holm(p), equal, holm(equal), strict=True)
    return [
        dict(zip(TESTS, map(float, test), strict=True))
        | {"reads": _reads(one, float(test[1]), float(test[3]))}
        for one, test in zip(differences, tests, strict=True)
    ]


def _reads(difference: Estimate | None, p: float, equal: float) -> str:
    """Return the words for a difference, from its adjusted p values."""
    if difference is None:
        return ""
    if not decides(difference):
        return "too few seeds"
    words = []
    if p < ALPHA:
        words.append("above" if difference.value > 0 else "below")
    if equal < ALPHA:
        words.append(f"within {MARGIN}" if words else f"equal within {MARGIN}")
    return ", ".join(words) or "undecided"


def reading_cell(row: Mapping[Hashable, Any], prefix: str = "") -> str:
    """Return the words for a difference and its adjusted p as the text of a cell."""
    reads, p = row[f"{prefix}reads"], row[f"{prefix}p_holm"]
    if pd.isna(reads) or not reads:
        return MISSING
    return reads if pd.isna(p) else f"{reads} ({p_text(p)})"
