"""Intervals of average accuracies, from a bootstrap over subjects and seeds at once.

Replicates of a subject are not independent, and a batch is a target in several splits. So the bootstrap draws
whole subjects in each target batch, the same ones in every split, seed and method. It also draws seeds, the
same ones for all methods (pigeonhole bootstrap, Owen 2007, doi 10.1214/07-AOAS122). Comparisons are therefore
paired by subject and by seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.study import FloatArray
from calib.errors import CalibError

DRAWS, LEVEL = 2000, 0.95
"""Number of bootstrap draws, and coverage of the intervals."""

SEED = 20211202
"""Seed of every bootstrap of the report."""

Line = tuple[str, str]
"""Split and target batch, which make a line of the paper's tables."""


@dataclass(frozen=True)
class Tally:
    """The samples and correct predictions of every subject of one target batch in one run.

    Attributes:
        subjects: names of the subjects ``(subjects,)``.
        samples: number of samples of each subject ``(subjects,)``.
        right: number of correctly predicted samples of each subject ``(subjects,)``.
    """

    subjects: NDArray[np.str_]
    samples: NDArray[np.int64]
    right: NDArray[np.int64]


Runs = Mapping[int, Mapping[Line, Tally]]
"""Runs of one method, as seed -> line -> tally; every seed has the same lines."""


@dataclass(frozen=True)
class Estimate:
    """A number with its percentile interval and its number of seeds.

    With one seed the interval holds no variation between trainings. Its ends are NaN where a draw has no
    value.
    """

    value: float
    low: float
    high: float
    seeds: int


def tallies(predictions: pd.DataFrame) -> dict[str, Tally]:
    """Return the tally of each target batch, from a ``predictions.csv`` whose columns were read as text.

    In a batch without subjects every sample counts as a subject. Batches without labels are left out.
    """
    found = {}
    for name, part in predictions.groupby("batch", sort=False):
        if (part["label"] == "").any():
            continue
        subject = part["row"] if (part["subject"] == "").any() else part["subject"]
        right = (part["label"] == part["predicted"]).to_numpy()
        subjects, owner = np.unique(subject.to_numpy(dtype=str), return_inverse=True)
        samples = np.bincount(owner)
        found[str(name)] = Tally(subjects, samples, np.bincount(owner[right], minlength=len(samples)))
    return found


def averages(runs: Runs, seeds: Sequence[int], weights: Mapping[str, FloatArray]) -> FloatArray:
    """Compute the average accuracy ``(draws, seeds)``.

    Accuracy is averaged over the splits of each target batch first, and then over the target batches.

    Args:
        runs: runs of one method.
        seeds: seeds of the runs, in the order of the columns.
        weights: target batch -> how often each of its subjects counts ``(draws, subjects)``.
    """
    by_batch: dict[str, list[Line]] = {}
    for line in runs[seeds[0]]:
        by_batch.setdefault(line[1], []).append(line)
    means = []
    for batch, lines in by_batch.items():
        # every split has the same subjects, so their correct predictions are averaged before the draw
        right = [np.mean([runs[seed][line].right for line in lines], axis=0) for seed in seeds]
        samples = runs[seeds[0]][lines[0]].samples
        means.append(weights[batch] @ np.transpose(right) / (weights[batch] @ samples)[:, None])
    return np.mean(means, axis=0)


def shared_seeds(methods: Sequence[Runs]) -> list[int]:
    """Return the seeds that every method has been run with, in ascending order."""
    return sorted(set.intersection(*(set(runs) for runs in methods)))


def estimate(
    statistic: Callable[..., FloatArray],
    methods: Sequence[Runs],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """Estimate a function of the average accuracies of several methods, with its interval.

    Args:
        statistic: takes one array of averages for each method, all of one shape, and returns an array of that
            shape.
        methods: runs of each method, paired by seed; only seeds that all of them have are used.
        rng: source of the random draws.
        draws: number of draws.

    Raises:
        CalibError: the methods share no seed, or were judged on different samples.
    """
    seeds = shared_seeds(methods)
    if not seeds:
        raise CalibError("The methods to compare have no seed in common; run them with the same seeds.")
    sizes = _sizes([runs[seed] for runs in methods for seed in seeds])
    whole = {batch: np.ones((1, size)) for batch, size in sizes.items()}
    drawn = {batch: _resampled(size, draws, rng) for batch, size in sizes.items()}
    of_seed = _resampled(len(seeds), draws, rng) / len(seeds)
    value = statistic(*(averages(runs, seeds, whole).mean(axis=1) for runs in methods))
    values = statistic(*((averages(runs, seeds, drawn) * of_seed).sum(axis=1) for runs in methods))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value[0]), float(low), float(high), len(seeds))


def _resampled(size: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return how often each of ``size`` items occurs in each draw with replacement ``(draws, size)``."""
    return rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)


def _sizes(runs: Sequence[Mapping[Line, Tally]]) -> dict[str, int]:
    """Return the number of subjects of each target batch, after checking that all runs have the same.

    Batches are in the order of their names. Random numbers are drawn in this order, so it must not depend on
    the order of the runs.
    """
    first: dict[str, Tally] = {}
    for lines in runs:
        for (_, batch), tally in lines.items():
            expected = first.setdefault(batch, tally)
            if not (
                np.array_equal(expected.subjects, tally.subjects)
                and np.array_equal(expected.samples, tally.samples)
            ):
                raise CalibError(f"Runs on target batch '{batch}' were made with different data; rerun them.")
    return {batch: len(first[batch].samples) for batch in sorted(first)}
