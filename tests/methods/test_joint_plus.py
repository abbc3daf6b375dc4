"""Tests of Joint+: its members, its average over replicates, its pseudo-labels, saving and restoring."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from calib.config import build
from calib.data.replicates import over_replicates
from calib.data.split import make_task, parse_split
from calib.data.study import Samples, Study, Task
from calib.data.transform import prepared_batch
from calib.errors import CalibError
from calib.methods.corrected import LEARNT, versions_of
from calib.methods.joint_plus import JointPlus
from calib.methods.standardise_mix import StandardiseMix
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, fast, small_run

FEW = fast("joint_plus")


def made(*overrides: str, method: str = "joint_plus") -> JointPlus:
    """Return the method with few epochs and two members."""
    return build(OmegaConf.create(method_settings(compose(f"method={method}", *FEW, *overrides))))


@pytest.fixture
def task(study: Study) -> Task:
    return make_task(study, parse_split("12_3", study))


def test_members_differ_and_are_averaged(task: Task) -> None:
    fitted = made("method.average_replicates=false").fit(task, Runtime())
    target = task.targets[0]
    each = [member.predict_proba(fitted.prepare(target)) for member in fitted.members]
    assert not np.array_equal(each[0], each[1])
    assert np.allclose(fitted.predict_proba(target), np.mean(each, axis=0))


def test_measurements_of_one_sample_share_their_prediction(task: Task) -> None:
    runtime = Runtime()
    single = made("method.average_replicates=false").fit(task, runtime).predict_proba(task.targets[0])
    shared = made().fit(task, Runtime()).predict_proba(task.targets[0])
    replicate = task.targets[0].replicate
    assert replicate is not None
    assert np.allclose(shared, over_replicates(single, replicate))
    trainings = {row["training"] for row in runtime.history}
    assert trainings == {"joint training, member 1", "joint training, member 2"}


def test_the_scale_of_a_batch_does_not_matter(task: Task) -> None:
    def scaled(factor: float) -> Task:
        one = task.targets[0]
        return Task(task.sources, [type(one)(one.name, one.x * factor, replicate=one.replicate)], 2)

    large = scaled(1e5)  # here arcsinh is a logarithm, whose shift the scaling removes
    larger = scaled(2e5)
    p, q = (made().fit(one, Runtime()).predict_proba(one.targets[0]) for one in (large, larger))
    assert np.allclose(p, q, atol=1e-3)


def test_a_batch_of_one_sample_has_no_scale(task: Task) -> None:
    fitted = made().fit(task, Runtime())
    alone = Samples("alone", task.targets[0].x[:1])
    with pytest.raises(CalibError, match="Batch 'alone' has one sample"):
        fitted.predict_proba(alone)
    protocol = "method.joint.protocol"
    unscaled = made(f"{protocol}.batch_scale=none").fit(task, Runtime())
    with pytest.raises(CalibError, match="Batch 'alone' has one sample"):  # it has no statistics, either
        unscaled.predict_proba(alone)
    running = [f"{protocol}.{part}_test_statistics=running" for part in ("calibrator", "discriminator")]
    unscaled = made(f"{protocol}.batch_scale=none", *running).fit(task, Runtime())
    assert unscaled.predict_proba(alone).shape == (1, 2)


def test_pseudo_labels_are_the_confident_predictions(task: Task) -> None:
    method = made("method.rounds=1", "method.confidence=0.5", "method.joint.epochs=30")
    seen: list[Task] = []
    train = method._train
    method._train = lambda tasks, *rest: (seen.extend(tasks), train(tasks, *rest))[1]  # type: ignore[method-assign]
    method.fit(task, Runtime())
    assert len(seen) == 2
    (extra,) = seen[1].sources[2:]
    assert extra.name == "3, pseudo-labelled"
    assert len(extra.y) == len(task.targets[0])


def test_a_kept_model_judges_as_the_run_did(tmp_path: Path) -> None:
    (result,) = run(small_run("joint_plus", tmp_path, "save_model=true"))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    model = load_model(folder)
    study = build(model.config.dataset)
    target = study.batches["3"].unlabelled()
    predicted = model.fitted.predict_proba(target).argmax(axis=1)
    assert np.mean(predicted == study.batches["3"].y) == pytest.approx(result["mean"]["accuracy"])


def test_a_corrector_takes_the_place_of_the_scaling(task: Task) -> None:
    """Check that even a single sample that comes later is corrected by what the fit has told."""
    method = made(method="joint_plus_mix")
    assert isinstance(method.corrector, StandardiseMix)
    assert method.versions == [method.version, *method.joint.versions, *versions_of(method.corrector)]
    assert method.judges_new_batches
    runtime = Runtime()
    fitted = method.fit(task, runtime)
    assert {row["training"] for row in runtime.history} == {
        "joint training, member 1",
        "joint training, member 2",
    }
    target = task.targets[0]
    expected = method.corrector.correct(task.sources, task.targets, Runtime())
    for one in task.batches:
        np.testing.assert_array_equal(fitted.prepare(one).x, expected[one.name])
    probability = fitted.predict_proba(target)
    assert probability.shape == (len(target), 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(fitted.predict_proba(Samples("alone", target.x[:1]))).all()


def test_members_behind_a_corrector_can_be_kept(task: Task, tmp_path: Path) -> None:
    method, target = made(method="joint_plus_mix"), task.targets[0]
    fitted = method.fit(task, Runtime())
    np.savez(tmp_path / "state.npz", **fitted.state())  # type: ignore[arg-type]
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    assert sum(name.startswith(LEARNT) for name in state) > 5
    again = method.restore(state, target.x.shape[1], 2, Runtime())
    later = replace(target, name="later", x=target.x[:10] * 1.5, replicate=None)
    for one in (later, replace(target, name="again")):
        np.testing.assert_array_equal(again.predict_proba(one), fitted.predict_proba(one))
    with pytest.raises(ValueError, match="features"):
        method.restore(state, target.x.shape[1] + 1, 2, Runtime())


def test_without_a_corrector_members_see_the_protocols_scaling_alone(task: Task) -> None:
    """Check that the method is the same as if there were no place for a corrector."""
    method, target = made(), task.targets[0]
    assert method.corrector is None
    assert method.versions == [method.version, *method.joint.versions]
    fitted = method.fit(task, Runtime())
    assert not any(name.startswith(LEARNT) for name in fitted.state())
    protocol = method.joint.protocol

    def scaled(batch: Samples) -> Samples:
        x = prepared_batch(batch, protocol.transform, protocol.batch_scale, Runtime())
        return replace(batch, x=x)

    ready = Task([scaled(one) for one in task.sources], [scaled(target)], 2)  # type: ignore[misc]
    seeds = [Runtime(Runtime().derived_seed(f"member {number}")) for number in (1, 2)]
    members = method.joint.fit_seeds(ready, seeds)
    mean = np.mean([member.predict_proba(ready.targets[0]) for member in members], axis=0)
    assert target.replicate is not None
    np.testing.assert_allclose(
        fitted.predict_proba(target), over_replicates(mean, target.replicate), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [("members=0", "members"), ("rounds=-1", "rounds"), ("confidence=1.5", "at most 1")],
)
def test_wrong_settings_are_refused(override: str, message: str) -> None:
    with pytest.raises(CalibError, match=message):
        made(f"method.{override}")
