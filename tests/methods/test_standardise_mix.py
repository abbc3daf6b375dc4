"""Tests of the scale that a batch would have with the sources' class mix."""

import numpy as np
import pytest

from calib.data.study import LabelledSamples, Samples
from calib.methods.standardise_mix import StandardiseMix
from calib.runtime import Runtime

FEATURES = 20


def batch(rng: np.random.Generator, name: str, cases: float, samples: int = 200) -> LabelledSamples:
    """Return a batch with a location and a scale of its own, and this share of cases."""
    y = (np.arange(samples) < cases * samples).astype(np.int64)
    effect = np.random.default_rng(7).normal(scale=0.8, size=FEATURES)
    x = y[:, None] * effect + rng.normal(size=(samples, FEATURES))
    return LabelledSamples(name, x * rng.uniform(0.8, 1.2) + rng.normal(scale=0.4, size=FEATURES), y)


@pytest.fixture
def batches() -> list[LabelledSamples]:
    rng = np.random.default_rng(0)
    return [batch(rng, "a", 0.5), batch(rng, "b", 0.4), batch(rng, "c", 0.1)]


def corrected(batches: list[LabelledSamples]) -> dict[str, np.ndarray]:
    sources, target = batches[:-1], batches[-1]
    unlabelled = Samples(target.name, target.x)
    return dict(StandardiseMix("none").correct(sources, [unlabelled], Runtime(0, dtype="float64")))


def test_classes_lie_where_the_sources_have_them(batches: list[LabelledSamples]) -> None:
    """Check that a class's mean is the same in every batch, though the target has few cases."""
    made = corrected(batches)
    means = {one.name: np.array([made[one.name][one.y == c].mean(axis=0) for c in (0, 1)]) for one in batches}
    own = (batches[2].x - batches[2].x.mean(axis=0)) / batches[2].x.std(axis=0)
    alone = np.array([own[batches[2].y == c].mean(axis=0) for c in (0, 1)])
    ours, theirs = (np.abs(found - means["a"])[0].mean() for found in (means["c"], alone))
    assert ours < 0.15
    assert ours < theirs / 2
    np.testing.assert_allclose(means["a"], means["b"], atol=0.35)


def test_the_same_mix_everywhere_is_plain_standardising() -> None:
    rng = np.random.default_rng(1)
    sources = [batch(rng, name, 0.5) for name in "ab"]
    made = StandardiseMix("none").correct(sources, [], Runtime(0, dtype="float64"))
    for one in sources:
        np.testing.assert_allclose(
            made[one.name], (one.x - one.x.mean(axis=0)) / one.x.std(axis=0), atol=1e-10
        )


def test_a_class_that_a_source_lacks_is_told_from_its_batch() -> None:
    rng = np.random.default_rng(2)
    whole, lacking = batch(rng, "a", 0.5), batch(rng, "b", 0.0)
    made = StandardiseMix("none").correct([whole, lacking], [], Runtime(0, dtype="float64"))
    gap = made["a"][whole.y == 0].mean(axis=0) - made["b"].mean(axis=0)
    assert np.abs(gap).mean() < 0.1


def test_constant_features_become_zero(batches: list[LabelledSamples]) -> None:
    for one in batches:
        one.x[:, 3] = 5.0  # type: ignore[index]
    made = corrected(batches)
    assert all((x[:, 3] == 0).all() and np.isfinite(x).all() for x in made.values())
