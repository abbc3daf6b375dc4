"""Tests of Harmony: the input of harmonypy, its output, and the message if it is not installed."""

import sys

import numpy as np
import pytest
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError
from calib.methods.harmony import Harmony
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

pytest.importorskip("harmonypy")


def corrector(**changes: object) -> Harmony:
    overrides = [f"method.corrector.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=harmony", *overrides))["corrector"]))


def batches(rows: int = 150) -> list[Samples]:
    """Return two batches of three kinds of samples, one of them shifted."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(3, 30))
    x = [100 * np.sinh(centres[np.arange(n) % 3] + rng.normal(size=(n, 30))) for n in (rows, rows + 30)]
    x[1] = 100 * np.sinh(np.arcsinh(x[1] / 100) + rng.normal(size=30))
    return [Samples(name, part) for name, part in zip("ab", x, strict=True)]


def gap(corrected: dict[str, np.ndarray]) -> float:
    return float(np.linalg.norm(corrected["a"].mean(axis=0) - corrected["b"].mean(axis=0)))


def test_it_draws_batches_together() -> None:
    given = batches()
    corrected = corrector().correct(given, Runtime(0))
    assert {name: x.shape for name, x in corrected.items()} == {"a": (150, 20), "b": (180, 20)}
    assert all(x.dtype == np.float32 for x in corrected.values())
    uncorrected = corrector(theta=0, sigma=100, rounds=1).correct(
        [given[0], Samples("b", given[0].x)], Runtime(0)
    )
    assert gap(uncorrected) < 1e-3
    x = np.concatenate([np.arcsinh(batch.x / 100) for batch in given])
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    before = np.linalg.norm(z[:150].mean(axis=0) - z[150:].mean(axis=0))
    assert gap(corrected) < before / 2


def test_same_seed_same_bytes() -> None:
    one, same, other = (corrector().correct(batches(), Runtime(seed)) for seed in (0, 0, 1))
    assert one["b"].tobytes() == same["b"].tobytes() != other["b"].tobytes()


@pytest.mark.parametrize("rows", [2, 5])
def test_few_samples_have_fewer_components(rows: int) -> None:
    given = [Samples(name, np.random.default_rng(i).normal(size=(rows, 30))) for i, name in enumerate("ab")]
    corrected = corrector().correct(given, Runtime(0))
    assert corrected["a"].shape == (rows, 2 * rows)
    assert np.isfinite(corrected["a"]).all()


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(
        CalibError, match=r"needs the package harmonypy.*pip install -c constraints.txt -e '.\[controls\]'"
    ):
        corrector().correct(batches(), Runtime(0))


def test_wrong_settings_are_named() -> None:
    with pytest.raises(CalibError, match="components=0 must be a whole number of at least 1"):
        corrector(components=0)
    with pytest.raises(CalibError, match="method.corrector.transform=log is not one of"):
        corrector(transform="log")
