"""Intervals of average accuracies: a bootstrap over subjects and seeds at once.

Replicates of a subject are not independent, and one target batch is a target in several splits. So whole
subjects are drawn, in each target batch, and the same ones in every split, seed and method; seeds are drawn
too, the same ones for all methods (pigeonhole bootstrap, Owen 2007, doi 10.1214/07-AOAS122). What is
compared is paired by subject and by seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.study import FloatArray
from calib.errors import CalibError

DRAWS, LEVEL = 2000, 0.95

SEED = 20211202
"""Seed of every bootstrap of the report."""

Line = tuple[str, str]
"""Split and target batch: a line of the paper's tables."""


@dataclass(frozen=True)
class Tally:
    """Samples and right answers of every subject of one target batch in one run, each ``(subjects,)``."""

    subjects: NDArray[np.str_]
    samples: NDArray[np.int64]
    right: NDArray[np.int64]


Runs = Mapping[int, Mapping[Line, Tally]]
"""Runs of one method: seed -> line -> tally; every seed has the same lines."""


@dataclass(frozen=True)
class Estimate:
    """A number with its percentile interval, and the number of seeds behind it.

    With one seed the interval holds no variation between trainings. Its ends are NaN where some draw has
    no value.
    """

    value: float
    low: float
    high: float
    seeds: int


def tallies(predictions: pd.DataFrame) -> dict[str, Tally]:
    """Target batch -> tally, from the table of a ``predictions.csv`` with its columns read as text.

    Samples of batches without subjects count as a subject each; batches without labels are left out.
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
    """Mean over target batches of the mean over that batch's splits of accuracy: ``(draws, seeds)``.

    Args:
        seeds: which runs, in the order of the columns.
        weights: target batch -> how often each of its subjects counts ``(draws, subjects)``.
    """
    by_batch: dict[str, list[Line]] = {}
    for line in runs[seeds[0]]:
        by_batch.setdefault(line[1], []).append(line)
    means = []
    for batch, lines in by_batch.items():
        # the same subjects in every split: right answers can be averaged over splits before they are drawn
        right = [np.mean([runs[seed][line].right for line in lines], axis=0) for seed in seeds]
        samples = runs[seeds[0]][lines[0]].samples
        means.append(weights[batch] @ np.transpose(right) / (weights[batch] @ samples)[:, None])
    return np.mean(means, axis=0)


def shared_seeds(methods: Sequence[Runs]) -> list[int]:
    """Seeds that every method has been run with, in ascending order."""
    return sorted(set.intersection(*(set(runs) for runs in methods)))


def estimate(
    statistic: Callable[..., FloatArray],
    methods: Sequence[Runs],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """A function of the average accuracies of several methods, with its interval.

    Args:
        statistic: takes an array of averages a method, of one shape, and gives an array of that shape.
        methods: runs of each method, paired by seed; only seeds that all of them have are used.

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
    """How often each of ``size`` things is drawn, with replacement, in each draw ``(draws, size)``."""
    return rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)


def _sizes(runs: Sequence[Mapping[Line, Tally]]) -> dict[str, int]:
    """Target batch -> number of subjects, which all runs have to agree on; batches in order of name.

    The order is that of the random numbers, so it must not hang on the order of the runs.
    """
    first: dict[str, Tally] = {}
    for lines in runs:
        for (_, batch), tally in lines.items():
            known = first.setdefault(batch, tally)
            if not (
                np.array_equal(known.subjects, tally.subjects)
                and np.array_equal(known.samples, tally.samples)
            ):
                raise CalibError(f"Runs on target batch '{batch}' were made with different data; rerun them.")
    return {batch: len(first[batch].samples) for batch in sorted(first)}
