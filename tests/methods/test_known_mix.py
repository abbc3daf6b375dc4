"""Tests of the references that know of a target what is estimated otherwise."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import LabelledSamples, LabelledTask
from calib.errors import CalibError
from calib.methods.known_mix import FittedKnownMix, KnownMix
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

FEATURES = 20

EXACT = Runtime(dtype=torch.float64)


@cache
def settings(method: str) -> dict[str, Any]:
    """Return the settings of one of the references, without a transform."""
    given = ["dataset=table", "dataset.path=x", f"method={method}", "method.corrector.transform=none"]
    return method_settings(compose(*given))


def made(method: str, **others: Any) -> KnownMix:
    return build(OmegaConf.create(settings(method) | others))


def batch(seed: int, name: str, cases: float, samples: int = 200, far: float = 1.0) -> LabelledSamples:
    """Return a batch with a location of its own, and this share of cases."""
    rng = np.random.default_rng(seed)
    y = (np.arange(samples) < cases * samples).astype(np.int64)
    effect = np.random.default_rng(7).normal(scale=0.8, size=FEATURES)
    x = y[:, None] * effect + rng.normal(size=(samples, FEATURES)) + rng.normal(scale=far, size=FEATURES)
    return LabelledSamples(name, x, y)


@pytest.fixture
def sources() -> list[LabelledSamples]:
    return [batch(0, "a", 0.5), batch(1, "b", 0.4)]


def fitted(method: str, sources: list[LabelledSamples], *targets: LabelledSamples) -> FittedKnownMix:
    task = LabelledTask(sources, targets, 2, dict.fromkeys((one.name for one in targets), None))
    return made(method).fit(task, EXACT)


def accuracy(method: Any, one: LabelledSamples) -> float:
    """Return the balanced accuracy of a trained method's answers."""
    right = method.predict_proba(one).argmax(axis=1) == one.y
    return float(np.mean([right[one.y == c].mean() for c in np.unique(one.y)]))


@pytest.mark.parametrize("method", ["known_mix_logistic", "known_moments_logistic"])
def test_an_unequal_mix_does_no_harm(method: str, sources: list[LabelledSamples]) -> None:
    targets = [batch(2, "c", 0.9), batch(3, "d", 0.1)]
    found = fitted(method, sources, *targets)
    for one in targets:
        probability = found.predict_proba(one)
        assert probability.shape == (len(one), 2)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        assert accuracy(found, one) > 0.85


def test_known_moments_put_each_target_where_it_would_be_with_the_sources_mix(
    sources: list[LabelledSamples],
) -> None:
    """Check that weights which make the sources' mix of a target give it mean 0 and deviation 1."""
    target = batch(2, "c", 0.9)
    x = fitted("known_moments_logistic", sources, target).transform(target)
    share = np.mean([one.y.mean() for one in sources])
    weights = np.where(target.y == 1, share / target.y.sum(), (1 - share) / (target.y == 0).sum())
    np.testing.assert_allclose(weights @ x, 0, atol=1e-10)
    np.testing.assert_allclose(weights @ np.square(x), 1, atol=1e-10)


def test_the_known_mix_is_that_of_the_labels_and_not_the_estimate(sources: list[LabelledSamples]) -> None:
    target = batch(2, "c", 0.5)
    wrong = LabelledSamples("c", target.x, np.zeros_like(target.y))
    x, other = (
        fitted("known_mix_logistic", sources, one).transform(target).mean(axis=0) for one in (target, wrong)
    )
    assert np.abs(x - other).mean() > 0.2
    assert np.abs(x).mean() < np.abs(other).mean()


@pytest.mark.parametrize("method", ["known_mix_logistic", "known_moments_logistic"])
def test_a_target_may_have_one_class_a_class_of_its_own_or_a_single_sample(
    method: str, sources: list[LabelledSamples]
) -> None:
    whole = batch(2, "c", 0.5)
    unseen = whole.y.copy()
    unseen[::10] = 2  # no source has it
    one_class = whole.y == 1
    targets = [
        LabelledSamples("unseen", whole.x, unseen),
        LabelledSamples("cases", whole.x[one_class], whole.y[one_class]),
        LabelledSamples("single", whole.x[:1], whole.y[:1]),
    ]
    task = LabelledTask(sources, targets, 3, {})
    found = made(method).fit(task, EXACT)
    for one in targets:
        probability = found.predict_proba(one)
        assert probability.shape == (len(one), 3)
        assert np.isfinite(probability).all()
        assert np.isfinite(found.transform(one)).all()


@pytest.mark.parametrize("method", ["known_mix_logistic", "known_moments_logistic"])
def test_constant_features_become_zero(method: str, sources: list[LabelledSamples]) -> None:
    target = batch(2, "c", 0.5)
    for one in (*sources, target):
        one.x[:, 3] = 8.0
    assert (fitted(method, sources, target).transform(target)[:, 3] == 0).all()


def test_they_are_references_whose_versions_are_those_of_their_parts() -> None:
    for method in ("known_mix_logistic", "known_moments_logistic"):
        one = made(method)
        assert one.uses_target_labels
        assert one.versions == [one.version, one.corrector.version, one.classifier.version]
        assert not one.judges_new_batches


def test_what_is_known_is_mix_or_moments() -> None:
    with pytest.raises(CalibError, match="knows=labels is not one of: mix, moments"):
        made("known_mix_logistic", knows="labels")
