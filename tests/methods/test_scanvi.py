"""Tests of scANVI: the input of scvi-tools, its output, and that global random states are restored."""

import io
import logging.config
import random
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError
from calib.methods.scanvi import ScANVI, no_single_row, scvi_tools
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, fast

pytest.importorskip("scvi")
anndata = pytest.importorskip("anndata")
scvi = scvi_tools()


def method(*overrides: str) -> ScANVI:
    changes = [*fast("scanvi"), *overrides]
    return build(OmegaConf.create(method_settings(compose("method=scanvi", *changes))))


@pytest.fixture
def task() -> Task:
    """Return counts of 8 genes in three batches, with two classes and a third that no source has."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(2, 3, size=(2, 8))
    y = [np.arange(40) % 2, np.arange(30) % 2, np.arange(25) % 2]
    x = [rng.poisson(rate[k] * rng.gamma(5, 0.2, size=8)).astype(np.float32) for k in y]
    sources = [LabelledSamples(name, x[i], y[i]) for i, name in enumerate("ab")]
    return Task(sources, [Samples("c", x[2])], n_classes=3)


def test_it_is_the_library_on_these_counts(task: Task) -> None:
    fitted = method().fit(task, Runtime(3))
    obs = pd.DataFrame(
        {
            "batch": ["a"] * 40 + ["b"] * 30 + ["c"] * 25,
            "class": [*map(str, np.concatenate([s.y for s in task.sources])), *["unknown"] * 25],
        },
        index=[str(i) for i in range(95)],
    )
    cells = anndata.AnnData(np.concatenate([batch.x for batch in task.batches]), obs=obs)
    plain = {"accelerator": "cpu", "devices": 1, "train_size": 1.0, "enable_progress_bar": False}
    with torch.random.fork_rng([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scvi.settings.seed = Runtime(3).derived_seed("scANVI") % 2**32
        scvi.model.SCVI.setup_anndata(cells, batch_key="batch", labels_key="class")
        start = scvi.model.SCVI(cells, n_layers=2, n_latent=30, gene_likelihood="nb")
        start.train(max_epochs=2, **plain)
        model = scvi.model.SCANVI.from_scvi_model(start, "unknown", labels_key="class")
        model.train(max_epochs=1, n_samples_per_label=8, **plain)
        expected = model.predict(soft=True)
    scvi.settings._seed = None
    assert list(expected.columns) == ["0", "1"]
    found = np.concatenate([fitted.predict_proba(batch) for batch in task.batches])
    np.testing.assert_allclose(found[:, :2], expected, rtol=1e-6)
    assert not found[:, 2].any()
    codes = np.concatenate([fitted.transform(batch) for batch in task.batches])
    np.testing.assert_allclose(codes, model.get_latent_representation(), rtol=1e-5, atol=1e-6)


def test_trained_to_the_end_it_finds_the_classes(task: Task) -> None:
    long = method("method.pretrain_epochs=60", "method.epochs=20", "method.samples_per_class=100")
    probability = long.fit(task, Runtime(0)).predict_proba(task.targets[0])
    assert (probability.argmax(axis=1) == np.arange(25) % 2).mean() > 0.8
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)


def test_logged_values_are_turned_back(task: Task) -> None:
    logged = replace(
        task,
        sources=[replace(s, x=np.log1p(s.x)) for s in task.sources],
        targets=[replace(t, x=np.log1p(t.x)) for t in task.targets],
    )
    np.testing.assert_allclose(
        method("method.logged=true").cells(logged).X, method().cells(task).X, atol=1e-4
    )


def test_targets_are_unlabelled_and_negative_values_none(task: Task) -> None:
    low = replace(task, targets=[Samples("c", task.targets[0].x - 100)])
    cells = method().cells(low)
    assert set(cells.obs["class"][cells.obs["batch"] == "c"]) == {"unknown"}
    assert not cells.X[-25:].any()


def test_global_generators_stay_as_they_were(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def states() -> list[object]:
        kept = np.random.get_state()  # noqa: NPY002
        return [random.getstate(), kept[1].tolist(), torch.get_rng_state().tolist(), scvi.settings.seed]

    before = states()
    one = method().fit(task, Runtime(1)).predict_proba(task.targets[0])
    assert states() == before
    torch.rand(3)
    assert method().fit(task, Runtime(1)).predict_proba(task.targets[0]).tobytes() == one.tobytes()
    assert method().fit(task, Runtime(2)).predict_proba(task.targets[0]).tobytes() != one.tobytes()


@pytest.mark.parametrize("rows", [129, 257])
def test_no_mini_batch_is_of_one_sample(rows: int) -> None:
    x = np.random.default_rng(0).poisson(5, size=(rows, 6)).astype(np.float32)
    half = rows // 2
    task = Task([LabelledSamples("a", x[:half], np.arange(half) % 2)], [Samples("b", x[half:])], n_classes=2)
    runtime = Runtime(0)
    assert np.isfinite(method().fit(task, runtime).predict_proba(task.targets[0])).all()
    assert [row["training"] for row in runtime.history] == ["scVI", "scVI", "scANVI"]


def test_a_mini_batch_is_a_row_larger_where_one_would_be_left() -> None:
    assert [no_single_row([rows, 60], 8) for rows in (16, 17, 65, 1 + 8 * 9 * 10)] == [8, 9, 9, 11]


def test_logging_configured_anew_closes_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.stderr
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    assert not before.closed


def test_without_the_package_one_sentence_says_so(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scvi", None)
    with pytest.raises(
        CalibError, match=r"needs the package scvi.*pip install -c constraints.txt -e '.\[scanvi\]'"
    ):
        method().fit(task, Runtime(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("method.likelihood=normal", "method.likelihood=normal"),
        ("method.latent=0", "method.latent=0"),
        ("method.batch_size=1", "method.batch_size=1"),
        ("method.dropout=1", "method.dropout=1"),
        ("method.logged=maybe", "method.logged=maybe"),
    ],
)
def test_a_wrong_setting_is_named(change: str, message: str) -> None:
    with pytest.raises(CalibError, match=message):
        method(change)
