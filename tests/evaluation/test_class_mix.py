"""Tests of the estimate of a batch's class mix."""

import numpy as np
import pytest

from calib.data.study import LabelledSamples, Samples
from calib.evaluation.class_mix import estimate_mix


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
