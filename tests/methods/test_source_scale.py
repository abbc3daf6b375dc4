"""Tests of the scale of the sources: classifiers that depend on the scale of features give the same on any."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy import sparse

from calib.config import build
from calib.data.study import LabelledSamples, Samples
from calib.methods.source_scale import SourceScale
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import load, method_settings
from calib.runtime import Runtime
from tests.conftest import compose, small_run

SCALED = ("logistic", "logistic_cv", "svm", "svm_cv", "neighbours", "network")
"""Classifiers that depend on the scale of features."""


def classifier(name: str, *overrides: str) -> Any:
    chosen = compose("method=standardise_logistic", f"classifier@method.classifier={name}", *overrides)
    return build(OmegaConf.create(method_settings(chosen)["classifier"]))


def batches(seed: int = 0, rows: int = 40) -> list[LabelledSamples]:
    """Return two sources and a target of three features, of which the classes differ in the first two."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    return [
        LabelledSamples(name, rng.normal(size=(rows, 3)) + 0.8 * y[:, None] * [1, -1, 0], y)
        for name in ("a", "b", "target")
    ]


def test_every_feature_has_mean_0_and_deviation_1_over_all_sources() -> None:
    *sources, target = batches()
    wide = [replace(b, x=b.x * [1e-6, 1, 1e5] + [0, 7, 1e4]) for b in (*sources, target)]
    scale = SourceScale.of(wide[:2])
    together = np.concatenate([scale(b.dense) for b in wide[:2]])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(together.std(axis=0), 1, rtol=1e-9)
    x = np.concatenate([b.x for b in sources])
    np.testing.assert_allclose(scale(wide[2].dense), (target.x - x.mean(0)) / x.std(0), rtol=1e-6)


def test_a_feature_that_is_constant_in_the_sources_counts_nowhere() -> None:
    many = np.full((1001, 2), np.arcsinh(0.1))  # by rounding, the mean differs from the value
    sources = [Samples(name, np.column_stack([many, np.arange(1001.0)])) for name in "ab"]
    scale = SourceScale.of(sources)
    assert (scale.factor[:2] == 0).all()
    np.testing.assert_array_equal(scale(np.array([[5.0, 1e6, 500.0]])), [[0, 0, 0]])


def test_sparse_and_dense_sources_have_the_same_scale() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((30, 4)) < 0.7, 0, rng.gamma(2, 300, (30, 4))).astype("f4")
    dense, thin = (SourceScale.of([Samples("a", part)]) for part in (x, sparse.csr_array(x)))
    np.testing.assert_array_equal(dense.mean, thin.mean)
    np.testing.assert_array_equal(dense.factor, thin.factor)


@pytest.mark.parametrize("name", SCALED)
def test_the_unit_of_a_feature_changes_no_answer(name: str) -> None:
    """Behind MNN, ComBat or PCA features have scales of their own, and every classifier gets the same data."""
    *sources, target = batches()
    unit, shift = np.array([1e-3, 1, 1e3]), np.array([0, 30, -2e4])
    answers = []
    for factor, added in ((1, 0), (unit, shift)):
        own = [replace(b, x=b.x * factor + added) for b in (*sources, target)]
        fitted = classifier(name).fit(own[:2], 2, Runtime(dtype=torch.float64))
        answers.append(fitted.predict_proba(own[2]))
    np.testing.assert_allclose(*answers, atol=1e-4)
    assert (answers[0].argmax(axis=1) == target.y).mean() > 0.6


def test_targets_do_not_take_part_in_the_scale() -> None:
    """A target that lies elsewhere is not moved to the sources: that would be a calibration."""
    *sources, target = batches()
    fitted = classifier("logistic").fit(sources, 2, Runtime())
    here, elsewhere = (fitted.predict_proba(replace(target, x=target.x + added)) for added in (0, 5))
    assert (here != elsewhere).any()
    one = fitted.predict_proba(Samples("target", target.x[:1]))
    np.testing.assert_allclose(one, here[:1], rtol=1e-6)


def test_a_saved_network_keeps_the_scale(tmp_path: Path) -> None:
    config = small_run(
        "baseline",
        tmp_path,
        "classifier@method.classifier=network",
        "method.classifier.epochs=2",
        "save_model=true",
    )
    run(config)
    (folder,) = tmp_path.glob("runs/*/*/*")
    study, _ = load(config)
    fitted = load_model(folder).fitted
    scale = SourceScale.of([study.batches[name].unlabelled() for name in "12"])
    np.testing.assert_allclose(fitted.state()["network_1.mean"], scale.mean, rtol=1e-6)
    np.testing.assert_allclose(fitted.state()["network_3.factor"], scale.factor, rtol=1e-6)
