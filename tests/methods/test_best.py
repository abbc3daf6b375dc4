"""Tests of the ensemble whose weights are learnt by leaving sources out."""

from dataclasses import replace
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
from calib.methods.best import Best, FittedBest, _leaving_out
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, small_run

FEATURES = 12
EXACT = Runtime(dtype=torch.float64)
LINEAR = ("rank_linear", "mix_ridge", "mix_linear", "plain_ridge", "plain_linear")


@cache
def settings(*overrides: str) -> dict[str, Any]:
    """Return the settings of the small method, whose correctors transform nothing."""
    parts = [f"method.members.{name}.corrector.transform=none" for name in LINEAR if "rank" not in name]
    return method_settings(
        compose("dataset=table", "dataset.path=x", "method=best", "method.size=small", *parts, *overrides)
    )


def made(**changed: Any) -> Best:
    return build(OmegaConf.create(settings() | changed))


def batch(seed: int, name: str, far: float = 1.0, cases: float = 0.5, samples: int = 100) -> LabelledSamples:
    """Return a batch that lies off by this standard deviation in every feature."""
    rng = np.random.default_rng(seed)
    y = (np.arange(samples) < cases * samples).astype(np.int64)
    effect = np.random.default_rng(7).normal(scale=1.2, size=FEATURES)
    x = y[:, None] * effect + rng.normal(size=(samples, FEATURES)) + rng.normal(size=FEATURES) * far
    return LabelledSamples(name, x, y)


def task(*targets: Samples, sources: int = 3, far: float = 1.0) -> Task:
    return Task([batch(number, f"s{number}", far) for number in range(sources)], targets, 2)


def unlabelled(of: LabelledSamples) -> Samples:
    return Samples(of.name, of.x)


def fitted(*targets: Samples, **changed: Any) -> FittedBest:
    found = made(**changed).fit(task(*targets), EXACT)
    assert isinstance(found, FittedBest)
    return found


def test_size_small_has_its_members_only() -> None:
    assert tuple(made().members) == LINEAR
    assert len(made(size="full").members) > len(LINEAR)


def test_the_answer_is_the_mixture_of_the_members() -> None:
    target = unlabelled(batch(9, "t"))
    one = fitted(target)
    each = np.array([member.predict_proba(target) for member in one.members.values()])
    expected = one.mixture.weighing(one.trust(target), np.full(len(each), True)).of(each)
    np.testing.assert_allclose(one.predict_proba(target), expected)
    np.testing.assert_allclose(expected.sum(axis=1), 1)


def test_weights_come_from_left_out_sources() -> None:
    """Check that batches far apart take weight from members without calibration."""
    plain = [name.startswith("plain") for name in LINEAR]
    near, far = (made().fit(task(far=far), EXACT).mixture.weights[plain].sum() for far in (0, 8))
    assert far < 0.1 < near


def test_neither_targets_nor_their_labels_change_the_weights() -> None:
    one, other = (fitted(unlabelled(batch(seed, "t", far=9))).mixture for seed in (8, 9))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_left_out_sources_show_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Samples] = []
    method = made()
    member = method.members["mix_linear"]
    real = type(member).fit

    def fit(self: Any, given: Task, runtime: Runtime) -> Any:
        seen.extend(given.targets)
        return real(self, given, runtime)

    monkeypatch.setattr(type(member), "fit", fit)
    method.fit(task(), EXACT)
    assert {one.name for one in seen} == {"s0", "s1", "s2"}
    assert not any(hasattr(one, "y") for one in seen)


def test_many_sources_are_left_out_in_groups() -> None:
    found = [
        ([one.name for one in rest.sources], [one.name for one in out])
        for rest, out in _leaving_out(task(sources=5), 2)
    ]
    assert found == [(["s1", "s3"], ["s0", "s2", "s4"]), (["s0", "s2", "s4"], ["s1", "s3"])]
    assert [len(out) for _, out in _leaving_out(task(sources=3), 4)] == [1, 1, 1]


