"""Tests of principal components as a corrector: what leaving fewer dimensions costs."""

from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError
from calib.methods.harmony import Harmony
from calib.methods.pca import PrincipalComponents
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose


def corrector(**changes: object) -> PrincipalComponents:
    overrides = [f"method.corrector.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=pca", *overrides))["corrector"]))


def batches(rows: int = 60) -> list[Samples]:
    rng = np.random.default_rng(0)
    x = [rng.gamma(2, 300, size=(n, 30)) * rng.lognormal(0, 1, 30) for n in (rows, rows + 30)]
    return [Samples(name, part) for name, part in zip("ab", x, strict=True)]


def test_the_components_are_those_of_all_batches_together() -> None:
    given = batches()
    x = StandardScaler().fit_transform(np.arcsinh(np.concatenate([b.x for b in given]) / 100))
    theirs = PCA(20, svd_solver="full").fit_transform(x)
    ours = corrector().correct(given, Runtime())
    np.testing.assert_allclose(np.abs(np.concatenate([ours["a"], ours["b"]])), np.abs(theirs), atol=1e-4)
    assert ours["a"].dtype == np.float32


def test_each_batch_may_be_scaled_first() -> None:
    given = batches()
    shifted = [given[0], Samples("b", 100 * np.sinh(np.arcsinh(given[1].x / 100) * 2 + 1))]
    one, other = (corrector(batch_scale="standardise").correct(b, Runtime()) for b in (given, shifted))
    np.testing.assert_allclose(one["b"], other["b"], atol=1e-4)
    plain = [corrector().correct(b, Runtime())["b"] for b in (given, shifted)]
    assert np.abs(plain[0] - plain[1]).max() > 0.1


def test_few_samples_have_fewer_components() -> None:
    few = [Samples(name, np.random.default_rng(i).gamma(2, 300, (3, 30))) for i, name in enumerate("ab")]
    assert corrector().correct(few, Runtime())["a"].shape == (3, 6)
    assert corrector(dimensions=2).correct(few, Runtime())["a"].shape == (3, 2)


def test_harmony_begins_with_the_same_components(monkeypatch: pytest.MonkeyPatch) -> None:
    harmonypy = pytest.importorskip("harmonypy")
    given = batches()
    seen: list[Any] = []

    class Nothing:
        def __init__(self, x: Any) -> None:
            self.Z_corr, self.R = x, np.ones((len(x), 1))

    monkeypatch.setattr(harmonypy, "run_harmony", lambda x, *_, **__: seen.append(x) or Nothing(x))
    harmony = build(OmegaConf.create(method_settings(compose("method=harmony"))["corrector"]))
    assert isinstance(harmony, Harmony)
    ours, theirs = (one.correct(given, Runtime())["b"] for one in (corrector(), harmony))
    np.testing.assert_array_equal(ours, theirs)


def test_wrong_settings_are_named() -> None:
    for changes, message in (
        ({"dimensions": 0}, "dimensions=0 must be a whole number of at least 1"),
        ({"transform": "log"}, "method.corrector.transform=log is not one of"),
        ({"batch_scale": "rank"}, "method.corrector.batch_scale=rank is not one of"),
    ):
        with pytest.raises(CalibError, match=message):
            corrector(**changes)
