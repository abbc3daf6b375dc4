"""The metrics of left-out plates, with the share of each subject in their errors.

A number over plates is the mean of the plates, each counting once. Its interval is that of these plates with
other subjects: the delete-a-group jackknife of ``evaluation.jackknife`` within each plate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from calib.data.study import FloatArray, IntArray
from calib.evaluation.jackknife import class_scores, groups_of
from calib.evaluation.trust import brier
from calib.plates.answer import BALANCED, METRICS, Expected, Judged, LeftOut
from calib.plates.slope import slope as calibration_slope

SHUFFLES = 1000
"""Shuffles of the labels that the floor is taken from."""

LEVEL = 0.95

BOUNDS = {"mcc": (-1.0, 1.0), "brier": (0.0, 2.0), "slope": (-np.inf, np.inf)}
"""Smallest and largest value of a metric; others lie between 0 and 1."""


@dataclass(frozen=True)
class PlateScores:
    """The metrics of one method on one left-out plate.

    Attributes:
        values: metric -> its value; NaN where it is not defined.
        influences: metric -> share of each group of subjects in its error ``(groups,)``.
        least: metric -> smallest standard error that is believed: where every answer is right, a jackknife
            finds none.
    """

    values: Mapping[str, float]
    influences: Mapping[str, FloatArray]
    least: Mapping[str, float] = field(default_factory=dict)

    def error(self, metric: str) -> float:
        """Return the standard error of a metric on this plate, of other subjects."""
        return max(float(np.sqrt(np.square(self.influences[metric]).sum())), self.least.get(metric, 0.0))


@dataclass(frozen=True)
class MethodScores:
    """The metrics of one method on all left-out plates, by plate."""

    plates: Mapping[str, PlateScores]

    @cached_property
    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the plates that have it."""
        return {metric: _mean([one.values[metric] for one in self.plates.values()]) for metric in METRICS}

    def expected(self, metric: str) -> Expected:
        """Return a metric's mean over plates with a 95 % interval by subject."""
        found = [one for one in self.plates.values() if np.isfinite(one.values[metric])]
        if not found:
            return Expected(np.nan, np.nan, np.nan)
        error = np.sqrt(sum(one.error(metric) ** 2 for one in found)) / len(found)
        degrees = sum(len(one.influences[metric]) - 1 for one in found)
        return ranged(self.means[metric], error, degrees, BOUNDS.get(metric, (0.0, 1.0)))

    def minus(self, other: "MethodScores", metric: str = BALANCED) -> Expected:
        """Return the mean difference to another method, paired by plate and subject, with its interval."""
        values, shares = [], []
        for plate, mine in self.plates.items():
            theirs = other.plates[plate]
            values.append(mine.values[metric] - theirs.values[metric])
            shares.append(mine.influences[metric] - theirs.influences[metric])
        error = np.sqrt(sum(float(np.square(part).sum()) for part in shares)) / len(values)
        degrees = sum(len(part) - 1 for part in shares)
        return ranged(float(np.mean(values)), error, degrees, (-1.0, 1.0))


def ranged(value: float, error: float, degrees: int, bounds: tuple[float, float]) -> Expected:
    """Return a value with its 95 % interval by Student's t, within its bounds."""
    half = float(student.ppf((1 + LEVEL) / 2, max(degrees, 1)) * error)
    return Expected(float(value), float(max(value - half, bounds[0])), float(min(value + half, bounds[1])))


def scored(left_out: LeftOut) -> MethodScores:
    """Return the metrics of a method's answers on left-out plates."""
    return MethodScores({plate: _of_plate(judged) for plate, judged in left_out.items()})


def _of_plate(judged: Judged) -> PlateScores:
    """Return the metrics of one plate; a class that a group takes away keeps what it has of the whole."""
    p, y = judged.probability.astype(np.float64), judged.y
    whole = _numbers(p, y, None)
    group = groups_of(y, np.arange(len(y)) if judged.subject is None else judged.subject)
    count = int(group.max()) + 1
    without = [_numbers(p[group != g], y[group != g], whole.recalls) for g in range(count)]
    scale = np.sqrt((count - 1) / count)
    influences = {}
    for metric, value in whole.values.items():
        left = np.array([one.values[metric] for one in without])
        left = np.where(np.isfinite(left), left, value)
        influences[metric] = scale * (left.mean() - left) if np.isfinite(value) else np.full(count, np.nan)
    return PlateScores(whole.values, influences, _least(whole.recalls, y))


