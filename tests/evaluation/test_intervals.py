"""Intervals: their coverage by simulation, their parts against definitions, and tests of differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import norm, t

from calib.data.study import FloatArray
from calib.errors import CalibError
from calib.evaluation.intervals import (
    CAUTION,
    Estimate,
    influence,
    linear_interval,
    logit_interval,
    paired,
    spread,
)
from calib.evaluation.significance import decides, holm, p_different, p_equal
from calib.evaluation.tallies import Runs, Tally, shared_seeds, tallies

TRIALS = 12000
"""Simulated studies times seeds: fewer studies of many seeds, which tell as much."""


@dataclass(frozen=True)
class Plates:
    """Sizes of a simulated study: target batches, subjects of each, samples of a subject, splits of a target."""

    targets: int
    subjects: int
    replicates: int
    splits: int


MI, CHD = Plates(3, 129, 5, 1), Plates(4, 60, 5, 3)

HARD, FITS = 0.9, 0.5
"""Standard deviations, on the probit scale, of how hard a subject is, and of how each training meets it."""


def difficulty(plates: Plates, seeds: int, rng: np.random.Generator) -> FloatArray:
    """Return how hard every subject is ``(targets, trials, 1, subjects)``."""
    return HARD * rng.standard_normal((plates.targets, TRIALS // seeds, 1, plates.subjects), np.float32)


def simulated(
    plates: Plates,
    seeds: int,
    accuracy: float,
    deviation: float,
    hard: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return average accuracies ``(trials, seeds)`` and influences ``(trials, seeds, subjects)``.

    A training has a level of its own, a subject a difficulty that all trainings share, and every pair of them
    a deviation. The replicates of a subject are then right or wrong by chance. The expected accuracy over all
    of them is exactly ``accuracy``, and ``deviation`` is the standard deviation of the trainings' levels.
    """
    within = np.sqrt(1 + HARD**2 + FITS**2)
    levels = deviation * within / norm.pdf(ndtri(accuracy))
    middle = ndtri(accuracy) * np.sqrt(within**2 + levels**2)
    trials = hard.shape[1]
    of_seed = (middle + rng.normal(0, levels, (trials, seeds, 1))).astype(np.float32)
    samples = np.full(plates.subjects, float(plates.replicates))
    averages, influences = [], []
    for of_subject in hard:
        right = np.zeros((trials, seeds, plates.subjects))
        for _ in range(plates.splits):
            fits = FITS * rng.standard_normal(right.shape, np.float32)
            right += rng.binomial(plates.replicates, ndtr(of_seed + of_subject + fits)) / plates.splits
        one, shares = influence(right, samples)
        averages.append(one)
        influences.append(shares / plates.targets)
    return np.mean(averages, axis=0), np.concatenate(influences, axis=-1)


def covered(truth: float, ends: tuple[FloatArray, FloatArray]) -> float:
    """Return the share of intervals that hold the truth."""
    return float(np.mean((ends[0] <= truth) & (truth <= ends[1])))


@pytest.mark.parametrize(
    ("plates", "accuracy", "seeds", "deviation"),
    [
        (MI, 0.7, 3, 0.005),
        (MI, 0.7, 3, 0.035),
        (MI, 0.9, 3, 0.02),
        (MI, 0.9, 3, 0.07),
        (MI, 0.7, 5, 0.02),
        (MI, 0.9, 5, 0.07),
        (MI, 0.8, 10, 0.005),
        (MI, 0.8, 10, 0.07),
        (CHD, 0.8, 3, 0.035),
    ],
)
def test_intervals_of_accuracies_cover_the_truth(
    plates: Plates, accuracy: float, seeds: int, deviation: float
) -> None:
    rng = np.random.default_rng([seeds, round(1e4 * deviation), round(100 * accuracy)])
    averages, influences = simulated(plates, seeds, accuracy, deviation, difficulty(plates, seeds, rng), rng)
    assert averages.std(axis=1, ddof=1).mean() > 0.7 * deviation
    errors = spread(averages, influences, plates.targets * (plates.subjects - 1))
    assert 0.93 <= covered(accuracy, logit_interval(averages.mean(axis=1), *errors)) <= 0.97


@pytest.mark.parametrize(
    ("seeds", "deviations"),
    [(3, (0.005, 0.005)), (3, (0.02, 0.05)), (10, (0.07, 0.005))],
)
def test_intervals_of_differences_cover_the_truth(seeds: int, deviations: tuple[float, float]) -> None:
    rng = np.random.default_rng([seeds, *(round(1e4 * deviation) for deviation in deviations)])
    hard, own = difficulty(MI, seeds, rng), difficulty(MI, seeds, rng)
    other = np.sqrt(0.7) * hard + np.sqrt(0.3) * own  # subjects are hard for both, but not alike
    first, second = (
        simulated(MI, seeds, accuracy, deviation, h, rng)
        for accuracy, deviation, h in zip((0.85, 0.8), deviations, (hard, other), strict=True)
    )
    averages, influences = (a - b for a, b in zip(first, second, strict=True))
    errors = spread(averages, influences, MI.targets * (MI.subjects - 1))
    assert 0.93 <= covered(0.05, linear_interval(averages.mean(axis=1), *errors)) <= 0.97
    alone, _ = spread(*first, 1)
    if max(deviations) < 0.01:
        assert errors[0].mean() < alone.mean()  # what both share is not in their difference


