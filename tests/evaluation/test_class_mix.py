"""Tests of the estimate of a batch's class mix."""

from typing import Any

import numpy as np
import pytest

from calib.data.study import LabelledSamples, Samples
from calib.errors import CalibError
from calib.evaluation.class_direction import LARGE
from calib.evaluation.class_mix import ALONE, Assumptions, MixEstimate, MixModel


def batch(
    rng: np.random.Generator, shares: list[float], samples: int = 150, features: int = 30, replicates: int = 1
) -> LabelledSamples:
    """Return a batch with these shares of classes, and a shift of its own in every feature."""
    y = rng.choice(len(shares), samples, p=shares)
    means = np.random.default_rng(7).normal(scale=0.7, size=(len(shares), features))
    shift = rng.normal(scale=0.5, size=features)
    x = (means[y] + shift + rng.normal(size=(samples, features)))[np.repeat(np.arange(samples), replicates)]
    x = x + rng.normal(scale=0.3, size=x.shape)
    owner = np.repeat(np.arange(samples), replicates)
    return LabelledSamples("b", x.astype(np.float32), y[owner], replicate=owner if replicates > 1 else None)


def unlabelled(one: LabelledSamples) -> Samples:
    return Samples(one.name, one.x, replicate=one.replicate)


def estimate_mix(sources: list[LabelledSamples], target: Samples, classes: int) -> MixEstimate:
    """Return the class mix of a batch from labelled ones."""
    return MixModel.of(sources, classes).estimate(target)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_mix_is_found_in_spite_of_the_batchs_shift(share: float) -> None:
    rng = np.random.default_rng(0)
    errors, covered = [], 0
    for _ in range(12):
        sources = [batch(rng, [0.5, 0.5]) for _ in range(3)]
        target = batch(rng, [1 - share, share])
        found = estimate_mix(sources, unlabelled(target), 2)
        truth = float(target.y.mean())
        errors.append(found.shares[1] - truth)
        covered += found.low[1] <= truth <= found.high[1]
        assert found.shares.sum() == pytest.approx(1)
        assert found.low[0] == pytest.approx(1 - found.high[1])
    assert np.sqrt(np.mean(np.square(errors))) < 0.1
    assert covered >= 10


def test_several_classes_and_one_that_no_source_has() -> None:
    rng = np.random.default_rng(1)
    sources = [batch(rng, [0.3, 0.3, 0.4, 0]) for _ in range(3)]
    target = batch(rng, [0.1, 0.6, 0.3, 0], samples=300)
    found = estimate_mix(sources, unlabelled(target), 4)
    np.testing.assert_allclose(found.shares[:3], [0.1, 0.6, 0.3], atol=0.12)
    assert found.shares[3] == 0
    assert found.shares.sum() == pytest.approx(1)


def test_replicates_count_once() -> None:
    """Check that an interval does not shrink because samples are measured five times."""
    rng = np.random.default_rng(2)
    sources = [batch(rng, [0.5, 0.5], 80, replicates=5) for _ in range(2)]
    target = batch(rng, [0.7, 0.3], 80, replicates=5)
    together = estimate_mix(sources, unlabelled(target), 2)
    apart = [LabelledSamples(one.name, one.x, one.y) for one in sources]
    alone = estimate_mix(apart, Samples("b", target.x), 2)
    assert together.high[1] - together.low[1] > alone.high[1] - alone.low[1]


def test_more_features_than_samples_and_constant_ones() -> None:
    rng = np.random.default_rng(3)
    sources = [batch(rng, [0.5, 0.5], 40, 400) for _ in range(2)]
    target = batch(rng, [0.2, 0.8], 40, 400)
    for one in (*sources, target):
        one.x[:, 5] = 3  # type: ignore[index]
    found = estimate_mix(sources, unlabelled(target), 2)
    assert np.isfinite(found.shares).all()
    assert found.shares[1] > 0.5


def test_one_source_is_enough() -> None:
    rng = np.random.default_rng(4)
    found = estimate_mix([batch(rng, [0.5, 0.5])], unlabelled(batch(rng, [0.9, 0.1])), 2)
    assert found.shares[1] < 0.5


