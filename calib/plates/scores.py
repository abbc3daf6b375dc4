"""The metrics of left-out plates, with the share of each subject in their errors.

A number over plates is the mean of the plates, each counting once. Its interval is that of these plates with
other subjects: the delete-a-group jackknife of ``evaluation.jackknife`` within each plate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from calib.data.study import FloatArray, IntArray
from calib.evaluation.jackknife import class_scores, groups_of
from calib.plates.answer import METRICS, Expected, Judged, LeftOut
from calib.plates.slope import slope as calibration_slope

BALANCED = "balanced_accuracy"

SHUFFLES = 1000
"""Shuffles of the labels that the floor is taken from."""

LEVEL = 0.95

Combination = Callable[[Sequence[Any]], Any]
"""Returns a combination of methods' values, and of their influences."""

BOUNDS = {"mcc": (-1.0, 1.0), "brier": (0.0, 2.0), "slope": (-np.inf, np.inf)}
"""Smallest and largest value of a metric; others lie between 0 and 1."""


@dataclass(frozen=True)
class PlateScores:
    """The metrics of one method on one left-out plate.

    Attributes:
        values: metric -> its value; NaN where it is not defined.
        influences: metric -> share of each group of subjects in its error ``(groups,)``.
    """

    values: Mapping[str, float]
    influences: Mapping[str, FloatArray]


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
        return over_plates([self.plates], metric, lambda parts: parts[0], BOUNDS.get(metric, (0.0, 1.0)))

    def minus(self, other: "MethodScores", metric: str = BALANCED) -> Expected:
        """Return the mean difference to another method, paired by plate and subject, with its interval."""
        return over_plates([self.plates, other.plates], metric, lambda p: p[0] - p[1], (-1.0, 1.0))


def over_plates(
    methods: Sequence[Mapping[str, PlateScores]],
    metric: str,
    combine: Combination,
    bounds: tuple[float, float],
) -> Expected:
    """Return the mean over plates of a combination of methods' metrics, with a 95 % interval by subject.

    Args:
        methods: plate -> scores of each method; all have the same plates.
        combine: returns the combination of the methods' values, and of their influences.
        bounds: smallest and largest value that it can have.
    """
    values, shares, degrees = [], [], 0
    for plate in methods[0]:
        parts = [scores[plate] for scores in methods]
        value = combine([np.float64(one.values[metric]) for one in parts])
        if np.isfinite(value):
            values.append(float(value))
            shares.append(np.asarray(combine([one.influences[metric] for one in parts])))
            degrees += len(shares[-1]) - 1
    if not values:
        return Expected(np.nan, np.nan, np.nan)
    error = np.sqrt(sum(float(np.square(part).sum()) for part in shares)) / len(values)
    half = student.ppf((1 + LEVEL) / 2, max(degrees, 1)) * error
    mean = float(np.mean(values))
    return Expected(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]))


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
    return PlateScores(whole.values, influences)


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
        "auc": _mean(auc[np.isfinite(auc)]),
        "mcc": mcc,
        "sensitivity": float(own[1]) if two else np.nan,
        "specificity": float(own[0]) if two else np.nan,
        "brier": float(np.square(p - np.eye(p.shape[1])[y]).sum(axis=1).mean()),
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
