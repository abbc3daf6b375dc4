"""Tests of the scale that a batch would have with the sources' class mix."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.matrix import Matrix
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError, DataError
from calib.methods.correction import Correction
from calib.methods.standardise_mix import FLOOR, StandardiseMix
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

FEATURES = 20

EXACT = Runtime(dtype=torch.float64)


@cache
def usual() -> dict[str, Any]:
    """Return the settings of the configuration."""
    config = compose("dataset=table", "dataset.path=x", "method=standardise_mix_logistic")
    return method_settings(config)["corrector"]


def made(**settings: Any) -> StandardiseMix:
    """Return the corrector of the configuration, without a transform unless another one is given."""
    return build(OmegaConf.create(usual() | {"transform": "none"} | settings))


def batch(rng: np.random.Generator, name: str, cases: float, samples: int = 200) -> LabelledSamples:
    """Return a batch with a location and a scale of its own, and this share of cases."""
    y = (np.arange(samples) < cases * samples).astype(np.int64)
    effect = np.random.default_rng(7).normal(scale=0.8, size=FEATURES)
    x = y[:, None] * effect + rng.normal(size=(samples, FEATURES))
    return LabelledSamples(name, x * rng.uniform(0.8, 1.2) + rng.normal(scale=0.4, size=FEATURES), y)


def unlabelled(one: LabelledSamples) -> Samples:
    return Samples(one.name, one.x, replicate=one.replicate)


def plain(x: np.ndarray) -> np.ndarray:
    """Return a batch with mean 0 and standard deviation 1 in every feature."""
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.fixture
def batches() -> list[LabelledSamples]:
    rng = np.random.default_rng(0)
    return [batch(rng, "a", 0.5), batch(rng, "b", 0.4), batch(rng, "c", 0.1)]


def corrected(batches: list[LabelledSamples], **settings: Any) -> Mapping[str, Matrix]:
    """Return all batches corrected; the last one is the target."""
    return made(**settings).correct(batches[:-1], [unlabelled(batches[-1])], EXACT)


def test_classes_lie_where_the_sources_have_them(batches: list[LabelledSamples]) -> None:
    """Check that a class's mean is the same in every batch, though the target has few cases."""
    found = corrected(batches)
    means = {
        one.name: np.array([found[one.name][one.y == c].mean(axis=0) for c in (0, 1)]) for one in batches
    }
    alone = np.array([plain(batches[2].dense)[batches[2].y == c].mean(axis=0) for c in (0, 1)])
    ours, theirs = (np.abs(mean - means["a"])[0].mean() for mean in (means["c"], alone))
    assert ours < 0.15
    assert ours < theirs / 2
    np.testing.assert_allclose(means["a"], means["b"], atol=0.35)


@pytest.mark.parametrize("shrink", [False, True])
def test_the_same_mix_everywhere_is_plain_standardising_where_nothing_is_drawn_towards_others(
    shrink: bool,
) -> None:
    rng = np.random.default_rng(1)
    sources = [batch(rng, name, 0.5) for name in "ab"]
    found = made(shrink=shrink).correct(sources, [], EXACT)
    for one in sources:
        expected = plain(one.dense)
        if shrink:
            assert not np.allclose(found[one.name], expected, atol=1e-3)
            np.testing.assert_allclose(found[one.name], expected, atol=0.6)
        else:
            np.testing.assert_allclose(found[one.name], expected, atol=1e-10)


def test_a_class_that_a_source_lacks_is_told_from_its_batch() -> None:
    rng = np.random.default_rng(2)
    whole, lacking = batch(rng, "a", 0.5), batch(rng, "b", 0.0)
    found = made().correct([whole, lacking], [], EXACT)
    gap = found["a"][whole.y == 0].mean(axis=0) - found["b"].mean(axis=0)
    assert np.abs(gap).mean() < 0.1


def test_constant_features_become_zero(batches: list[LabelledSamples]) -> None:
    for one in batches:
        one.x[:, 3] = 5.0
    found = corrected(batches)
    assert all((x[:, 3] == 0).all() and np.isfinite(x).all() for x in found.values())


@pytest.mark.parametrize("shrink", [False, True])
def test_a_single_sample_is_corrected(shrink: bool, batches: list[LabelledSamples]) -> None:
    one = Samples("c", batches[2].x[:1])
    found = made(shrink=shrink).correct(batches[:2], [one], EXACT)["c"]
    assert found.shape == (1, FEATURES)
    assert np.isfinite(found).all()
    if shrink:  # it is mostly taken as the sources have it, so that something is left of it
        assert np.abs(found).mean() > 0.1


def test_several_equal_samples_are_refused(batches: list[LabelledSamples]) -> None:
    with pytest.raises(DataError, match="Batch 'c' has 3 samples that are all the same"):
        made().correct(batches[:2], [Samples("c", np.ones((3, FEATURES)))], EXACT)


