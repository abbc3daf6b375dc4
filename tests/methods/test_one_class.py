"""Tests of all methods on sources of which one has samples of one class only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from calib.config import build
from calib.data.simulate import simulate
from calib.data.study import LabelledSamples, LabelledTask, Samples, Task
from calib.errors import CalibError, DivergedError
from calib.methods.base import AnyMethod, Fitted
from calib.methods.nearest_source import SourceSelection
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import METHODS, compose, fast

ALONE = {
    "pairwise": "method=pairwise trains a network on each source alone, but source '2' has samples of one class",
    "nearest_source": "learnt from its nearest source",  # the fast settings fit to every source alone
}
"""Methods that learn from one source at a time -> the refusal."""

NEEDS = {"scanvi": "scvi", "harmony": "harmonypy"}
"""Methods -> packages that not every installation has."""


def built(name: str, *overrides: str) -> AnyMethod:
    return build(OmegaConf.create(method_settings(compose(f"method={name}", *fast(name), *overrides))))


def task_of(method: AnyMethod) -> Task | LabelledTask:
    """Return a task of three classes: source 2 has one of them only, and class 2 occurs once in all."""
    study = simulate([16, 14, 18], 3, 12, 5, 0.8, 0.3, 0.5, 0.15, seed=3)[0]
    first, second, third = (study.batches[name].labelled() for name in "123")
    rare = first.y.copy()
    rare[0] = 2
    controls = second.y == 0
    assert second.replicate is not None
    second = replace(second, x=second.x[controls], y=second.y[controls], replicate=second.replicate[controls])
    sources: Sequence[LabelledSamples] = [replace(first, y=rare), second]
    if method.uses_target_labels:
        return LabelledTask(sources, [third], 3, {"3": study.batches["3"].subject})
    return Task(sources, [study.batches["3"].unlabelled()], 3)


def first_rows(batch: Samples, size: int) -> Samples:
    """Return the first rows of a batch."""
    parts = {"x": batch.x[:size], "replicate": None if batch.replicate is None else batch.replicate[:size]}
    return replace(batch, **parts, **({"y": batch.y[:size]} if isinstance(batch, LabelledSamples) else {}))


def checked_and_fitted(method: AnyMethod, task: Task | LabelledTask, runtime: Runtime, name: str) -> Fitted:
    method.check_task(task, name)
    return method.fit(task, runtime)


@pytest.mark.parametrize("name", METHODS)
def test_a_source_of_one_class_and_a_class_of_one_sample(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    method = built(name)
    task, runtime = task_of(method), Runtime.from_names(0, "cpu", "float32", progress=False)
    if name in ALONE:
        with pytest.raises(CalibError, match=ALONE[name]):
            checked_and_fitted(method, task, runtime, name)
        return
    fitted = checked_and_fitted(method, task, runtime, name)
    (target,) = task.targets
    probability = fitted.predict_proba(target)
    assert probability.shape == (len(target), 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    for batch in task.batches:
        assert np.isfinite(np.asarray(fitted.transform(batch))).all()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 0, 0)])
@pytest.mark.slow
def test_batches_of_one_sample_give_a_result_or_a_sentence(name: str, sizes: tuple[int, ...]) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    method = built(name)
    task, runtime = task_of(method), Runtime.from_names(0, "cpu", "float32", progress=False)
    short = [first_rows(batch, size or len(batch)) for batch, size in zip(task.batches, sizes, strict=True)]
    task = replace(task, sources=short[:2], targets=short[2:])  # type: ignore[arg-type]
    if isinstance(task, LabelledTask):
        task = replace(task, subjects={"3": None})
    try:
        fitted = checked_and_fitted(method, task, runtime, name)
        for batch in task.batches:
            assert np.isfinite(np.asarray(fitted.transform(batch))).all()
        assert np.isfinite(fitted.predict_proba(task.targets[0])).all()
    except DivergedError as error:
        pytest.fail(str(error))
    except CalibError:
        return


def test_the_nearest_source_is_refused_only_if_it_has_one_class() -> None:
    runtime = Runtime.from_names(0, "cpu", "float32", progress=False)
    for keep, other in ((None, False), (1, True)):
        method = built(
            "nearest_source", "method.weight=false", f"method.keep={'null' if keep is None else keep}"
        )
        assert isinstance(method, SourceSelection)
        task = task_of(method)
        if other:  # the target is source 1, shifted by nothing: source 1 is the nearest
            task = replace(task, targets=[replace(task.targets[0], x=task.sources[0].x, replicate=None)])
        method.fit(task, runtime)


def test_wrappers_pass_on_that_each_source_needs_two_classes() -> None:
    settings = method_settings(compose("method=fewer_subjects", "method@method.method=pairwise"))
    method = build(OmegaConf.create(settings))
    with pytest.raises(CalibError, match="method=fewer_subjects trains a network on each source alone"):
        method.check_task(task_of(method), "fewer_subjects")
