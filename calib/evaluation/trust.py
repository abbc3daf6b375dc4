"""How far a predicted probability can be trusted: its errors, a temperature that mends them, and abstaining.

All functions take probabilities ``(n, classes)`` and class indices ``(n,)``. The confidence of a sample is
the probability of its most probable class, the one that is predicted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from calib.data.study import FloatArray, IntArray
from calib.errors import CalibError

BINS = 15
"""Bins of equal width, as Guo et al. take for their tables (doi 10.48550/arXiv.1706.04599)."""

LEAST = 1e-12
"""Probability below which the logarithm is cut, so that one sure error is not infinitely bad."""

LOWEST, HIGHEST = 1e-2, 1e2
"""Between which a temperature is looked for: at the ends, answers are all but hard or all but uniform."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against what became of it, a value a bin ``(bins,)``; NaN in bins without samples.

    Attributes:
        confidence: mean confidence of the bin's samples.
        accuracy: share of them that was predicted rightly.
        count: number of samples.
    """

    confidence: FloatArray
    accuracy: FloatArray
    count: IntArray


@dataclass(frozen=True)
class RiskCoverage:
    """Share of wrong answers among those given, where the least confident samples get none.

    Attributes:
        coverage: share of the samples that are answered, ascending to 1 ``(levels,)``.
        risk: share of wrong answers among them ``(levels,)``.
    """

    coverage: FloatArray
    risk: FloatArray


def brier(probability: FloatArray, y: IntArray) -> float:
    """Brier score: mean squared distance of probabilities and truth, summed over classes (0 best, 2 worst).

    Brier's own definition (doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); with two classes twice
    scikit-learn's ``brier_score_loss``.
    """
    truth = np.eye(probability.shape[1])[y]
    return float(np.square(probability - truth).sum(axis=1).mean())


def log_loss(probability: FloatArray, y: IntArray) -> float:
    """Negative log-likelihood: mean of minus the logarithm of the true class's probability, in nats."""
    own = probability[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.maximum(own, LEAST)).mean())


def reliability(probability: FloatArray, y: IntArray, bins: int = BINS) -> Reliability:
    """Accuracy by confidence, in bins of equal width ((m - 1) / bins, m / bins]."""
    confidence, right = _judged(probability, y)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins have no mean
        means = [np.bincount(place, values, bins) / count for values in (confidence, right)]
    return Reliability(means[0], means[1], count)


def calibration_error(probability: FloatArray, y: IntArray, bins: int = BINS) -> float:
    """Expected calibration error: mean over samples of |accuracy - confidence| of their bin.

    Eq. 3 of Guo et al. 2017, doi 10.48550/arXiv.1706.04599.
    """
    found = reliability(probability, y, bins)
    gaps = np.nan_to_num(np.abs(found.accuracy - found.confidence))
    return float(gaps @ found.count / found.count.sum())


def tempered(probability: FloatArray, temperature: float) -> FloatArray:
    """Probabilities whose logarithms are divided by a temperature: above 1 less sure, below 1 surer.

    The class that is predicted stays the same.
    """
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST))
    found: FloatArray = softmax(logs / temperature, axis=1)
    return found


def temperature(probability: FloatArray, y: IntArray) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The likelihood has one peak in 1 / T, so a bounded search finds it; where it has none (all answers
    right, or no better than chance) the result lies near an end of the range, ``LOWEST`` or ``HIGHEST``.

    Raises:
        CalibError: there is no sample.
    """
    if len(y) == 0:
        raise CalibError("A temperature needs samples with labels; none were given.")
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST))

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(logs / np.exp(log_temperature), axis=1), y)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def risk_coverage(probability: FloatArray, y: IntArray) -> RiskCoverage:
    """The curve of risk against coverage (El-Yaniv and Wiener 2010, JMLR 11:1605).

    Samples of equal confidence are answered together, so the curve does not hang on their order.
    """
    confidence, right = _judged(probability, y)
    levels, place = np.unique(-confidence, return_inverse=True)  # the most confident first
    answered = np.bincount(place, minlength=len(levels)).cumsum()
    wrong = np.bincount(place, 1 - right, len(levels)).cumsum()
    return RiskCoverage(answered / len(y), wrong / answered)


def area_under_risk(probability: FloatArray, y: IntArray) -> float:
    """Mean risk over all coverages (Geifman and El-Yaniv 2017, doi 10.48550/arXiv.1705.08500); 0 is best.

    Each sample counts with the risk at the coverage where it is first answered.
    """
    found = risk_coverage(probability, y)
    return float(found.risk @ np.diff(found.coverage, prepend=0.0))


def accuracy_at(probability: FloatArray, y: IntArray, coverage: float) -> float:
    """Accuracy where the most confident share of samples is answered, at least ``coverage`` of them.

    Samples as confident as the last of them are answered too.
    """
    found = risk_coverage(probability, y)
    level = np.searchsorted(found.coverage, coverage - 1e-12)
    return float(1 - found.risk[level])


def _judged(probability: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray]:
    """Confidence of each sample, and 1.0 where its prediction is right."""
    confidence = probability.max(axis=1).astype(np.float64)
    return confidence, (probability.argmax(axis=1) == y).astype(np.float64)
