"""Tests of the method whose answers are pooled by the size of the batch."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError
from calib.methods import pooled
from calib.methods.pooled import HALVES, UNKNOWN, FittedPooled, Pooled
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, small_run

FEATURES = 12

EXACT = Runtime(dtype=torch.float64)


@pytest.fixture(autouse=True)
def _few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn the size of equal weight from few batches, so that it takes no time."""
    monkeypatch.setattr(pooled, "SIZES", (1, 5))
    monkeypatch.setattr(pooled, "DRAWS", 3)


@cache
def settings(*overrides: str) -> dict[str, Any]:
    """Return the settings of the method, whose correctors transform nothing."""
    parts = [f"method.{part}.corrector.transform=none" for part in ("plain", "calibrated")]
    return method_settings(
        compose("dataset=table", "dataset.path=x", "method=pooled_logistic", *parts, *overrides)
    )


def made(half: float | None = None) -> Pooled:
    """Return the method with this size of equal weight; None: it is learnt."""
    return build(OmegaConf.create(settings() | {"half": half}))


def batch(seed: int, name: str, far: float, samples: int = 80) -> LabelledSamples:
    """Return a batch that lies off by this standard deviation in every feature."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    effect = np.random.default_rng(7).normal(scale=0.8, size=FEATURES)
    x = y[:, None] * effect + rng.normal(size=(samples, FEATURES)) + rng.normal(size=FEATURES) * far
    return LabelledSamples(name, x, y)


def task(far: float, *targets: Samples, sources: int = 2) -> Task:
    return Task([batch(number, f"s{number}", far) for number in range(sources)], targets, 2)


@pytest.fixture
def target() -> Samples:
    return Samples("t", batch(9, "t", 1).x)


def test_the_size_of_equal_weight_says_which_answer_counts(target: Samples) -> None:
    given = task(1, target)
    plain, calibrated = (part.fit(given, EXACT) for part in (made().plain, made().calibrated))
    zero, huge = (made(half).fit(given, EXACT) for half in (0, 1e15))
    np.testing.assert_allclose(zero.predict_proba(target), calibrated.predict_proba(target), atol=1e-5)
    np.testing.assert_allclose(huge.predict_proba(target), plain.predict_proba(target), atol=1e-5)
    assert np.abs(plain.predict_proba(target) - calibrated.predict_proba(target)).max() > 0.1
    np.testing.assert_array_equal(huge.transform(target), calibrated.transform(target))


def test_probabilities_are_the_normalised_product_of_both_answers(target: Samples) -> None:
    fitted = made(20).fit(task(1, target), EXACT)
    weight = 80 / (80 + 20)
    plain, calibrated = map(np.exp, fitted.logarithms(target))
    product = plain ** (1 - weight) * calibrated**weight
    found = fitted.predict_proba(target)
    np.testing.assert_allclose(found, product / product.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_larger_a_batch_the_more_calibration_counts(target: Samples) -> None:
    """Check that one sample is answered nearer to the plain answer than as a part of its batch."""
    fitted = made(10).fit(task(1, target), EXACT)
    alone = Samples("alone", target.x[:1])
    for one, weight in ((alone, 1 / 11), (target, 80 / 90)):
        plain, calibrated = (logs[:, 1] - logs[:, 0] for logs in fitted.logarithms(one))
        found = fitted.predict_proba(one)
        np.testing.assert_allclose(
            np.log(found[:, 1] / found[:, 0]), (1 - weight) * plain + weight * calibrated, rtol=1e-6
        )


def test_replicates_count_once(target: Samples) -> None:
    fitted = made(10).fit(task(1, target), EXACT)
    owner = np.repeat(np.arange(4), 20)
    one = Samples("r", target.x, replicate=owner)
    plain, calibrated = (logs[:, 1] - logs[:, 0] for logs in fitted.logarithms(one))
    found = fitted.predict_proba(one)
    np.testing.assert_allclose(
        np.log(found[:, 1] / found[:, 0]), (10 * plain + 4 * calibrated) / 14, rtol=1e-6
    )


def test_the_size_of_equal_weight_is_small_where_calibration_is_worth_much() -> None:
    shifted, even = (made().fit(task(far), EXACT).half for far in (5, 0))
    assert shifted <= 5
    assert even >= 100
    assert {shifted, even} <= set(HALVES)


def test_a_single_source_leaves_the_size_of_equal_weight_unknown() -> None:
    assert made().fit(task(1, sources=1), EXACT).half == UNKNOWN


def test_a_source_that_is_too_small_or_has_unknown_classes_only_tells_nothing() -> None:
    known = np.array([0, 1])
    rng = np.random.default_rng(0)
    small, unseen = batch(0, "a", 0, 1), batch(0, "a", 0)
    assert list(pooled._small_batches(small, known, rng)) == []
    assert list(pooled._small_batches(unseen, np.array([2]), rng)) == []


def test_small_batches_keep_replicates_together_and_have_many_mixes() -> None:
    whole = batch(0, "a", 0)
    owner = np.arange(80) // 4 * 2 + np.arange(80) % 2  # two rows of one class each
    source = LabelledSamples("a", whole.x, whole.y, replicate=owner)
    parts = list(pooled._small_batches(source, np.array([0, 1]), np.random.default_rng(0)))
    assert [len(parts), parts[0][0].distinct] == [6, 1]
    for part, y in parts:
        assert part.replicate is not None
        assert all((part.replicate == one).sum() == (owner == one).sum() for one in set(part.replicate))
        assert len(part) == len(y)
        assert part.distinct <= 5
    assert len({round(float(y.mean()), 2) for _, y in parts}) > 2
    (only,) = {
        int(c) for _, y in pooled._small_batches(source, np.array([1]), np.random.default_rng(0)) for c in y
    }
    assert only == 1


def test_the_same_seed_gives_the_same_numbers(target: Samples) -> None:
    given = task(1, target)
    first, again = (made().fit(given, Runtime(seed=3, dtype=torch.float64)) for _ in range(2))
    assert first.half == again.half
    np.testing.assert_array_equal(first.predict_proba(target), again.predict_proba(target))


def test_what_was_learnt_can_be_kept(target: Samples, tmp_path: Path) -> None:
    method = made(20)
    fitted = method.fit(task(1, target), EXACT)
    np.savez(tmp_path / "state.npz", **fitted.state())  # type: ignore[arg-type]
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    again = method.restore(state, FEATURES, 2, EXACT)
    assert isinstance(again, FittedPooled)
    assert again.half == 20
    later = Samples("later", batch(11, "later", 2).x[:7])
    for one in (later, Samples("t2", target.x)):
        np.testing.assert_allclose(again.predict_proba(one), fitted.predict_proba(one), rtol=1e-10)
    with pytest.raises(ValueError, match="half is no size"):
        method.restore(state | {"half": np.array([-1.0])}, FEATURES, 2, EXACT)
    with pytest.raises(LookupError):
        method.restore({name: value for name, value in state.items() if name != "half"}, FEATURES, 2, EXACT)


def test_a_kept_model_judges_as_the_run_did(tmp_path: Path) -> None:
    (result,) = run(small_run("pooled_logistic", tmp_path, "save_model=true"))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    model = load_model(folder)
    batch = build(model.config.dataset).batches["3"]
    predicted = model.fitted.predict_proba(batch.unlabelled()).argmax(axis=1)
    assert np.mean(predicted == batch.y) == pytest.approx(result["mean"]["accuracy"])


def test_it_has_the_versions_and_the_answers_of_its_parts() -> None:
    one = made()
    assert one.versions == [one.version, *one.plain.versions, *one.calibrated.versions]
    assert one.judges_new_batches
    assert one.why_not_saved == ""
    assert one.new_batches == one.calibrated.new_batches


@pytest.mark.parametrize("half", ["-1", "many", "true"])
def test_wrong_sizes_of_equal_weight_are_refused(half: str) -> None:
    with pytest.raises(CalibError, match="half="):
        build(OmegaConf.create(settings(f"method.half={half}")))


def test_a_source_that_is_needed_for_a_class_is_not_left_out(target: Samples) -> None:
    """Check that nothing is learnt from leaving out a source without which one class remains."""
    first = batch(1, "a", 0)
    alone = LabelledSamples("b", first.x[first.y == 0] + 0.1, first.y[first.y == 0])
    fitted = made(None).fit(Task([first, alone], [target], 2), EXACT)
    assert isinstance(fitted, FittedPooled)
