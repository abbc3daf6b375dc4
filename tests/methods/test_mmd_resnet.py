"""Tests of MMD-ResNet: its loss against the formula, its network, and its map of a batch."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy.spatial.distance import cdist

from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError, DivergedError
from calib.methods.mmd_resnet import Block, MMDResNet, mmd, neighbour_distance
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

Array = NDArray[np.floating]


def mapper(**changes: object) -> MMDResNet:
    overrides = [f"method.mapper.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=mmd_resnet", *overrides))["mapper"]))


def literal_mmd(x: Array, y: Array, widths: list[float]) -> float:
    def mean(a: Array, b: Array) -> float:
        return float(sum(np.exp(-(cdist(a, b) ** 2) / s**2) for s in widths).mean())

    return float(np.sqrt(mean(x, x) - 2 * mean(x, y) + mean(y, y)))


def moons(rows: int, seed: int) -> Array:
    """Return rows in two groups, a structure that a map has to keep."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)) * [1, 0.5, 2]
    x[:, 0] += np.where(np.arange(rows) % 2, 3, 0)
    return x


def test_loss_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.normal(size=(40, 3)), requires_grad=True), torch.tensor(rng.normal(1, 2, (40, 3)))
    widths = [0.7, 1.4, 2.8]
    value = mmd(x, y, widths)
    np.testing.assert_allclose(value.item(), literal_mmd(x.detach().numpy(), y.numpy(), widths), rtol=1e-12)
    assert torch.autograd.gradcheck(lambda x: mmd(x, y, widths), x)


def test_loss_of_equal_rows_has_a_derivative() -> None:
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = mmd(x, x.detach(), [1.0])
    value.backward()
    assert value.item() < 1e-3
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_scale_of_the_kernels() -> None:
    x = moons(60, 0)
    nearest = np.sort(cdist(x, x), axis=1)[:, 1:25]
    assert neighbour_distance(torch.tensor(x), 25) == pytest.approx(np.median(nearest))
    assert neighbour_distance(torch.tensor(x[:6]), 25) == pytest.approx(
        np.median(cdist(x[:6], x[:6])[~np.eye(6, dtype=bool)])
    )
    assert neighbour_distance(torch.ones(5, 2), 3) == 1


def test_a_block_starts_as_the_identity_and_has_the_layers_of_the_paper() -> None:
    block = Block(7, 25, 0.1, 1e-4, torch.Generator().manual_seed(0))
    x = torch.randn(1, 30, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block(x), x, atol=1e-3, rtol=0)
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters()}
    assert shapes["fc1.weight"] == (25, 7)
    assert shapes["fc2.weight"] == (7, 25)
    assert shapes["bn1.weight"] == (7,)
    assert shapes["bn2.weight"] == (25,)
    assert float(block.fc1.weight.detach().std()) == pytest.approx(1e-4, rel=0.2)


def test_a_shifted_and_scaled_batch_is_brought_back() -> None:
    target, source = moons(300, 0), moons(280, 1) * [1.4, 0.7, 1.2] + [1.0, -0.5, 1.5]
    runtime = Runtime(0)
    moved = mapper(epochs=300, batch_size=100).map(Samples("a", source), Samples("b", target), runtime)
    widths = [neighbour_distance(torch.tensor(target), 25) * f for f in (0.5, 1, 2)]
    before, after = (literal_mmd(x, target, widths) for x in (source, moved))
    alike = literal_mmd(moons(280, 1), target, widths)  # above 0, as the estimate is biased
    assert before > 2 * alike
    assert after < 1.1 * alike
    assert (
        np.abs(moved.mean(axis=0) - target.mean(axis=0)).max()
        < np.abs(source.mean(axis=0) - target.mean(axis=0)).max() / 3
    )
    held_out = pd.DataFrame(runtime.history)["MMD (held out)"]
    assert held_out.iloc[-1] < 0.75 * held_out.iloc[0]


@pytest.mark.parametrize(("seed", "most"), [(0, 0.2), (1, 0.5)])
def test_a_batch_like_the_target_hardly_moves(seed: int, most: float) -> None:
    """The source is the target itself, or another draw like it.

    ``most`` is in standard deviations; samples are 2.4 of them apart.
    """
    source, runtime = moons(300, seed), Runtime(0)
    moved = mapper(batch_size=100).map(Samples("a", source), Samples("b", moons(300, 0)), runtime)
    assert np.median(np.linalg.norm((moved - source) / source.std(axis=0), axis=1)) < most
    assert len(runtime.history) < 400  # the training stops early


def test_it_does_not_depend_on_the_unit_but_in_the_last_digits() -> None:
    target, source = moons(60, 0), moons(50, 1) + 1
    unit = np.array([10, 1000, 0.1])
    one = mapper(epochs=5)
    alone = one.map(Samples("a", source), Samples("b", target), Runtime(0, dtype=torch.float64))
    other = one.map(Samples("a", source * unit), Samples("b", target * unit), Runtime(0, dtype=torch.float64))
    np.testing.assert_allclose(other / unit, alone, atol=1e-8)


def test_progress_and_patience() -> None:
    runtime = Runtime(0)
    batch = Samples("a", moons(50, 0))
    mapper(patience=3, lr=0).map(batch, batch, runtime)
    history = pd.DataFrame(runtime.history)
    assert history["training"].unique().tolist() == ["MMD-ResNet"]
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))
    assert len(history) <= 60  # running statistics converge, weights stay as they are


def test_errors() -> None:
    large, small = Samples("a", moons(50, 0)), Samples("b", moons(3, 0))
    for pair in ((large, small), (small, large)):
        with pytest.raises(
            CalibError, match="needs 4 samples of a batch, and batch 'b' has 3; choose another split"
        ):
            mapper().map(*pair, Runtime(0))
    assert mapper(epochs=1).map(large, Samples("b", moons(4, 0)), Runtime(0)).shape == (50, 3)
    assert np.isfinite(mapper(epochs=1).map(Samples("b", moons(4, 0)), large, Runtime(0))).all()
    with pytest.raises(CalibError, match="patience=0 must be a whole number of at least 1"):
        mapper(patience=0)
    with pytest.raises(DivergedError, match="MMD-ResNet: a loss is no longer a finite number"):
        mapper(lr=1e30).map(large, large, Runtime(0))
