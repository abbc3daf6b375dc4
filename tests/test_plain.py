"""Tests that the plain training of the benchmark is the same training as the package's."""

import numpy as np
import torch

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.runtime import Runtime
from tests import plain, reference
from tests.conftest import compose
from tests.test_training import joint


def test_plain_training_learns_what_the_engine_learns() -> None:
    """Check that both classify a shifted target; their random streams differ, so their digits do too."""
    rng = np.random.default_rng(0)
    y = [rng.integers(0, 2, 60) for _ in range(3)]
    x = [
        (rng.normal(0, 1, (60, 6)) + 2 * labels[:, None] + shift).astype("f4")
        for shift, labels in enumerate(y)
    ]
    torch.manual_seed(0)
    sources = [torch.tensor(labels, dtype=torch.float32) for labels in y[:2]]
    c, d = plain.train(list(map(torch.tensor, x)), sources, epochs=60, batch_size=20)
    with torch.no_grad():
        theirs = d(c(torch.tensor(x[2]))).numpy()
    task = Task([LabelledSamples(str(i), x[i], y[i]) for i in range(2)], [Samples("2", x[2])], 2)
    method = joint(build(compose("protocol=paper").protocol), epochs=60, learning_step=10_000)
    ours = method.fit(task, Runtime(0)).predict_proba(task.targets[0])[:, 1]
    for p in (theirs, ours):
        assert ((p > 0.5) == y[2]).mean() > 0.75


def test_plain_mmd_is_that_of_the_reference() -> None:
    a, b = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(plain.mmd2(a, b), reference.mmd2(a, b))
