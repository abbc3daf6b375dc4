"""Tests of nearest sources and fewer subjects: what they choose, leave out and write to the record."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from scipy import sparse

from calib.config import build
from calib.data.split import make_task, parse_split
from calib.data.study import FloatArray, LabelledSamples, Samples, Study, Task
from calib.errors import CalibError
from calib.methods.base import Method
from calib.methods.fewer_subjects import FewerSubjects, drawn_rows
from calib.methods.nearest_source import SourceSelection, nearness, source_distances
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import SMALL, compose, small_run

INNER = [
    "method@method.method=combat",
    "method.method.classifier.epochs=3",
    "method.method.classifier.batch_size=8",
]


def made(name: str, *overrides: str) -> Any:
    """Return a configured method, with few epochs."""
    return build(OmegaConf.create(method_settings(compose(f"method={name}", *INNER, *overrides))))


class Noted(Method):
    """A method that keeps the tasks and runtimes it gets; its probability depends on its sources' names."""

    def __init__(self) -> None:
        self.given: list[tuple[Task, Runtime]] = []

    def fit(self, task: Task, runtime: Runtime) -> "Judge":
        self.given.append((task, runtime))
        return Judge(sum(0.3 * (source.name == "b") for source in task.sources) + 0.6)


class Judge:
    """A fitted method with the same probability for every sample, and unchanged data."""

    def __init__(self, p: float) -> None:
        self.p = p

    def transform(self, samples: Samples) -> Any:
        return samples.x

    def predict_proba(self, samples: Samples) -> FloatArray:
        return np.tile([1 - self.p, self.p], (len(samples), 1))


