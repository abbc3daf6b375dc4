"""What may be concluded from a difference: tests, how many seeds they need, and tests in their multitude."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from calib.data.study import FloatArray
from calib.evaluation.intervals import Estimate

LEAST_SEEDS = 5
"""Fewest seeds of a trained method from which a verdict is drawn."""

MARGIN = 0.02
"""Difference in accuracy below which two methods count as equal; declared for all comparisons alike."""

ALPHA = 0.05
"""Probability of an error that a test allows."""


def decides(estimate: Estimate) -> bool:
    """Return whether there are seeds enough for a verdict; a result that no seed changes needs one."""
    return not estimate.uses_seed or estimate.seeds >= LEAST_SEEDS


def p_different(estimate: Estimate) -> float:
    """Compute the two-sided p of a value that is not 0; NaN without a standard error."""
    return float(np.minimum(2 * _tail(abs(estimate.value), estimate), 1))


def p_equal(estimate: Estimate, margin: float = MARGIN) -> float:
    """Compute the p of a value at least ``margin`` from 0, by two one-sided tests; NaN without an error.

    Schuirmann 1987 (doi 10.1007/BF01068419): where it is small, the value is surely within the margin.
    """
    return _tail(margin - abs(estimate.value), estimate)


def _tail(distance: float, estimate: Estimate) -> float:
    """Return the probability that chance goes as far as ``distance`` in its direction."""
    if estimate.error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(student.sf(distance / estimate.error, estimate.degrees))


def holm(p: Sequence[float]) -> FloatArray:
    """Return p values adjusted so that none of the family is wrongly small (Holm 1979, JSTOR 4615733).

    NaN, which stands for no test, stays NaN and is not one of the family.
    """
    values = np.array(p, dtype=np.float64)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    values[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1)
    return values