def test_the_offset_is_wider_where_no_two_batches_show_a_difference() -> None:
    rng = np.random.default_rng(5)
    sources = [batch(rng, [0.5, 0.5]) for _ in range(2)]
    assumed = Assumptions(offset=0.05)
    several, single = (MixModel.of(some, 2, assumed) for some in (sources, sources[:1]))
    np.testing.assert_allclose(several.offsets, 0.05)
    np.testing.assert_allclose(single.offsets, 0.05 * ALONE)
    lacking = [sources[0], batch(rng, [1, 0])]  # the second has nothing to compare
    np.testing.assert_allclose(MixModel.of(lacking, 2, assumed).offsets, 0.05 * ALONE)


@pytest.mark.parametrize("case", [0, 1])
def test_intervals_reach_the_ends_for_a_batch_of_one_class(case: int) -> None:
    rng = np.random.default_rng(6)
    sources = [batch(rng, [0.5, 0.5]) for _ in range(3)]
    found = estimate_mix(sources, unlabelled(batch(rng, [1 - case, case], 400)), 2)
    assert (found.high if case else found.low)[1] == case
    assert (found.low if case else found.high)[0] == 1 - case
    assert abs(found.shares[1] - case) < 0.15
    assert (found.low <= found.shares).all()
    assert (found.shares <= found.high).all()


def test_a_batch_of_one_sample_says_little() -> None:
    rng = np.random.default_rng(7)
    sources = [batch(rng, [0.5, 0.5]) for _ in range(2)]
    found = estimate_mix(sources, Samples("b", sources[0].x[:1]), 2)
    assert 0.2 < found.shares[1] < 0.8
    assert found.high[1] - found.low[1] > 0.6


def test_labels_of_the_batch_are_not_used() -> None:
    rng = np.random.default_rng(8)
    model = MixModel.of([batch(rng, [0.5, 0.5]) for _ in range(2)], 2)
    target = batch(rng, [0.3, 0.7])
    with_labels, without = model.estimate(target), model.estimate(unlabelled(target))
    np.testing.assert_array_equal(with_labels.shares, without.shares)


def test_rows_of_large_sources_are_drawn() -> None:
    """Check that more samples than ``LARGE`` give about the same, and twice the same numbers."""
    rng = np.random.default_rng(9)
    sources = [batch(rng, [0.4, 0.6], LARGE) for _ in range(2)]
    target = unlabelled(batch(rng, [0.6, 0.4], 200))
    model, again = (MixModel.of(sources, 2) for _ in range(2))
    np.testing.assert_array_equal(model.directions, again.directions)
    np.testing.assert_allclose(model.reference, np.mean([np.bincount(s.y) / LARGE for s in sources], axis=0))
    assert abs(model.estimate(target).shares[1] - 0.4) < 0.15


def test_the_prior_draws_a_small_batch_towards_the_sources() -> None:
    rng = np.random.default_rng(10)
    sources = [batch(rng, [0.5, 0.5]) for _ in range(2)]
    target = unlabelled(batch(rng, [0, 1], 10))
    free, held = (MixModel.of(sources, 2, Assumptions(prior=n)).estimate(target) for n in (0, 1000))
    assert held.shares[1] == pytest.approx(0.5, abs=0.05)
    assert free.shares[1] > held.shares[1] + 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"own": 0}, "own=0 must be a number of at least"),
        ({"offset": 0}, "offset=0 must be a number of at least"),
        ({"offset": "wide"}, "offset=wide must be a number"),
        ({"temper": 0}, "temper=0 must be a number of at least"),
        ({"temper": 2}, "temper=2 must be at most 1"),
        ({"temper": True}, "temper=True must be a number"),
        ({"prior": -1}, "prior=-1 must be a number of at least 0"),
        ({"prior": float("nan")}, "prior=nan must be a number"),
    ],
)
def test_wrong_assumptions_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibError, match=message):
        Assumptions(**settings)
