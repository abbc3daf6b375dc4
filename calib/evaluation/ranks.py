"""Ranks, normal scores and tails of distributions, from modules that load quickly.

``scipy.stats`` has the same numbers, bit for bit, but takes most of a second to import.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr

from calib.data.study import FloatArray

LOG_ROOT = np.log(np.sqrt(2 * np.pi))


def ranks(x: FloatArray) -> FloatArray:
    """Return the ranks from 1 within each column, the mean rank for ties, in the shape of ``x``.

    Args:
        x: finite values ``(n,)`` or ``(n, columns)``.
    """
    found: FloatArray = pd.DataFrame(x).rank().to_numpy().reshape(x.shape)
    return found


def normal_scores(x: FloatArray) -> FloatArray:
    """Return each column's normal scores: the normal quantile of (rank - 1/2) / n."""
    scores: FloatArray = ndtri((ranks(x) - 0.5) / len(x))
    return scores


def normal_quantile(p: float) -> float:
    """Return the value below which a standard normal number lies with probability ``p``."""
    return float(ndtri(p))


def normal_tail(z: FloatArray) -> FloatArray:
    """Return the probability that a standard normal number is above ``z``."""
    tail: FloatArray = ndtr(-z)
    return tail


def student_tail(t: FloatArray, degrees: float) -> FloatArray:
    """Return the probability that a number with Student's distribution is above ``t``."""
    tail: FloatArray = stdtr(degrees, -t)
    return tail


def normal_log_density(x: FloatArray, mean: float, sd: float) -> FloatArray:
    """Return the logarithm of the density of a normal distribution at ``x``."""
    density: FloatArray = -(((x - mean) / sd) ** 2) / 2 - LOG_ROOT - np.log(sd)
    return density
