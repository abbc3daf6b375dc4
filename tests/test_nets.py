"""Tests of the networks against PyTorch's own layers."""

import pytest
import torch
from torch import nn

from calib.layers import BatchNorm, Dropout
from calib.nets import Calibrator, Discriminator, Reconstructor, probabilities


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batch_norm_is_that_of_torch_batch_after_batch() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(5).double(), nn.BatchNorm1d(5).double()
    for _ in range(3):
        x = torch.randn(4, 7, 5, dtype=torch.float64) * 3 + torch.arange(4.0)[:, None, None]
        expected = torch.stack([theirs(batch) for batch in x])
        torch.testing.assert_close(ours(x), expected)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.eval()
    theirs.eval()
    torch.testing.assert_close(ours(x), torch.stack([theirs(batch) for batch in x]))


def test_batch_norm_with_own_statistics_at_test() -> None:
    torch.manual_seed(0)
    norm = BatchNorm(3).eval()
    x = torch.randn(1, 50, 3) * 9 + 4
    assert norm(x).mean() > 3
    norm.test_statistics = "own"
    torch.testing.assert_close(norm(x).mean(dim=1), torch.zeros(1, 3), atol=1e-5, rtol=0)
    assert not norm.running_mean.any()


def test_dropout_takes_its_randomness_from_the_generator() -> None:
    drop = Dropout(0.25)
    x = torch.ones(200, 50)
    state = torch.get_rng_state()
    a, b, c = drop(x, generator(1)), drop(x, generator(1)), drop(x, generator(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (a == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(drop.eval()(x, None), x)


def test_networks_are_those_of_the_paper() -> None:
    c, r = Calibrator(6, 0.5, generator()), Reconstructor(6, 0.5, generator())
    d = Discriminator(6, 13, generator())
    assert [tuple(p.shape) for p in c.parameters()] == [(6,), (6,), (6, 6), (6,), (6, 6), (6,)]
    assert [tuple(p.shape) for p in r.parameters()] == [(6, 6), (6,), (6, 6), (6,)]
    layers = [d.fc1, d.fc2, d.fc3, d.fc4, d.fc5]
    assert [tuple(layer.weight.shape) for layer in layers] == [
        (100, 6),
        (6, 100),
        (50, 6),
        (16, 50),
        (13, 16),
    ]
    assert Discriminator(6, 2, generator()).fc5.out_features == 1
    torch.testing.assert_close(c.fc1.weight @ c.fc1.weight.T, torch.eye(6), atol=1e-5, rtol=0)
    assert not c.fc1.bias.any()
    assert torch.equal(c.fc1.weight, Calibrator(6, 0.5, generator()).fc1.weight)


def test_residuals_differ_between_text_and_released_code() -> None:
    text = Discriminator(4, 2, generator(), "normalised")
    code = Discriminator(4, 2, generator(), "activated")
    x = torch.randn(2, 9, 4)
    assert not torch.allclose(text(x), code(x))
    with pytest.raises(ValueError, match="neither"):
        Discriminator(4, 2, generator(), "nothing")  # type: ignore[arg-type]


def test_probabilities_sum_to_one() -> None:
    two = probabilities(torch.tensor([[0.0], [3.0]]))
    assert two.shape == (2, 2)
    assert two[0].tolist() == [0.5, 0.5]
    assert two[1, 1] == torch.sigmoid(torch.tensor(3.0))
    torch.testing.assert_close(probabilities(torch.randn(5, 13)).sum(-1), torch.ones(5))
