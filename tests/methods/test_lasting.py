"""Correctors on batches that come later, onto those that they were fitted to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError
from calib.estimators import BatchCorrector
from calib.methods.combat import Common, adjusted_to, combat
from calib.methods.correction import Correction
from calib.methods.lasting import is_lasting, sizes
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, fast

SAME = ("sva", "fsva", "pca", "normae", "desc", "bermuda", "standardise_d", "rank_normal_d", "baseline")
"""Methods that correct a later batch as they correct the same batch in the fit."""

NEAR = ("combat", "mnn", "seurat")
"""Methods that move a later batch onto the others."""


def samples(name: str, shift: float, seed: int) -> LabelledSamples:
    """Return a batch of two classes ``(60, 8)``, shifted as a whole."""
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 2
    x = rng.normal(5, 0.4, (60, 8)) + 2 * y[:, None] * (np.arange(8) < 3)
    return LabelledSamples(name, (x + shift * np.linspace(0.5, 1.5, 8)).astype("f4"), y)


@pytest.fixture(scope="module")
def task() -> Task:
    """Return a task of two sources and a target."""
    target = samples("c", 0.4, 3)
    return Task([samples("a", 0, 1), samples("b", 0.8, 2)], [Samples("c", target.x)], 2)


def corrector(method: str) -> object:
    """Return the corrector of a method that takes no time."""
    config = compose("dataset=table", "dataset.path=x", f"method={method}", *fast(method))
    return build(OmegaConf.create(method_settings(config)["corrector"]))


@pytest.mark.parametrize("method", SAME)
def test_a_later_batch_is_corrected_as_in_the_fit(method: str, task: Task) -> None:
    correction = Correction(corrector(method), task, Runtime())
    later = replace(task.targets[0], name="later")
    np.testing.assert_allclose(correction.of(later), correction.batches["c"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", NEAR)
def test_a_later_batch_joins_the_others(method: str, task: Task) -> None:
    correction = Correction(corrector(method), task, Runtime())
    whole = np.concatenate(list(correction.batches.values()))
    later = samples("later", 1.6, 4)
    found = correction.of(later)
    assert found.shape == (60, whole.shape[1])
    spread = whole.std(axis=0)
    assert (abs(found.mean(axis=0) - whole.mean(axis=0)) < 0.5 * spread).all()
    first = np.linalg.svd(whole - whole.mean(axis=0), full_matrices=False)[2][0]  # that of the classes
    side = (found - whole.mean(axis=0)) @ first > 0
    assert np.mean(side == (later.y == 1)) in (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))


def test_symphony_moves_a_later_batch_to_where_harmony_had_moved_it(task: Task) -> None:
    correction = Correction(corrector("harmony"), task, Runtime())
    for batch in task.batches:
        found, known = correction.of(Samples("later", batch.x)), correction.batches[batch.name]
        np.testing.assert_allclose(found.mean(axis=0), known.mean(axis=0), atol=0.1)
        assert np.corrcoef(found[:, 0], known[:, 0])[0, 1] > 0.99


@pytest.mark.parametrize("method", [*SAME, *NEAR, "harmony", "ratio_g"])
def test_what_was_learnt_can_be_kept(method: str, task: Task, tmp_path: Path) -> None:
    made = corrector(method)
    assert is_lasting(made)
    correction, later = Correction(made, task, Runtime()), samples("later", 1.6, 4)
    np.savez(tmp_path / "learnt.npz", **correction.learnt)
    with np.load(tmp_path / "learnt.npz", allow_pickle=False) as file:
        learnt = {name: file[name] for name in file.files}
    again = Correction.restored(made, learnt, Runtime())
    np.testing.assert_array_equal(again.of(later), correction.of(later))
    assert made.width(learnt, 8, Runtime()) == correction.batches["a"].shape[1]
    if learnt and method != "ratio_g":
        with pytest.raises((ValueError, CalibError)):
            made.width(learnt, 7, Runtime())
        with pytest.raises((LookupError, CalibError)):
            made.width({name: learnt[name] for name in list(learnt)[1:]}, 8, Runtime())


def test_sizes_of_arrays() -> None:
    found = sizes({"a": np.zeros((2, 3))}, {"rows": 2}, a=("rows", "columns"))
    assert found == {"rows": 2, "columns": 3}
    with pytest.raises(ValueError, match="a has 3 columns, and another array 4"):
        sizes({"a": np.zeros((2, 3))}, {"columns": 4}, a=("rows", "columns"))
    with pytest.raises(ValueError, match="a has 2 dimensions"):
        sizes({"a": np.zeros((2, 3))}, {}, a=("rows",))


@pytest.mark.parametrize("options", [{}, {"mean_only": True}, {"parametric": False}])
def test_combat_adjusts_a_later_batch_as_to_a_reference(options: dict[str, bool]) -> None:
    first, later = samples("a", 0, 1).x.astype(float), samples("b", 1.2, 2).x.astype(float)
    both, _ = combat(np.concatenate([first, later]), np.repeat(["a", "b"], 60), reference="a", **options)
    common = Common(np.full(8, True), first.mean(axis=0), first.var(axis=0))
    settings = {"mean_only": False, "parametric": True} | options
    np.testing.assert_allclose(adjusted_to(common, later, **settings), both[60:], rtol=1e-10)


def test_combat_on_later_batches_that_hardly_vary() -> None:
    common = Common(np.full(8, True), np.full(8, 5.0), np.full(8, 0.3))
    one = samples("b", 1.2, 2).x[:1]
    assert np.isfinite(adjusted_to(common, one, False, True)).all()
    x = samples("b", 1.2, 2).x.astype(float)
    x[:, 0] = 9
    found = adjusted_to(common, x, False, True)
    np.testing.assert_array_equal(found[:, 0], np.full(60, 5.0))
    assert np.isfinite(found).all()
    x[:, 1:] = 9
    with pytest.raises(CalibError, match="at least two features that vary in a later batch; there are 0"):
        adjusted_to(common, x, False, True)


def test_ratio_g_needs_reference_samples_of_a_later_batch(task: Task) -> None:
    marked = [replace(source, reference=source.x[:5]) for source in task.sources]
    target = replace(task.targets[0], reference=task.targets[0].x[:5])
    correction = Correction(corrector("ratio_g"), replace(task, sources=marked, targets=[target]), Runtime())
    later = Samples("later", target.x, reference=target.reference)
    np.testing.assert_array_equal(correction.of(later), correction.batches["c"])
    with pytest.raises(CalibError, match="batch 'later' has no reference samples"):
        correction.of(Samples("later", target.x))


def test_the_estimator() -> None:
    parts = [samples("a", 0, 1), samples("b", 0.8, 2)]
    x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts]).astype(object)
    plate, later = np.repeat(["a", "b"], 60), samples("later", 1.6, 4)
    model = BatchCorrector("combat", parametric=False).set_output(transform="pandas")
    frame = model.fit_transform(x, batch=plate)
    assert list(frame.columns) == [str(i) for i in range(8)]
    assert model.get_params()["parametric"] is False
    assert model.corrects_new_batches_
    moved = model.transform(later.x, batch=["later"] * 60)
    assert (abs(moved.mean() - frame.mean()) < 0.3).all()
    np.testing.assert_array_equal(model.transform(x[:3], batch=plate[:3]), frame[:3])

    y[60:] = None
    surrogates = BatchCorrector("sva", number=1).fit(x, y, batch=plate)
    assert surrogates.transform(later.x).shape == (60, 8)
    with pytest.raises(ValueError, match="method=sva needs labels of some batches"):
        BatchCorrector("sva").fit(x, batch=plate)
    with pytest.raises(ValueError, match="method=comba is not one of: .*; did you mean 'combat'"):
        BatchCorrector("comba").fit(x, batch=plate)
    with pytest.raises(ValueError, match="There is no setting method.corrector.parametrik; did you mean"):
        BatchCorrector("combat", parametrik=False).fit(x, batch=plate)
    with pytest.raises(ValueError, match="60 of 60 samples were not in the training, and method=cca"):
        BatchCorrector("cca", dims=2).fit(x, batch=plate).transform(later.x)
    piped = make_pipeline(StandardScaler(), BatchCorrector("pca", dimensions=3))
    assert piped.fit(x).transform(later.x).shape == (60, 3)
    assert list(piped[-1].get_feature_names_out()) == ["pca0", "pca1", "pca2"]


CHANGES = {
    "shorter": lambda x: x[:-1],
    "empty": lambda x: x[:0],
    "deeper": lambda x: x[None],
    "negative": lambda x: -x.astype(float) - 1,
    "zero": lambda x: x.astype(float) * 0,
    "huge": lambda x: x.astype(float) * 0 + 1e30,
}


@pytest.mark.parametrize("method", [*SAME, *NEAR, "harmony", "ratio_g"])
def test_what_was_learnt_may_be_spoilt(method: str, task: Task) -> None:
    """A model that somebody sent is refused when it is read, or ends in a sentence, or answers."""
    made, later = corrector(method), samples("later", 1.6, 4)
    learnt = Correction(made, task, Runtime()).learnt
    for name, change in ((name, change) for name in learnt for change in CHANGES.values()):
        spoilt = {**learnt, name: change(np.atleast_1d(learnt[name]))}
        try:
            made.width(spoilt, 8, Runtime())
        except (CalibError, ValueError, LookupError):
            continue
        with np.errstate(all="ignore"):
            try:
                assert np.isfinite(Correction.restored(made, spoilt, Runtime()).of(later)).all()
            except CalibError:
                continue
