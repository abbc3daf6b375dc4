"""The calibration slope: by what the log odds of answers must be multiplied to be right."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, softmax

from calib.data.study import FloatArray, IntArray
from calib.evaluation.trust import LEAST

STEPS, CLOSE = 50, 1e-9
"""Most steps of Newton's method, and the step at which it ends."""

STEEPEST = 1e6
"""Slope that is looked for at most; a steeper one counts as undefined."""


def slope(probability: FloatArray, y: IntArray) -> float:
    """Return the calibration slope of probabilities: 1 is right, below 1 too sure, above 1 not sure enough.

    With two classes it is the slope of an unpenalised logistic regression, with an intercept, of the labels
    on the log odds (Cox 1958, doi 10.1093/biomet/45.3-4.562). With more it is the one number by which all
    logarithms of probabilities are multiplied for the greatest likelihood, 1 / temperature.

    Args:
        probability: of the classes ``(n, classes)``.
        y: true class indices ``(n,)``.

    Returns:
        NaN where it is undefined: one true class only, all probabilities the same, or probabilities that
        separate the classes without an error, for which no slope is steep enough.
    """
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST))
    if len(np.unique(y)) < 2:
        return np.nan
    return _of_two(logs[:, 1] - logs[:, 0], y == 1) if logs.shape[1] == 2 else _of_several(logs, y)


def _of_two(odds: FloatArray, case: np.typing.NDArray[np.bool_]) -> float:
    """Return the slope of a logistic regression on log odds ``(n,)``."""
    cases, controls = odds[case], odds[~case]
    if cases.min() >= controls.max() or cases.max() <= controls.min():
        return np.nan  # separated, or all the same
    centre, scale = odds.mean(), odds.std()
    z = (odds - centre) / scale
    at = np.zeros(2)
    for _ in range(STEPS):  # Newton's, halved where the likelihood would fall
        p = expit(at[0] + at[1] * z)
        gap, weight = case - p, p * (1 - p)
        a, b, c = weight.sum(), (weight * z).sum(), (weight * z * z).sum()
        down = np.array([gap.sum(), (gap * z).sum()])
        step = np.array([c * down[0] - b * down[1], a * down[1] - b * down[0]]) / max(a * c - b * b, LEAST)
        before = _likelihood(at, z, case)
        while _likelihood(at + step, z, case) < before and np.abs(step).max() > CLOSE:
            step /= 2
        at = at + step
        if np.abs(step).max() <= CLOSE:
            break
    return float(at[1] / scale)


def _likelihood(at: FloatArray, z: FloatArray, case: np.typing.NDArray[np.bool_]) -> float:
    """Return the logarithm of the likelihood of intercept and slope."""
    eta = at[0] + at[1] * z
    return float((case * eta - np.logaddexp(0, eta)).sum())


def _of_several(logs: FloatArray, y: IntArray) -> float:
    """Return the number that multiplies logarithms ``(n, classes)`` for the greatest likelihood."""
    own = logs[np.arange(len(y)), y]
    if (own >= logs.max(axis=1)).all() or (own <= logs.min(axis=1)).all():
        return np.nan

    def gradient(by: float) -> float:  # falls with ``by``, since the likelihood is concave
        return float((own - (softmax(by * logs, axis=1) * logs).sum(axis=1)).mean())

    ends = [-1.0, 1.0]
    while gradient(ends[1]) > 0 and ends[1] < STEEPEST:
        ends[1] *= 2
    while gradient(ends[0]) < 0 and ends[0] > -STEEPEST:
        ends[0] *= 2
    if gradient(ends[1]) > 0 or gradient(ends[0]) < 0:
        return np.nan
    return float(brentq(gradient, *ends))
