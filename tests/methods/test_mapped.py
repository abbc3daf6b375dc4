"""Tests of methods that map sources onto a target: ``MapThenClassify``, and CORAL as the simplest mapper."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy import linalg

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError
from calib.methods.coral import Coral, coral
from calib.methods.mapped import MapThenClassify
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, fast


def method(*overrides: str) -> MapThenClassify:
    return build(OmegaConf.create(method_settings(compose("method=coral", *fast("coral"), *overrides))))


def task(seed: int = 0) -> Task:
    """Return two sources and two targets of different size."""
    rng = np.random.default_rng(seed)
    sources = [
        LabelledSamples(n, rng.gamma(2, 300, (rows, 5)), np.arange(rows) % 2)
        for n, rows in (("a", 30), ("b", 24))
    ]
    return Task(sources, [Samples(n, rng.gamma(3, 200, (rows, 5))) for n, rows in (("c", 18), ("d", 33))], 2)


class Noted:
    """A mapper that moves nothing and keeps its arguments."""

    version = 1

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []
        self.draws: list[int] = []

    def map(self, source: Samples, target: Samples, runtime: Runtime) -> NDArray[np.floating]:
        assert type(source) is type(target) is Samples  # without labels
        self.given.append((source.name, target.name))
        self.draws.append(runtime.derived_seed("noise"))
        return source.dense


def test_every_source_is_mapped_onto_every_target_with_its_own_randomness() -> None:
    one, noted, runtime = method(), Noted(), Runtime(0)
    one.mapper = noted
    fitted = one.fit(task(), runtime)
    assert noted.given == [("a", "c"), ("b", "c"), ("a", "d"), ("b", "d")]
    assert len(set(noted.draws)) == 4
    assert list(fitted.classifiers) == ["c", "d"]
    trainings = pd.DataFrame(runtime.history)["training"].unique().tolist()
    assert trainings == ["target c: training D", "target d: training D"]
    first, second = (fitted.classifiers[name].state()["discriminator.fc1.weight"] for name in "cd")
    assert not np.array_equal(first, second)


def test_transform_shows_targets_as_prepared_and_sources_mapped_onto_the_first() -> None:
    given, one = task(), method()
    fitted = one.fit(given, Runtime(0))
    scaled = {}
    for batch in given.batches:
        x = np.arcsinh(batch.x / 100)
        scaled[batch.name] = (x - x.mean(axis=0)) / x.std(axis=0)
    for batch in given.targets:
        np.testing.assert_allclose(fitted.transform(batch), scaled[batch.name], atol=1e-5)
    for batch in given.sources:
        np.testing.assert_allclose(fitted.transform(batch), coral(scaled[batch.name], scaled["c"]), atol=1e-5)


def test_a_target_is_judged_alike_whatever_other_targets_there_are() -> None:
    given, one = task(), method()
    both = one.fit(given, Runtime(0))
    alone = one.fit(Task(given.sources, given.targets[1:], 2), Runtime(0))
    np.testing.assert_array_equal(both.predict_proba(given.targets[1]), alone.predict_proba(given.targets[1]))


def test_coral_gives_the_source_the_covariance_of_the_target() -> None:
    rng = np.random.default_rng(0)
    source, target = (rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4)) for rows in (200, 150))
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    mapped = coral(source, target, ridge=1e-6)
    np.testing.assert_allclose(np.cov(mapped.T), np.cov(target.T), atol=1e-4)
    np.testing.assert_allclose(mapped.mean(axis=0), 0, atol=1e-12)
    literal = (
        source
        @ linalg.fractional_matrix_power(np.cov(source.T) + np.eye(4), -0.5)
        @ linalg.fractional_matrix_power(np.cov(target.T) + np.eye(4), 0.5)
    )
    np.testing.assert_allclose(coral(source, target), literal, atol=1e-10)
    np.testing.assert_allclose(coral(source, source), source, atol=1e-12)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(CalibError, match="ridge=0 must be a number of at least"):
        Coral(0)
    with pytest.raises(CalibError, match="method.batch_scale=standardize is not one of: .*'standardise'"):
        method("method.batch_scale=standardize")
    with pytest.raises(CalibError, match="method.transform=log is not one of"):
        method("method.transform=log")


def test_every_part_has_a_say_in_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = method().versions
    monkeypatch.setattr(Coral, "version", 9)
    assert method().versions != before