def _least(recalls: FloatArray, y: IntArray) -> dict[str, float]:
    """Return the standard errors of recalls with two right and two wrong answers more, and of their mean.

    Agresti and Coull 1998, doi 10.1080/00031305.1998.10480550.
    """
    counts = np.bincount(y, minlength=len(recalls))
    present = counts > 0
    share = (np.where(present, recalls, 0) * counts + 2) / (counts + 4)
    variance = share * (1 - share) / (counts + 4)
    found = {BALANCED: float(np.sqrt(variance[present].sum()) / present.sum())}
    if len(recalls) == 2 and present.all():
        found |= {"specificity": float(np.sqrt(variance[0])), "sensitivity": float(np.sqrt(variance[1]))}
    return found


@dataclass(frozen=True)
class _Numbers:
    """The metrics of some rows, and their recalls by class."""

    values: dict[str, float]
    recalls: FloatArray


def _numbers(p: FloatArray, y: IntArray, recalls: FloatArray | None) -> _Numbers:
    """Return the metrics of rows.

    Args:
        recalls: recall of each class in the whole plate, for classes that these rows lack; None: no others.
    """
    recall, auc, mcc = class_scores(p, y)
    own = recall if recalls is None else np.where(np.isfinite(recall), recall, recalls)
    present = np.isfinite(own)
    two = p.shape[1] == 2
    values = {
        BALANCED: float(own[present].mean()),
        "auc": _mean(auc),
        "mcc": mcc,
        "sensitivity": float(own[1]) if two else np.nan,
        "specificity": float(own[0]) if two else np.nan,
        "brier": brier(p, y),
        "slope": calibration_slope(p, y),
    }
    return _Numbers(values, own)


def _mean(values: Sequence[float] | FloatArray) -> float:
    """Return the mean of the values that are numbers; NaN where there are none."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else np.nan


def floor(methods: Sequence[LeftOut], rng: np.random.Generator, shuffles: int = SHUFFLES) -> float:
    """Return the balanced accuracy that the best of several methods reaches by chance, .95 quantile.

    The labels of every plate are shuffled between its subjects, the same way for all methods, whose answers
    stay. So the floor rises with the number of methods, and falls with the number of subjects.

    Args:
        methods: the answers of each method on the same plates.
        rng: source of the shuffles.
        shuffles: number of shuffles.
    """
    best = np.full(shuffles, -np.inf)
    orders = {plate: _shuffles(judged, rng, shuffles) for plate, judged in methods[0].items()}
    for left_out in methods:
        means = [_balanced(judged, orders[plate]) for plate, judged in left_out.items()]
        best = np.maximum(best, np.mean(means, axis=0))
    return float(np.quantile(best, LEVEL))


def _shuffles(judged: Judged, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return shuffled labels of a plate ``(count, rows)``; rows of a subject with one label stay together."""
    if judged.subject is None:
        return np.array([rng.permutation(judged.y) for _ in range(count)])
    _, first, owner = np.unique(judged.subject, return_index=True, return_inverse=True)
    labels = judged.y[first]
    if not np.array_equal(labels[owner], judged.y):  # cells of a donor have several classes
        return np.array([rng.permutation(judged.y) for _ in range(count)])
    return np.array([rng.permutation(labels)[owner] for _ in range(count)])


def _balanced(judged: Judged, labels: NDArray[np.int64]) -> FloatArray:
    """Return the balanced accuracy of a plate's answers with each row of labels ``(shuffles,)``."""
    called = judged.probability.argmax(axis=1)
    right = labels == called
    present = np.unique(judged.y)
    counts = [labels == c for c in present]
    found: FloatArray = np.mean(
        [(right & own).sum(axis=1) / np.maximum(own.sum(axis=1), 1) for own in counts], axis=0
    )
    return found
