"""Weights for a mean of several methods' probabilities, learnt from batches that they were not trained on.

This is stacking (Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1) with weights that are not negative and sum
to 1, as Breiman found to serve best (1996, doi 10.1007/BF00117832). Few batches tell little, so the weights
have a prior around equal ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.data.study import FloatArray, IntArray, LabelledSamples
from calib.evaluation.trust import temperature, tempered

LEAST = 1e-6
"""Smallest probability that is taken, so that one confident error does not decide a weight."""

HOTTEST = 20.0
"""Highest temperature: answers that tell nothing are not made wholly even."""

COLDEST = 0.2
"""Lowest temperature: answers to a few left-out samples that are all right do not become certainties."""

ROUNDS = 200
"""Rounds of expectation and maximisation."""


@dataclass(frozen=True)
class LeftOut:
    """What methods answered on a labelled batch that they were not trained on.

    Attributes:
        answers: probabilities ``(methods, samples, classes)``.
        y: class index of each sample ``(samples,)``.
        weight: of each sample ``(samples,)``: every class has the same, and so has every subject of a class;
            they sum to 1.
    """

    answers: FloatArray
    y: IntArray
    weight: FloatArray

    @classmethod
    def of(cls, answers: FloatArray, batch: LabelledSamples, known: IntArray) -> "LeftOut | None":
        """Return it for the samples of classes that the methods could know, or None if there are none."""
        rows = np.flatnonzero(np.isin(batch.y, known))
        if not len(rows):
            return None
        y = batch.y[rows]
        subject = rows if batch.replicate is None else np.asarray(batch.replicate)[rows]
        _, owner, counts = np.unique(subject, return_inverse=True, return_counts=True)
        weight = 1 / counts[owner]
        of_class = np.bincount(y, weight)[y]
        return cls(answers[:, rows], y, weight / of_class / len(np.unique(y)))


@dataclass(frozen=True)
class Mixture:
    """How methods' probabilities become one.

    Attributes:
        temperatures: of each method's probabilities, before the mean ``(methods,)``.
        weights: of each method in the mean ``(methods,)``; they sum to 1.
        temperature: of the mean.
    """

    temperatures: FloatArray
    weights: FloatArray
    temperature: float

    def of(self, answers: FloatArray) -> FloatArray:
        """Return one answer ``(samples, classes)`` of several ``(methods, samples, classes)``."""
        each = [tempered(one, t) for one, t in zip(answers, self.temperatures, strict=True)]
        return tempered(np.tensordot(self.weights, each, axes=1), self.temperature)

    def weighing(self, factor: FloatArray, kept: NDArray[np.bool_]) -> "Mixture":
        """Return the mixture of some methods, whose weights are multiplied by a factor and sum to 1 again.

        If none of them has a weight, all have the same.

        Args:
            factor: of each method's weight ``(methods,)``.
            kept: the methods that take part ``(methods,)``.
        """
        weights = (self.weights * factor)[kept]
        weights = weights if weights.any() else np.ones(len(weights))
        return Mixture(self.temperatures[kept], weights / weights.sum(), self.temperature)

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """Return what ``restored`` takes."""
        return {
            "temperatures": self.temperatures,
            "weights": self.weights,
            "temperature": np.array([self.temperature]),
        }

    @classmethod
    def even(cls, counted: NDArray[np.bool_]) -> "Mixture":
        """Return the plain mean of some methods, those that are ``counted (methods,)``."""
        return cls(np.ones(len(counted)), counted / counted.sum(), 1.0)

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[np.floating]], methods: int) -> "Mixture":
        """Return the mixture whose ``arrays()`` are given.

        Raises:
            ValueError, LookupError: the arrays do not fit ``methods`` methods.
        """
        temperatures, weights = (
            np.asarray(arrays[key], np.float64).reshape(methods) for key in ("temperatures", "weights")
        )
        last = float(np.asarray(arrays["temperature"]).reshape(()))
        if not (temperatures > 0).all() or not last > 0 or not (weights >= 0).all():
            raise ValueError("a temperature or weight of the mixture is no positive number")
        return cls(temperatures, weights, last)


def learnt(left_out: Sequence[LeftOut], prior: float) -> Mixture:
    """Return the mixture that fits left-out batches best, each of which counts as much as every other.

    Each method gets the temperature that fits its own answers best, then the weights have the highest
    posterior, by expectation and maximisation, and at last the mean gets a temperature.

    Args:
        left_out: what the methods answered, on one batch at least.
        prior: number of batches that equal weights count as.
    """
    y, weight = (np.concatenate([getattr(one, key) for one in left_out]) for key in ("y", "weight"))
    answers = np.concatenate([one.answers for one in left_out], axis=1)
    temperatures = np.array([_temperature(one, y, weight) for one in answers])
    even = [tempered(one, t) for one, t in zip(answers, temperatures, strict=True)]
    true = np.maximum([one[np.arange(len(y)), y] for one in even], LEAST)
    weights = _weights(true, weight, prior)
    return Mixture(temperatures, weights, _temperature(np.tensordot(weights, even, axes=1), y, weight))


def _temperature(probability: FloatArray, y: IntArray, weight: FloatArray) -> float:
    """Return the temperature that fits best, within bounds."""
    return float(np.clip(temperature(probability, y, weight), COLDEST, HOTTEST))


def _weights(true: FloatArray, weight: FloatArray, prior: float) -> FloatArray:
    """Return the weights ``(methods,)`` of the mean with the highest posterior.

    Args:
        true: each method's probability of the true class ``(methods, samples)``.
        weight: of each sample ``(samples,)``.
        prior: number of batches that equal weights count as.
    """
    methods = len(true)
    found = np.full(methods, 1 / methods)
    for _ in range(ROUNDS):
        share = found[:, None] * true
        found = (share / share.sum(axis=0)) @ weight + prior / methods + LEAST
        found /= found.sum()
    return found
