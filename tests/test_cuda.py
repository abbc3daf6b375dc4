"""Tests of the training on a GPU: it gives the same numbers, and the host waits for it once an epoch."""

import warnings

import numpy as np
import pytest
import torch

from calib.data.study import LabelledSamples, Samples, Task
from calib.protocol import Protocol
from calib.runtime import Runtime
from tests.test_training import joint

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def task(rows: int) -> Task:
    rng = np.random.default_rng(0)
    sources = [
        LabelledSamples(str(i), rng.normal(i, 1, (rows, 5)), rng.integers(0, 2, rows)) for i in range(2)
    ]
    return Task(sources, [Samples("2", rng.normal(2, 1, (rows, 5)))], 2)


def runtimes(device: str, count: int = 1) -> list[Runtime]:
    return [Runtime.from_names(seed, device, "float64", progress=False) for seed in range(count)]


def test_predictions_are_those_of_the_processor(protocol: Protocol) -> None:
    method, given = joint(protocol, dropout=0.0, epochs=3), task(40)
    ours, theirs = (
        method.fit(given, runtimes(device)[0]).predict_proba(given.targets[0]) for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_seeds_together_are_trained(protocol: Protocol) -> None:
    given = task(40)
    for fitted in joint(protocol).fit_seeds(given, runtimes("cuda", 3)):
        assert np.isfinite(fitted.predict_proba(given.targets[0])).all()


def test_a_cuda_graph_gives_the_same_losses(protocol: Protocol) -> None:
    method, given = joint(protocol, epochs=3, batch_size=8), task(40)
    recorded, eager = (runtimes("cuda", 2) for _ in range(2))
    for one in recorded:
        one.cuda_graphs = True
    for chosen in (recorded, eager):
        method.fit_seeds(given, chosen)
    for ours, theirs in zip(recorded, eager, strict=True):
        for row, expected in zip(ours.history, theirs.history, strict=True):
            numbers = [[v for v in one.values() if isinstance(v, float)] for one in (row, expected)]
            np.testing.assert_allclose(*numbers, rtol=1e-5)


def test_no_iteration_waits_for_the_device(protocol: Protocol) -> None:
    def waits(rows: int) -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                joint(protocol, batch_size=20).fit(task(rows), runtimes("cuda")[0])
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing" in str(one.message) for one in caught)

    waits(40)  # the first call also sets up CUDA
    assert waits(400) == waits(40)  # 20 iterations wait as often as 2
