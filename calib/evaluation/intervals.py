"""Intervals of average accuracies and of their differences, over the subjects of the targets and over seeds.

Replicates of a subject are not independent, and a batch is a target in several splits. So the unit is the
whole subject of a target batch, the same one in every split, seed and method. Comparisons are therefore
paired by subject and by seed.

The variance of a mean over seeds has two parts. The first is what the seeds share: the mean covariance, over
subjects, of every two seeds. It comes from the linearised ratio of sums over subjects, which is what a
bootstrap of whole subjects tends to with many draws. The second is the variance of the seeds' averages
divided by their number. It holds all that differs between seeds: the training, and the subjects that it hits.
So nothing is counted twice. The ends are t quantiles with Satterthwaite's degrees of freedom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from calib.data.study import FloatArray
from calib.errors import CalibError
from calib.evaluation.tallies import Line, Runs, Tally, shared_seeds, subjects_of

LEVEL = 0.95
"""Coverage of the intervals."""

CAUTION = 2.5
"""How often the seeds' part is counted in the degrees of freedom.

Satterthwaite's formula counts it once. Three seeds often look more alike than they are, and the degrees then
come out too many: a nominal .95 covers .92. Counted so often, in the degrees alone, it covers .94 to .96 from
three seeds on, whatever the ratio of the two parts (``tests/evaluation/test_intervals.py``).
"""

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and its interval.

    Attributes:
        value: the number.
        error: its standard error; NaN where a target has a single subject, and so no variance.
        degrees: degrees of freedom of the standard error.
        low, high: ends of the interval.
        seeds: number of seeds behind it, 1 where the seed changes nothing.
        uses_seed: whether the seed can change it. With one seed the interval then lacks the variation
            between trainings.
    """

    value: float
    error: float
    degrees: float
    low: float
    high: float
    seeds: int
    uses_seed: bool


@dataclass(frozen=True)
class Paired:
    """The average accuracies of several methods on the same subjects and seeds.

    Attributes:
        averages: accuracy, mean over targets of the mean over their splits ``(methods, seeds)``.
        influences: share of every subject in the error of these averages ``(methods, seeds, subjects)``.
        degrees: degrees of freedom of a variance over the subjects.
        uses_seed: whether the seed can change a result of any method.
    """

    averages: FloatArray
    influences: FloatArray
    degrees: float
    uses_seed: bool

    def contrast(self, *weights: float) -> Estimate:
        """Estimate a weighted sum of the methods' accuracies, such as ``contrast(1, -1)``, a difference."""
        value, error, degrees = self._spread(np.array(weights))
        low, high = linear_interval(value, error, degrees, bound=sum(map(abs, weights)))
        return self._estimate(value, error, degrees, low, high)

    def accuracy(self) -> Estimate:
        """Estimate the accuracy of the first method, with an interval between 0 and 1."""
        value, error, degrees = self._spread(np.eye(len(self.averages))[0])
        return self._estimate(value, error, degrees, *logit_interval(value, error, degrees))

    def _spread(self, weights: FloatArray) -> tuple[Values, Values, Values]:
        """Return value, standard error and degrees of freedom of a weighted sum."""
        averages = weights @ self.averages
        influences = np.tensordot(weights, self.influences, axes=1)
        return averages.mean(), *spread(averages, influences, self.degrees)

    def _estimate(self, *numbers: Values) -> Estimate:
        """Return numbers as an estimate, with the seeds behind them."""
        value, error, degrees, low, high = map(float, numbers)
        return Estimate(value, error, degrees, low, high, self.averages.shape[1], self.uses_seed)


def paired(methods: Sequence[Runs]) -> Paired:
    """Return the accuracies of methods on the subjects of all targets, for the seeds that all of them have.

    Raises:
        CalibError: the methods share no seed, or were judged on different samples.
    """
    seeds = shared_seeds(methods)
    if not seeds:
        raise CalibError("The methods to compare have no seed in common; run them with the same seeds.")
    subjects = subjects_of([runs.at(seed) for runs in methods for seed in seeds])
    parts = [_accuracies([runs.at(seed) for seed in seeds], list(subjects)) for runs in methods]
    averages, influences = (np.array(part) for part in zip(*parts, strict=True))
    degrees = sum(count - 1 for count in subjects.values())
    return Paired(averages, influences, degrees, any(runs.uses_seed for runs in methods))


