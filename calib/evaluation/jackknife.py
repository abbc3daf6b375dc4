"""Balanced accuracy, MCC and AUC of a target batch with the share of its subjects in their errors.

Accuracy is a mean, so ``intervals`` has its error in closed form. These three are not. Their error comes from
a delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17): the subjects are dealt into groups,
and the metric is computed without each group in turn. One rule serves all three, for any number of classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from calib.data.study import FloatArray, IntArray, Subjects
from calib.evaluation.intervals import Estimate, linear_interval, spread

GROUPS = 20
"""Most groups of subjects of a target batch; a batch of fewer subjects has a group for each."""

METRICS = ("balanced_accuracy", "mcc", "auc")

Batch = str


@dataclass(frozen=True)
class Scored:
    """The metrics of one target batch in one run.

    Attributes:
        values: metric -> its value; NaN where it is not defined.
        influences: metric -> share of each group of subjects in its error ``(groups,)``; their sum of squares
            is the variance.
    """

    values: Mapping[str, float]
    influences: Mapping[str, FloatArray]


def scored(probability: FloatArray, y: IntArray, subject: Subjects | None) -> Scored:
    """Return the metrics of a target batch and the influences of its subjects.

    A class that a group takes away with its last sample keeps the share that it has of the whole batch. So a
    class with one subject adds nothing to the error, which is then too small.

    Args:
        probability: class probabilities ``(samples, classes)``.
        y: true class indices ``(samples,)``.
        subject: subject of each sample ``(samples,)``; None: each sample is one.
    """
    recall, auc, mcc = class_scores(probability, y)
    present = np.isfinite(recall)
    group = groups_of(y, np.arange(len(y)) if subject is None else subject)
    count = int(group.max()) + 1
    without: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for number in range(count):
        some = group != number
        own_recall, own_auc, own_mcc = class_scores(probability[some], y[some])
        left = (np.where(np.isfinite(own), own, all_) for own, all_ in ((own_recall, recall), (own_auc, auc)))
        numbers = (*(float(part[present].mean()) for part in left), own_mcc)
        for metric, value in zip(("balanced_accuracy", "auc", "mcc"), numbers, strict=True):
            without[metric].append(value)
    scale = np.sqrt((count - 1) / count)
    values = {"balanced_accuracy": recall[present].mean(), "mcc": mcc, "auc": auc[present].mean()}
    return Scored(
        {metric: float(value) for metric, value in values.items()},
        {metric: scale * (np.mean(found) - np.array(found)) for metric, found in without.items()},
    )


def groups_of(y: IntArray, subject: Subjects) -> NDArray[np.intp]:
    """Return the group of each sample ``(samples,)``: subjects of a class are dealt out in turn."""
    _, first, owner = np.unique(subject, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.intp)
    place[np.argsort(y[first], kind="stable")] = np.arange(len(first))
    groups: NDArray[np.intp] = (place % GROUPS)[owner]
    return groups


def class_scores(probability: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray, float]:
    """Return recall and AUC of each class ``(classes,)``, NaN where there is none, and the MCC."""
    classes = probability.shape[1]
    table = np.zeros((classes, classes))
    np.add.at(table, (y, probability.argmax(axis=1)), 1)
    ranks = rankdata(probability, axis=0)
    recall, auc = np.full(classes, np.nan), np.full(classes, np.nan)
    for c, own in enumerate(table.sum(axis=1)):
        others = len(y) - own
        if own:
            recall[c] = table[c, c] / own
        if own and others:
            auc[c] = (ranks[y == c, c].sum() - own * (own + 1) / 2) / (own * others)
    if classes == 2:  # of which the second is the positive one; rounding may tell the two apart
        auc[0] = auc[1]
    return recall, auc, _mcc(table)


def _mcc(table: FloatArray) -> float:
    """Return Gorodkin's correlation of a confusion matrix; 0 where all answers are the same."""
    total, true, told = table.sum(), table.sum(axis=1), table.sum(axis=0)
    both = (total**2 - (true**2).sum()) * (total**2 - (told**2).sum())
    return float((total * np.trace(table) - true @ told) / np.sqrt(both)) if both > 0 else 0.0


@dataclass(frozen=True)
class Metric:
    """One metric of a method on a study, mean over target batches.

    Attributes:
        averages: value of each seed ``(seeds,)``.
        influences: share of each group of subjects in its error ``(seeds, groups)``.
        degrees: degrees of freedom of a variance over the groups.
        seeds: the seeds, in order.
        uses_seed: whether the seed can change it.
    """

    averages: FloatArray
    influences: FloatArray
    degrees: float
    seeds: Sequence[int]
    uses_seed: bool

    def estimate(self) -> Estimate:
        """Return the mean over seeds with its interval, between -1 and 1."""
        error, degrees = spread(self.averages, self.influences, self.degrees)
        value = self.averages.mean()
        low, high = linear_interval(value, error, degrees, bound=1)
        ends = float(low), float(high)
        return Estimate(float(value), float(error), float(degrees), *ends, len(self.seeds), self.uses_seed)

    def minus(self, other: "Metric") -> "Metric | None":
        """Return the difference, paired by subject and seed; None where the two have no seed in common."""
        if self.uses_seed and other.uses_seed:
            seeds = sorted(set(self.seeds) & set(other.seeds))
        else:
            seeds = list(other.seeds if other.uses_seed else self.seeds)
        if not seeds:
            return None
        mine, theirs = self._at(seeds), other._at(seeds)
        averages, influences = (a - b for a, b in zip(mine, theirs, strict=True))
        return Metric(averages, influences, self.degrees, seeds, self.uses_seed or other.uses_seed)

    def _at(self, seeds: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Return values and influences of these seeds; one run stands for all if the seed changes nothing."""
        places = [self.seeds.index(seed) for seed in seeds] if self.uses_seed else [0] * len(seeds)
        return self.averages[places], self.influences[places]


def over_batches(
    runs: Mapping[int, Mapping[Batch, Sequence[Scored]]], metric: str, uses_seed: bool
) -> Metric:
    """Return a metric, mean over target batches of the mean over the splits in which each is a target.

    Args:
        runs: seed -> target batch -> its scores in every split; all seeds have the same.
        metric: name of the metric.
        uses_seed: whether the seed can change a result.
    """
    averages, influences = [], []
    seeds = sorted(runs)
    for seed in seeds:
        batches = runs[seed]
        averages.append(np.mean([np.mean([s.values[metric] for s in batches[b]]) for b in sorted(batches)]))
        parts = [np.mean([s.influences[metric] for s in batches[b]], axis=0) for b in sorted(batches)]
        influences.append(np.concatenate(parts) / len(parts))
    first = runs[seeds[0]]
    degrees = sum(len(scores[0].influences[metric]) - 1 for scores in first.values())
    return Metric(np.array(averages), np.array(influences), max(degrees, 1), seeds, uses_seed)