def test_only_small_batches_are_drawn_towards_the_sources(batches: list[LabelledSamples]) -> None:
    """Check that what a shift of the batch leaves of itself grows as the batch gets smaller."""
    rng = np.random.default_rng(3)
    whole = batch(rng, "c", 0.5, 300)
    far = whole.dense + np.where(np.arange(FEATURES) % 2, 2.0, -2.0)
    left: dict[bool, list[float]] = {}
    for shrink in (False, True):
        corrector = made(shrink=shrink)
        _, learnt = corrector.learn(batches[:2], [], EXACT)
        left[shrink] = []
        for rows in (np.arange(300), np.arange(135, 165), np.arange(148, 152)):  # half of each are cases
            near, away = (corrector.follow(learnt, Samples("c", x[rows]), EXACT) for x in (whole.dense, far))
            left[shrink].append(float(np.abs(away.mean(axis=0) - near.mean(axis=0)).mean()))
    large, small, tiny = left[True]
    assert large < small / 2 < small < tiny
    assert tiny > 3 * max(left[False])


def test_a_small_batchs_deviation_is_drawn_towards_the_sources(batches: list[LabelledSamples]) -> None:
    few = replace(batches[2], x=batches[2].x[:5] * 4, y=batches[2].y[:5])
    alone, drawn = (
        float(corrected([*batches[:2], few], shrink=shrink)["c"].std(axis=0).mean())
        for shrink in (False, True)
    )
    assert alone == pytest.approx(1, abs=0.2)
    assert 1.4 < drawn < 4


def test_no_feature_keeps_less_of_its_variance_than_the_floor(batches: list[LabelledSamples]) -> None:
    target = replace(batches[2], x=batches[2].x * 0.1)
    found = corrected([*batches[:2], target], shrink=False)["c"]
    assert (found.std(axis=0) <= 1 / np.sqrt(FLOOR) + 1e-9).all()


def test_what_was_learnt_can_be_kept(batches: list[LabelledSamples], tmp_path: Path) -> None:
    corrector = made(transform="arcsinh")
    targets = [unlabelled(batches[2])]
    first = corrector.correct(batches[:2], targets, EXACT)
    again, learnt = corrector.learn(batches[:2], targets, EXACT)
    np.savez(tmp_path / "learnt.npz", **learnt)  # type: ignore[arg-type]
    with np.load(tmp_path / "learnt.npz", allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    for one in batches:
        np.testing.assert_array_equal(first[one.name], again[one.name])
    np.testing.assert_array_equal(corrector.follow(kept, targets[0], EXACT), first["c"])
    assert corrector.width(kept, FEATURES, EXACT) == FEATURES
    with pytest.raises(ValueError, match="features"):
        corrector.width(kept, FEATURES - 1, EXACT)
    for name in kept:
        with pytest.raises(LookupError, match=name):
            corrector.width({key: value for key, value in kept.items() if key != name}, FEATURES, EXACT)


def test_a_later_batch_is_corrected_as_in_the_fit(batches: list[LabelledSamples]) -> None:
    targets = [unlabelled(batches[2])]
    correction = Correction(made(), Task(batches[:2], targets, 2), EXACT)
    later = replace(targets[0], name="later")
    np.testing.assert_array_equal(correction.of(later), correction.batches["c"])


@pytest.mark.parametrize("factor", [-1, 0, 1e30])
def test_what_was_learnt_may_be_spoilt(factor: float, batches: list[LabelledSamples]) -> None:
    corrector = made()
    _, learnt = corrector.learn(batches[:2], [], EXACT)
    later = Samples("later", batches[2].x[:10])
    for name in learnt:
        spoilt = learnt | {name: learnt[name] * factor}
        with np.errstate(all="ignore"):
            try:
                assert np.isfinite(Correction.restored(corrector, spoilt, EXACT).of(later)).all()
            except CalibError:
                continue


def test_replicates_count_once(batches: list[LabelledSamples]) -> None:
    """Check that four rows of one sample are drawn towards the sources as one sample is."""
    _, learnt = made().learn(batches[:2], [], EXACT)
    x = batches[2].dense[:4] + 2
    apart = made().follow(learnt, Samples("c", x), EXACT)
    together = made().follow(learnt, Samples("c", x, replicate=np.zeros(4, np.int64)), EXACT)
    assert (np.abs(together.mean(axis=0)) > np.abs(apart.mean(axis=0))).mean() > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transform": "log"}, "transform=log is not one of"),
        ({"shrink": 1}, "shrink=1 is not one of"),
        ({"own": 0}, "own=0 must be a number of at least"),
        ({"offset": -0.1}, "offset=-0.1 must be a number of at least"),
        ({"temper": 0}, "temper=0 must be a number of at least"),
        ({"temper": 1.5}, "temper=1.5 must be at most 1"),
        ({"prior": -1}, "prior=-1 must be a number of at least 0"),
        ({"prior": "two"}, "prior=two must be a number"),
        ({"own": None}, "own=None must be a number"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    given = {key: value for key, value in usual().items() if key != "_target_"}
    with pytest.raises(CalibError, match=message):
        StandardiseMix(**given | settings)