def tally(samples: Sequence[int], right: Sequence[float]) -> Tally:
    """Return a tally of subjects that are named by numbers."""
    return Tally(np.arange(len(samples)).astype(str), np.array(samples), np.array(right))


def random_runs(seeds: Sequence[int], rng: np.random.Generator, uses_seed: bool = True) -> Runs:
    """Return random runs: batch a is a target in two splits, b in one; subjects have 1 to 5 samples."""
    samples = {"a": [5, 1, 3, 5], "b": [2, 5, 4]}
    lines = (("2_1", "a"), ("3_1", "a"), ("1_2", "b"))
    return Runs(
        {
            s: {line: tally(samples[line[1]], rng.binomial(samples[line[1]], 0.7)) for line in lines}
            for s in seeds
        },
        uses_seed,
    )


def average_by_hand(runs: Runs, seed: int, counts: dict[str, FloatArray]) -> float:
    """Return the average accuracy of a seed if each subject of a batch counts so often."""
    of_batches: dict[str, list[float]] = {}
    for (_, batch), one in runs.at(seed).items():
        right, samples = counts[batch] @ one.right, counts[batch] @ one.samples
        of_batches.setdefault(batch, []).append(right / samples)
    return float(np.mean([np.mean(values) for values in of_batches.values()]))


def test_value_is_the_mean_over_batches_of_the_mean_over_splits() -> None:
    lines = {("2_1", "a"): tally([4] * 2, [4, 4]), ("3_1", "a"): tally([4] * 2, [2, 2])}
    found = paired([Runs({0: {**lines, ("1_2", "b"): tally([1, 9], [1, 2])}})]).accuracy()
    assert found.value == pytest.approx(((1 + 0.5) / 2 + 0.3) / 2)
    assert (found.seeds, found.uses_seed) == (1, True)


def test_the_subjects_part_is_what_a_bootstrap_of_subjects_tends_to() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(1, 6, 60).tolist()

    def runs() -> Runs:
        return Runs({s: {("1_2", "b"): tally(samples, rng.binomial(samples, 0.7))} for s in (0, 2)})

    methods = [runs(), runs()]
    both = paired(methods)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=4000)
    for w in ((1, 0), (1, -1), (0.3, 0.7)):
        drawn = [
            [
                sum(f * average_by_hand(m, s, {"b": count}) for f, m in zip(w, methods, strict=True))
                for s in (0, 2)
            ]
            for count in weights
        ]
        covariance = np.cov(np.transpose(drawn))
        u = np.tensordot(w, both.influences, axes=1)
        np.testing.assert_allclose(u @ u.T, covariance, atol=0.12 * covariance.max())


def test_what_seeds_share_and_what_differs_are_counted_once_each() -> None:
    rng = np.random.default_rng(0)
    influences, averages = rng.normal(size=(4, 50)), rng.normal(size=4)
    error, degrees = spread(averages, influences, 49)
    covariance = influences @ influences.T
    shared = max(covariance[~np.eye(4, dtype=bool)].mean(), 0)
    apart = averages.var(ddof=1) / 4
    assert error == pytest.approx(np.sqrt(shared + apart))
    assert degrees == pytest.approx(
        (shared + CAUTION * apart) ** 2 / (shared**2 / 49 + (CAUTION * apart) ** 2 / 3)
    )
    same = np.tile(influences[:1], (4, 1))
    error, degrees = spread(np.full(4, 0.5), same, 49)  # seeds that are all the same are as one
    one, _ = spread(np.full(1, 0.5), same[:1], 49)
    assert (error, degrees) == (pytest.approx(one), pytest.approx(49))
    error, degrees = spread(averages, 0 * influences, 49)  # seeds alone: Student's t
    assert (error, degrees) == (pytest.approx(np.sqrt(apart)), pytest.approx(3))
    assert float(spread(np.full(4, 0.5), 0 * influences, 49)[0]) == 0


def test_one_seed_has_the_subjects_alone_and_a_seed_that_changes_nothing_needs_no_other() -> None:
    rng = np.random.default_rng(0)
    trained, fixed = random_runs([0, 1, 2, 3, 4], rng), random_runs([7], rng, uses_seed=False)
    assert shared_seeds([trained, fixed]) == [0, 1, 2, 3, 4]
    assert shared_seeds([fixed, fixed]) == [7]
    assert shared_seeds([trained, random_runs([3, 9], rng)]) == [3]
    assert shared_seeds([trained, Runs({})]) == []
    apart, alone = paired([trained, fixed]).contrast(1, -1), paired([fixed]).accuracy()
    assert (apart.seeds, apart.uses_seed, decides(apart)) == (5, True, True)
    assert (alone.seeds, alone.uses_seed, decides(alone)) == (1, False, True)
    few = paired([random_runs([0, 1, 2, 3], rng)]).accuracy()
    assert (few.seeds, decides(few)) == (4, False)
    single = paired([random_runs([0], rng)])
    assert single.accuracy().error == pytest.approx(np.sqrt((single.influences**2).sum()))
    assert single.accuracy().degrees == 3 + 2