def test_sources_without_which_one_class_is_left_are_passed_over() -> None:
    given = task()
    alone = [replace(one, y=np.zeros_like(one.y)) for one in given.sources[1:]]
    only = Task([given.sources[0], *alone], [], 2)
    assert [out[0].name for _, out in _leaving_out(only, 4)] == ["s1", "s2"]


def test_one_source_leaves_the_plain_mean_of_some() -> None:
    some = made().fit(task(sources=1), EXACT).mixture.weights
    assert some.tolist() == [1, 0, 0, 0, 0]
    every = made(alone=[]).fit(task(sources=1), EXACT).mixture.weights
    np.testing.assert_allclose(every, 1 / len(LINEAR))


def test_where_some_have_no_weight_a_single_sample_is_answered_by_the_others() -> None:
    one, alone = made().fit(task(sources=1), EXACT), Samples("alone", batch(9, "t").x[:1])
    assert np.isfinite(one.predict_proba(alone)).all()


def test_members_with_a_scale_of_their_own_count_less_in_small_and_unlike_batches() -> None:
    one = made().fit(task(far=0.05), EXACT)
    own = one.method.own_scale
    alike, other = (one.trust(unlabelled(batch(9, "t", 0.05, cases))) for cases in (0.5, 0.1))
    assert own.tolist() == [True, False, False, False, False]
    assert (alike[~own] == 1).all()
    assert 0.7 < alike[own][0] < 1
    assert other[own][0] < 0.5 * alike[own][0]
    few = one.trust(unlabelled(batch(9, "t", 0.05, samples=10)))
    assert few[own][0] <= 0.5


def test_a_single_sample_is_answered_without_them() -> None:
    one, alone = fitted(), Samples("alone", batch(9, "t").x[:1])
    assert one.trust(alone).tolist() == [0, 1, 1, 1, 1]
    assert one.predict_proba(alone).shape == (1, 2)


def test_a_target_of_a_single_sample_is_answered() -> None:
    alone = Samples("alone", batch(9, "t").x[:1])
    assert np.isfinite(fitted(alone).predict_proba(alone)).all()


def test_replicates_have_one_answer() -> None:
    target = replace(unlabelled(batch(9, "t")), replicate=np.repeat(np.arange(25), 4))
    found = fitted(target).predict_proba(target).reshape(25, 4, 2)
    np.testing.assert_allclose(found, found[:, :1].repeat(4, axis=1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": "medium"}, "method.size=medium"),
        ({"folds": 1}, "method.folds"),
        ({"prior": -1}, "method.prior"),
        ({"tolerance": 0}, "method.tolerance"),
        ({"own_scale": ["rank_linnear"]}, "method.own_scale=rank_linnear"),
        ({"small": ["lineer"]}, "method.small=lineer"),
        ({"small": []}, "at least one method"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibError, match=message):
        made(**changed)


def test_a_member_can_be_removed() -> None:
    members = settings()["members"] | {"plain_linear": None}
    assert "plain_linear" not in made(members=members).members


def test_a_kept_model_judges_as_the_run_did(tmp_path: Path) -> None:
    (result,) = run(small_run("best", tmp_path, "save_model=true"))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    model = load_model(folder)
    batch = build(model.config.dataset).batches["3"]
    predicted = model.fitted.predict_proba(batch.unlabelled()).argmax(axis=1)
    assert np.mean(predicted == batch.y) == pytest.approx(result["mean"]["accuracy"])


def test_a_restored_method_gives_the_same_answers() -> None:
    target = unlabelled(batch(9, "t"))
    one = fitted(target)
    again = one.method.restore(one.state(), FEATURES, 2, EXACT)
    np.testing.assert_allclose(again.predict_proba(target), one.predict_proba(target), atol=1e-12)
    wrong = one.state() | {"told_mix/reference": np.ones(3)}
    with pytest.raises(ValueError, match="do not fit each other"):
        one.method.restore(wrong, FEATURES, 2, EXACT)


def test_seeds_of_members_differ() -> None:
    first, second = (made().fit(task(), replace(EXACT, seed=seed, history=[])) for seed in (0, 1))
    np.testing.assert_array_equal(
        first.mixture.weights, second.mixture.weights
    )  # nothing small draws numbers