def _accuracies(
    runs: Sequence[Mapping[Line, Tally]], batches: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Return the average accuracy ``(seeds,)`` and the influences on it ``(seeds, subjects)``.

    Args:
        runs: line -> tally, for each seed.
        batches: names of the target batches, in the order of the subjects.
    """
    parts = []
    for batch in batches:
        lines = [line for line in runs[0] if line[1] == batch]
        # every split has the same subjects, so their correct predictions are averaged first
        right = np.array([np.mean([of_seed[line].right for line in lines], axis=0) for of_seed in runs])
        parts.append(influence(right, runs[0][lines[0]].samples.astype(np.float64)))
    averages: FloatArray = np.mean([accuracy for accuracy, _ in parts], axis=0)
    return averages, np.concatenate([shares for _, shares in parts], axis=1) / len(parts)


def influence(right: FloatArray, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the accuracy in one batch, and the influence of each of its subjects on it.

    The sum of squared influences is the variance of the accuracy, a ratio of sums over clusters (Cochran
    1977, Sampling Techniques, 3rd ed., section 2.11).

    Args:
        right: correct predictions of each subject ``(..., subjects)``.
        samples: samples of each subject ``(subjects,)``.

    Returns:
        ``(...,)`` and ``(..., subjects)``; the influence of a single subject is NaN.
    """
    accuracy = right.sum(axis=-1) / samples.sum()
    count = len(samples)
    unbiased = np.sqrt(count / (count - 1)) if count > 1 else np.nan
    return accuracy, unbiased * (right - accuracy[..., None] * samples) / samples.sum()


def spread(averages: FloatArray, influences: FloatArray, degrees: float) -> tuple[Values, Values]:
    """Compute the standard error of a mean over seeds, and its degrees of freedom (Satterthwaite 1946).

    Args:
        averages: value of each seed ``(..., seeds)``.
        influences: influence of each subject on it ``(..., seeds, subjects)``.
        degrees: degrees of freedom of a variance over the subjects.

    Returns:
        Both ``(...,)``. With one seed the error is that over subjects alone.
    """
    seeds = averages.shape[-1]
    own = (influences**2).sum(axis=(-2, -1))
    if seeds == 1:
        return np.sqrt(own), np.full_like(own, degrees)
    every = (influences.sum(axis=-2) ** 2).sum(axis=-1)
    covariance = (every - own) / (seeds * (seeds - 1))  # mean over pairs of seeds
    shared = np.maximum(covariance, 0)  # as its parameter is, though the estimate may be below
    apart = averages.var(axis=-1, ddof=1) / seeds
    cautious = CAUTION * apart
    against = shared**2 / degrees + cautious**2 / (seeds - 1)
    some = against > 0
    found = np.where(some, (shared + cautious) ** 2 / np.where(some, against, 1), degrees)
    return np.sqrt(shared + apart), found


def linear_interval(
    value: Values, error: Values, degrees: Values | float, bound: float = np.inf
) -> tuple[Values, Values]:
    """Return the ends of an interval, ``bound`` from 0 at most."""
    reach = student.ppf((1 + LEVEL) / 2, degrees) * error
    return np.clip(value - reach, -bound, bound), np.clip(value + reach, -bound, bound)


def logit_interval(value: Values, error: Values, degrees: Values | float) -> tuple[Values, Values]:
    """Return the ends of an accuracy's interval, that of its log odds: between 0 and 1, longer towards 1/2.

    An accuracy of 0 or 1 has no log odds and no error, so its interval is the value.
    """
    inside = (value > 0) & (value < 1)
    p = np.where(inside, value, 0.5)
    odds = np.log(p / (1 - p))
    low, high = linear_interval(odds, error / (p * (1 - p)), degrees)
    return (
        np.where(inside, 1 / (1 + np.exp(-low)), value - error),
        np.where(inside, 1 / (1 + np.exp(-high)), value + error),
    )