def test_copies_of_replicates_add_nothing() -> None:
    right = np.random.default_rng(0).binomial(1, 0.7, 40)
    once = Runs({0: {("1_2", "b"): tally([1] * 40, right.tolist())}})
    five = Runs({0: {("1_2", "b"): tally([5] * 40, (5 * right).tolist())}})
    apart = Runs({0: {("1_2", "b"): tally([1] * 200, np.repeat(right, 5).tolist())}})
    first, second, third = (paired([runs]).accuracy() for runs in (once, five, apart))
    assert first == second
    assert third.high - third.low < 0.6 * (second.high - second.low)


def test_what_methods_share_cancels() -> None:
    hard = np.random.default_rng(0).integers(0, 10, 30)

    def runs(lift: int) -> Runs:  # seeds and subjects differ much, and alike for both methods
        return Runs({s: {("1_2", "b"): tally([20] * 30, (hard + 4 * s + lift).tolist())} for s in range(3)})

    both = paired([runs(1), runs(0)])
    assert both.accuracy().high - both.accuracy().low > 0.1
    apart = both.contrast(1, -1)
    assert [apart.low, apart.high] == pytest.approx([0.05, 0.05])
    assert p_different(apart) == pytest.approx(0, abs=1e-12)


def test_intervals_stay_where_accuracies_are() -> None:
    rng = np.random.default_rng(0)
    near_one = Runs({s: {("1_2", "b"): tally([5] * 12, rng.binomial(5, 0.95, 12))} for s in (0, 1)})
    found = paired([near_one]).accuracy()
    assert 0 < found.low < found.value < found.high < 1
    assert found.value - found.low > found.high - found.value
    perfect = paired([Runs({0: {("1_2", "b"): tally([5] * 12, [5] * 12)}})]).accuracy()
    assert (perfect.low, perfect.value, perfect.high) == (1, 1, 1)
    wide = paired([near_one, Runs({s: {("1_2", "b"): tally([5] * 12, [5 * s] * 12)} for s in (0, 1)})])
    assert (wide.contrast(1, -1).low, wide.contrast(1, -1).high) == (-2, 2)


def test_a_target_of_one_subject_has_no_interval() -> None:
    found = paired([Runs({0: {("1_2", "b"): tally([5], [4])}})]).accuracy()
    assert found.value == 0.8
    assert np.isnan([found.low, found.high, found.error, p_different(found), p_equal(found)]).all()


def test_what_cannot_be_compared_is_refused() -> None:
    one = Runs({0: {("1_2", "b"): tally([1, 2], [1, 0])}})
    with pytest.raises(CalibError, match="no seed in common"):
        paired([one, Runs({1: one.seeds[0]})])
    with pytest.raises(CalibError, match="'b' were made with different data"):
        paired([one, Runs({0: {("1_2", "b"): tally([2, 1], [1, 0])}})])


def test_tallies_count_by_subject_or_by_sample() -> None:
    table = pd.DataFrame(
        {
            "batch": ["01"] * 3 + ["NA"] * 2 + ["new"],
            "row": ["0", "1", "2", "0", "1", "0"],
            "subject": ["7", "7", "8", "", "", "1"],
            "label": ["a", "a", "b", "a", "b", ""],
            "predicted": ["a", "b", "b", "a", "a", "a"],
        }
    )
    found = tallies(table)
    assert list(found) == ["01", "NA"]  # no labels, no right answers
    assert (found["01"].samples.tolist(), found["01"].right.tolist()) == ([2, 1], [1, 1])
    assert (found["NA"].samples.tolist(), found["NA"].right.tolist()) == ([1, 1], [1, 0])


def test_p_values_are_those_of_t_tests() -> None:
    found = Estimate(0.012, 0.004, 9.0, 0.0, 0.0, 5, True)
    assert p_different(found) == pytest.approx(2 * t.sf(3, 9))
    assert p_equal(found) == pytest.approx(t.sf(2, 9))  # the nearer end of the margin of .02 decides
    assert p_equal(found, margin=0.01) > 0.5
    exact = Estimate(0.0, 0.0, 9.0, 0.0, 0.0, 5, True)
    assert (p_different(exact), p_equal(exact)) == (1, 0)


def test_holm_adjusts_step_by_step() -> None:
    adjusted = holm([0.01, np.nan, 0.04, 0.03, 0.005])
    assert adjusted[[0, 2, 3, 4]].tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm 1979, by hand
    assert np.isnan(adjusted[1])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).tolist() == []
