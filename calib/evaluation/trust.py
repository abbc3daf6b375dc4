"""Trust in predicted probabilities: calibration errors, temperature scaling, and abstaining.

All functions take probabilities ``(n, classes)`` and class indices ``(n,)``. The confidence of a sample is
the probability of the class that is predicted, the most probable one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from calib.data.study import FloatArray, IntArray
from calib.errors import CalibError

BINS = 15
"""Number of bins of equal width, as in the tables of Guo et al. (doi 10.48550/arXiv.1706.04599)."""

LEAST = 1e-12
"""Smallest probability whose logarithm is taken, so that one confident error is not infinitely bad."""

LOWEST, HIGHEST = 1e-2, 1e2
"""Bounds of the temperature; at the bounds the probabilities are almost hard or almost uniform."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: confidence and accuracy in each bin ``(bins,)``, NaN in bins without samples.

    Attributes:
        confidence: mean confidence of the bin's samples.
        accuracy: share of the bin's samples that are predicted correctly.
        count: number of samples in the bin.
    """

    confidence: FloatArray
    accuracy: FloatArray
    count: IntArray


@dataclass(frozen=True)
class RiskCoverage:
    """A risk-coverage curve: the share of errors when the least confident samples get no prediction.

    Attributes:
        coverage: share of the samples that get a prediction, ascending to 1 ``(levels,)``.
        risk: share of errors among these samples ``(levels,)``.
    """

    coverage: FloatArray
    risk: FloatArray


def brier(probability: FloatArray, y: IntArray) -> float:
    """Compute the Brier score: the mean squared distance of probabilities and truth, summed over classes.

    It ranges from 0 (best) to 2 (worst). This is Brier's own definition
    (doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); with two classes it is twice scikit-learn's
    ``brier_score_loss``.
    """
    truth = np.eye(probability.shape[1])[y]
    return float(np.square(probability - truth).sum(axis=1).mean())


def log_loss(probability: FloatArray, y: IntArray, weight: FloatArray | None = None) -> float:
    """Compute the negative log-likelihood: the mean of -log(probability of the true class), in nats.

    ``weight`` is that of each sample in the mean ``(n,)``; None: all have the same.
    """
    of_true_class = probability[np.arange(len(y)), y].astype(np.float64)
    losses = -np.log(np.maximum(of_true_class, LEAST))
    return float(losses.mean() if weight is None else np.average(losses, weights=weight))


def reliability(probability: FloatArray, y: IntArray, bins: int = BINS) -> Reliability:
    """Return accuracy by confidence, in bins of equal width ((m - 1) / bins, m / bins]."""
    confidence, right = _judged(probability, y)
    owner = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(owner, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins have no mean
        means = [np.bincount(owner, values, bins) / count for values in (confidence, right)]
    return Reliability(means[0], means[1], count)


def calibration_error(probability: FloatArray, y: IntArray, bins: int = BINS) -> float:
    """Compute the expected calibration error: the mean over samples of |accuracy - confidence| of their bin.

    Eq. 3 of Guo et al. 2017, doi 10.48550/arXiv.1706.04599.
    """
    diagram = reliability(probability, y, bins)
    gaps = np.nan_to_num(np.abs(diagram.accuracy - diagram.confidence))
    return float(gaps @ diagram.count / diagram.count.sum())


def tempered(probability: FloatArray, temperature: float) -> FloatArray:
    """Return probabilities whose logarithms are divided by a temperature.

    A temperature above 1 makes them less confident, below 1 more confident. The predicted class stays the
    same.
    """
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST))
    scaled: FloatArray = softmax(logs / temperature, axis=1)
    return scaled


def temperature(probability: FloatArray, y: IntArray, weight: FloatArray | None = None) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    ``weight`` is that of each sample in the likelihood ``(n,)``; None: all have the same. The likelihood has
    one peak in 1 / T, which a bounded search finds. Where it has none (all predictions are correct, or are no
    better than chance) the result lies near ``LOWEST`` or ``HIGHEST``.

    Raises:
        CalibError: there is no sample.
    """
    if len(y) == 0:
        raise CalibError("A temperature needs samples with labels; none were given.")
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST))

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(logs / np.exp(log_temperature), axis=1), y, weight)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def risk_coverage(probability: FloatArray, y: IntArray) -> RiskCoverage:
    """Return the curve of risk against coverage (El-Yaniv and Wiener 2010, JMLR 11:1605).

    Samples of equal confidence enter together, so the curve does not depend on their order.
    """
    confidence, right = _judged(probability, y)
    levels, owner = np.unique(-confidence, return_inverse=True)  # the most confident come first
    answered = np.bincount(owner, minlength=len(levels)).cumsum()
    wrong = np.bincount(owner, 1 - right, len(levels)).cumsum()
    return RiskCoverage(answered / len(y), wrong / answered)


def area_under_risk(probability: FloatArray, y: IntArray) -> float:
    """Compute the mean risk over all coverages; 0 is best.

    Geifman and El-Yaniv 2017, doi 10.48550/arXiv.1705.08500. Each sample counts with the risk at the coverage
    where it first gets a prediction.
    """
    curve = risk_coverage(probability, y)
    return float(curve.risk @ np.diff(curve.coverage, prepend=0.0))


def accuracy_at(probability: FloatArray, y: IntArray, coverage: float) -> float:
    """Return the accuracy of the most confident samples, a share of at least ``coverage`` of all.

    Samples as confident as the last of these count too.
    """
    curve = risk_coverage(probability, y)
    level = np.searchsorted(curve.coverage, coverage - 1e-12)
    return float(1 - curve.risk[level])


def _judged(probability: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the confidence of each sample, and 1.0 where its prediction is correct, else 0.0."""
    confidence = probability.max(axis=1).astype(np.float64)
    return confidence, (probability.argmax(axis=1) == y).astype(np.float64)