def labelled(name: str, x: FloatArray) -> LabelledSamples:
    return LabelledSamples(name, x, np.arange(len(x)) % 2, replicate=np.arange(len(x)) // 2)


@pytest.fixture
def task() -> Task:
    """Return three sources and two targets; ``near_b`` is like ``b`` and ``near_c`` like ``c``, except in scale.

    Once standardised, ``a`` is normal, ``b`` has two groups and ``c`` a long tail.
    """
    rng = np.random.default_rng(0)

    def normal(n: int) -> FloatArray:
        return rng.normal(size=(n, 4))

    def groups(n: int) -> FloatArray:
        return 5 * rng.integers(0, 2, (n, 1)) + normal(n)

    def tail(n: int) -> FloatArray:
        return rng.exponential(size=(n, 4)) ** 2

    sources = [labelled("a", normal(60)), labelled("b", groups(50)), labelled("c", tail(40))]
    return Task(sources, [Samples("near_b", 3 * groups(45) + 100), Samples("near_c", 0.1 * tail(70) - 9)], 2)


def tasks(noted: Noted) -> list[tuple[Sequence[str], Sequence[str]]]:
    return [([s.name for s in t.sources], [s.name for s in t.targets]) for t, _ in noted.given]


def test_each_target_gets_its_nearest_sources_and_no_other_target(task: Task) -> None:
    SourceSelection(one := Noted(), 1, False, "standardised").fit(task, Runtime())
    assert tasks(one) == [(["b"], ["near_b"]), (["c"], ["near_c"])]
    SourceSelection(two := Noted(), 2, False, "standardised").fit(task, Runtime())
    assert all(len(sources) == 2 and sources == sorted(sources) for sources, _ in tasks(two))
    assert "b" in tasks(two)[0][0]
    for keep in (3, 9, None):
        SourceSelection(every := Noted(), keep, False, "standardised").fit(task, Runtime())
        assert tasks(every) == [(["a", "b", "c"], ["near_b"]), (["a", "b", "c"], ["near_c"])]
    draws = {runtime.derived_seed("noise") for _, runtime in one.given}
    assert len(draws) == 2


def test_a_shift_of_a_batch_counts_only_for_the_data_themselves(task: Task) -> None:
    sources = [labelled("a", task.sources[0].dense), labelled("shifted", task.sources[0].dense + 500)]
    target = Samples("t", np.random.default_rng(1).normal(size=(50, 4)))
    apart = source_distances(sources, target, "data", Runtime())
    alike = source_distances(sources, target, "standardised", Runtime())
    assert apart["shifted"] > 10 * apart["a"]
    assert alike["shifted"] == pytest.approx(alike["a"], rel=0.1)


def test_a_distance_does_not_hang_on_the_size_of_a_source() -> None:
    rng = np.random.default_rng(0)
    sources = [labelled("small", rng.normal(size=(30, 6))), labelled("large", rng.normal(size=(400, 6)))]
    d = source_distances(sources, Samples("t", rng.normal(size=(300, 6))), "data", Runtime())
    assert 0.8 < d["small"] / d["large"] < 1.25


@pytest.mark.parametrize("distance_on", ["data", "standardised"])
def test_sparse_data_have_the_same_distances(task: Task, distance_on: Any) -> None:
    runtime = Runtime()
    thin = [replace(s, x=sparse.csr_array(s.dense)) for s in task.sources]
    target = task.targets[0]
    dense = source_distances(task.sources, target, distance_on, runtime)
    assert source_distances(
        thin, replace(target, x=sparse.csr_array(target.dense)), distance_on, runtime
    ) == pytest.approx(dense, rel=1e-5)


def test_weights_fall_with_the_distance_and_are_equal_for_equal_ones() -> None:
    assert nearness([0.2, 0.2, 0.2]) == pytest.approx([1 / 3] * 3)
    assert nearness([0.0, -1e-9]) == pytest.approx([0.5, 0.5])
    one, two = nearness([0.1, 0.2])
    assert one / two == pytest.approx(np.e)
    assert nearness([30, 60]) == pytest.approx([one, two])


def test_weighted_fits_are_averaged_in_their_logarithms(task: Task) -> None:
    noted = Noted()
    fitted = SourceSelection(noted, None, True, "standardised").fit(task, runtime := Runtime())
    assert tasks(noted)[0] == (["b"], ["near_b"])
    assert sorted(sources[0] for sources, _ in tasks(noted)) == ["a", "a", "b", "b", "c", "c"]
    distances = source_distances(
        task.sources, task.targets[0], "standardised", runtime.within("target near_b")
    )
    weights = dict(zip("abc", nearness(list(distances.values())), strict=True))
    odds = sum(w * np.log({"b": 9.0}.get(name, 1.5)) for name, w in weights.items())
    p = fitted.predict_proba(task.targets[0])
    assert p[:, 1] == pytest.approx(1 / (1 + np.exp(-odds)))
    assert p.sum(axis=1) == pytest.approx(1)
    lines = pd.DataFrame(runtime.history).set_index("training")
    for name in "abc":
        line = lines.loc[f"target near_b: distance to source {name}"]
        assert line["mmd2"] == distances[name]
        assert line["weight"] == pytest.approx(weights[name])


def test_all_sources_of_one_target_are_the_wrapped_method(study: Study) -> None:
    given = make_task(study, parse_split("12_3", study))
    selection = made("nearest_source", "method.keep=null")
    fitted = selection.fit(given, Runtime())
    alone = selection.method.fit(given, Runtime().within("target 3"))
    target = given.targets[0]
    assert np.array_equal(fitted.predict_proba(target), alone.predict_proba(target))
    for batch in given.batches:
        assert np.array_equal(fitted.transform(batch), alone.transform(batch))
    assert fitted.rows == {}


def test_a_record_shows_distances_and_no_data_of_sources_that_were_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (result,) = run(small_run("nearest_source", tmp_path, "method.keep=1", "method.weight=false"))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    history = pd.read_csv(folder / "history.csv")
    lines = history[history["training"].str.contains("distance to source")]
    assert lines["weight"].tolist().count(1) == 1
    left_out = {"12"[i] for i, weight in enumerate(lines["weight"]) if weight == 0}
    assert lines["mmd2"].notna().all()
    assert "Target 3: squared MMD to source 1 0." in caplog.text
    with np.load(folder / "embedding.npz") as embedding:
        assert set(embedding["batch"]) == {"1", "2", "3"} - left_out
    assert set(result["class_counts"]) == {"1", "2", "3"}
    assert not any(left_out & set(pair.split("-")) for pair in result["mmd"]["after"]["fixed"])


def test_the_chosen_source_does_not_hang_on_a_target_label(study: Study) -> None:
    def predictions(shuffled: bool) -> FloatArray:
        batch = study.batches["3"]
        y = np.random.default_rng(0).permutation(batch.y) if shuffled else batch.y
        given = replace(study, batches={**study.batches, "3": replace(batch, y=y, subject=None)})
        task = make_task(given, parse_split("12_3", given))
        return made("nearest_source").fit(task, Runtime()).predict_proba(task.targets[0])

    assert np.array_equal(predictions(False), predictions(True))


def test_subjects_are_drawn_whole_in_the_classes_proportions() -> None:
    subject = np.repeat(np.random.default_rng(0).permutation(40), 3)
    y = (subject < 10).astype(np.int64)
    seen: set[int] = set()
    for subjects in (2, 4, 8, 20, 40):
        rows = drawn_rows(y, subject, subjects, torch.Generator().manual_seed(0))
        taken = set(subject[rows].tolist())
        assert len(taken) == subjects
        assert len(rows) == 3 * subjects
        cases = sum(one < 10 for one in taken)
        assert cases >= 1
        assert abs(cases - subjects / 4) < 1
        assert seen <= taken  # the same subjects and more
        seen = taken
    other = drawn_rows(y, subject, 8, torch.Generator().manual_seed(1))
    assert set(subject[other]) != set(subject[drawn_rows(y, subject, 8, torch.Generator().manual_seed(0))])


def test_rows_are_subjects_where_these_are_unknown_and_a_rare_class_is_there() -> None:
    y = np.zeros(50, np.int64)
    y[49] = 1
    rows = drawn_rows(y, None, 2, torch.Generator().manual_seed(0))
    assert len(rows) == 2
    assert 49 in rows
    mixed = drawn_rows(np.array([0, 0, 1, 1, 1, 0]), np.array([7, 7, 7, 8, 8, 8]), 2, torch.Generator())
    assert mixed.tolist() == [0, 1, 2, 3, 4, 5]  # the most frequent class of a subject is its class


@pytest.mark.parametrize("same_size", [True, False])
def test_the_rest_of_a_source_is_dropped(study: Study, same_size: bool) -> None:
    given = make_task(study, parse_split("12_3", study))
    noted = Noted()
    fitted = FewerSubjects(noted, 4, same_size).fit(given, Runtime())
    ((seen, runtime),) = noted.given
    assert runtime.corrections is None
    assert seen.targets == given.targets
    for source, whole in zip(seen.sources, given.sources, strict=True):
        rows = fitted.rows[whole.name]
        assert source.replicate is not None
        assert whole.replicate is not None
        assert len(np.unique(source.replicate)) == len(np.unique(whole.replicate[rows])) == 4
        assert len(source) == (len(whole) if same_size else len(rows))
        assert np.array_equal(source.x[: len(rows)], whole.x[rows])
        assert np.array_equal(source.y[: len(rows)], whole.y[rows])
        assert set(source.y) == {0, 1}
        assert np.array_equal(fitted.transform(whole), whole.x[rows])


def test_a_source_with_fewer_subjects_gives_all(study: Study) -> None:
    given = make_task(study, parse_split("12_3", study))  # the sources have eight and six subjects
    for subjects, dropped in ((7, {"1"}), (8, set()), (500, set()), (None, set())):
        fitted = FewerSubjects(noted := Noted(), subjects, True).fit(given, Runtime())
        assert set(fitted.rows) == dropped
        ((seen, _),) = noted.given
        assert seen.sources[1] is given.sources[1]


def test_a_record_has_the_calibrated_data_of_the_drawn_subjects_only(tmp_path: Path) -> None:
    whole, some = (small_run("fewer_subjects", tmp_path, f"method.subjects={n}") for n in ("null", "3"))
    run(whole)
    (result,) = run(some)  # the stored correction is of all samples
    assert result["correction"] is None
    folder = tmp_path / f"runs/demo/12_3/fewer_subjects-{result['key']}"
    study = build(some.dataset)
    with np.load(folder / "embedding.npz") as embedding:
        batch, row = embedding["batch"], embedding["row"]
        assert len(embedding["z"]) == len(row)
    assert np.array_equal(row[batch == "3"], np.arange(36))
    for name in "12":
        subjects = study.batches[name].replicate[row[batch == name]]
        assert len(np.unique(subjects)) == 3


def test_both_wrappers_may_be_combined(study: Study) -> None:
    given = make_task(study, parse_split("12_3", study))
    combat = made("fewer_subjects").method
    inner = SourceSelection(FewerSubjects(combat, 3, True), 1, False, "standardised").fit(given, Runtime())
    outer = FewerSubjects(SourceSelection(combat, 1, False, "standardised"), 3, True).fit(given, Runtime())
    for fitted in (inner, outer):
        assert sorted(len(rows) > 0 for rows in fitted.rows.values()) == [False, True]
        for source in given.sources:
            if len(rows := fitted.rows[source.name]):
                assert len(fitted.transform(source)) == len(rows) < len(source)
            else:
                with pytest.raises(CalibError, match="among no target's nearest sources"):
                    fitted.transform(source)


def test_the_wrapped_method_is_one_override_and_its_name_no_setting() -> None:
    settings = method_settings(compose("method=nearest_source", "method@method.method=joint_plus"))
    assert settings["method"]["_target_"] == "calib.methods.joint_plus.JointPlus"
    assert "card" not in settings["method"]
    assert settings["method"]["joint"]["protocol"]["name"] == "corrected"
    method = build(OmegaConf.create(settings))
    assert method.versions == [1, *method.method.versions]


def test_a_kept_model_judges_as_the_run_did(tmp_path: Path) -> None:
    fast = ["method.method.epochs=3", "method.method.batch_size=8", "method.subjects=4", "save_model=true"]
    joint = ["method=fewer_subjects", "method@method.method=joint", f"out={tmp_path}"]
    (result,) = run(compose(*joint, *SMALL, *fast))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    model = load_model(folder)
    batch = build(model.config.dataset).batches["3"]
    predicted = model.fitted.predict_proba(batch.unlabelled()).argmax(axis=1)
    assert np.mean(predicted == batch.y) == pytest.approx(result["mean"]["accuracy"])


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("nearest_source", ["method.keep=0"], "method.keep=0 must be a whole number"),
        ("nearest_source", ["method.weight=true"], "set method.keep=null"),
        ("nearest_source", ["method.weight=1"], "method.weight=1 is not one of"),
        ("nearest_source", ["method.distance_on=mean"], "is not one of: data, standardised"),
        ("fewer_subjects", ["method.subjects=1"], "method.subjects=1 must be"),
        ("fewer_subjects", ["method.same_size=maybe"], "method.same_size"),
    ],
)
def test_wrong_settings_are_refused(name: str, overrides: list[str], message: str) -> None:
    with pytest.raises(CalibError, match=message):
        made(name, *overrides)


@pytest.mark.parametrize("name", ["nearest_source", "fewer_subjects"])
def test_a_reference_cannot_be_wrapped(name: str) -> None:
    settings = method_settings(compose(f"method={name}", "method@method.method=cross_validation"))
    with pytest.raises(CalibError, match="CrossValidation cannot be wrapped"):
        build(OmegaConf.create(settings))


def test_more_classes_than_subjects_are_refused() -> None:
    source = LabelledSamples("p", np.zeros((6, 2)), np.arange(6) % 3)
    with pytest.raises(CalibError, match="all 3 classes of source 'p'; set it to at least 3"):
        FewerSubjects(Noted(), 2, True).fit(Task([source], [Samples("t", np.zeros((4, 2)))], 3), Runtime())
