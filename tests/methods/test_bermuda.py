"""Tests of BERMUDA against the original code, and of its clusters, warnings and errors."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError, DivergedError
from calib.methods.bermuda import Autoencoder, Bermuda, oversampled
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

GOLDEN = Path(__file__).parents[1] / "golden" / "bermuda"


def corrector(**changes: object) -> Bermuda:
    settings = method_settings(compose("method=bermuda", "dataset=mi"))["corrector"]
    return build(OmegaConf.create({**settings, **changes}))


def batches(sizes: dict[str, list[int]], features: int = 20, shift: float = 1.0) -> list[Samples]:
    """Return batches with ``sizes`` samples around each of three common centres, and a shift by batch."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 4, (3, features))
    return [
        Samples(
            name,
            np.concatenate(
                [
                    rng.normal(centre + shift * i, 1, (count, features))
                    for centre, count in zip(centres, counts, strict=True)
                ]
            ),
        )
        for i, (name, counts) in enumerate(sizes.items())
    ]


def test_losses_and_codes_are_the_originals() -> None:
    stored = np.load(GOLDEN / "init_weights.npz")
    data = [np.loadtxt(GOLDEN / f"data{i}.csv", delimiter=",") for i in (1, 2)]
    runtime = Runtime(0)
    network = Autoencoder(12, 200, 20, torch.Generator())
    network.load_state_dict({name.split(".", 1)[1]: torch.tensor(stored[name]) for name in stored})
    x = runtime.tensor(np.concatenate(data))
    clusters = [part for rows in np.split(np.arange(len(x)), 2) for part in np.split(rows, 2)]
    corrector(epochs=8, lr_step=3).train(network, x, clusters, [(0, 2)], runtime)
    expected, history = pd.read_csv(GOLDEN / "losses.csv"), pd.DataFrame(runtime.history)
    for ours, theirs in (("reconstruction", "reconstruct"), ("transfer", "transfer")):
        np.testing.assert_allclose(history[ours], expected[theirs], rtol=1e-4)
    for i, x in enumerate(data, 1):
        codes = network.encoder(runtime.tensor(x[:5])).detach()
        np.testing.assert_allclose(
            codes, np.loadtxt(GOLDEN / f"code{i}_first5.csv", delimiter=","), atol=1e-5
        )


def test_common_clusters_come_together(caplog: pytest.LogCaptureFixture) -> None:
    given = batches({"a": [60, 80, 0], "b": [70, 60, 60]}, shift=2)
    caplog.set_level(logging.INFO)
    method = corrector(normalise=None, log=False, epochs=150, lr_step=50, starts=3)
    codes = method.correct(given, Runtime(0))
    assert "clusters of [80, 60] samples" in caplog.text
    assert "clusters of [70, 60, 60] samples" in caplog.text
    assert "2 pairs" in caplog.text
    centre = {
        (name, k): codes[name][start:end].mean(axis=0)
        for name, bounds in {"a": (0, 60, 140), "b": (0, 70, 130, 190)}.items()
        for k, (start, end) in enumerate(pairwise(bounds))
    }
    for k in (0, 1):
        own = np.linalg.norm(centre["a", k] - centre["b", k])
        assert all(own < np.linalg.norm(centre["a", k] - centre["b", other]) / 2 for other in {0, 1, 2} - {k})
    assert codes["a"].shape == (140, 20)


def test_small_clusters_repeat_their_samples_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    codes = corrector(epochs=2, starts=1, log=False, normalise=None).correct(
        batches({"a": [12, 9, 0], "b": [60, 70, 0]}), Runtime(0)
    )
    assert "fewer than the 50 of a mini-batch" in caplog.text
    assert all(np.isfinite(code).all() for code in codes.values())


def test_without_a_pair_it_warns(caplog: pytest.LogCaptureFixture) -> None:
    given = batches({"a": [60, 0, 0], "b": [60, 0, 0]})  # one cluster each, so nothing to compare
    codes = corrector(epochs=2, starts=1, resolution=0.01, log=False, normalise=None).correct(
        given, Runtime(0)
    )
    assert "consider a lower method.corrector.threshold" in caplog.text
    assert all(np.isfinite(code).all() for code in codes.values())


def test_negative_and_constant_intensities() -> None:
    given = batches({"a": [20, 20, 0], "b": [20, 20, 0]})
    for batch in given:
        batch.x[:, 3] = 0
        batch.x[0] = -1  # clipped at 0, so the total of this sample is 0
    codes = corrector(epochs=2, starts=1, batch_size=10).correct(given, Runtime(0))
    assert all(np.isfinite(code).all() for code in codes.values())


def test_every_cluster_is_as_large_as_the_largest() -> None:
    big, small = oversampled(np.array([0] * 7 + [1] * 3), np.random.default_rng(0))
    assert sorted(big) == list(range(7))
    assert len(small) == 7
    assert list(small[:3]) == [7, 8, 9]
    assert set(small) == {7, 8, 9}


def test_divergence_is_an_error() -> None:
    with pytest.raises(DivergedError, match="BERMUDA"):
        corrector(epochs=30, starts=1, lr=1e30).correct(
            batches({"a": [50, 50, 0], "b": [50, 50, 0]}), Runtime(0)
        )


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", 0), ("threshold", -1), ("normalise", 0), ("log", "yes")]
)
def test_bad_settings_are_named(key: str, value: object) -> None:
    with pytest.raises(CalibError, match=key):
        corrector(**{key: value})
