"""Tests of Eqs 1-3 against the authors' functions and naive formulas."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

import calib.mmd
from calib.losses import calibration_loss, classification_loss, reconstruction_loss
from calib.mmd import median_distance, mmd2_matrix, mmd2_sum
from calib.rules import PAPER_WIDTHS

GOLDEN = Path(__file__).parent / "golden" / "mmd"


def groups(dtype: torch.dtype) -> list[Tensor]:
    return [
        torch.tensor(pd.read_csv(GOLDEN / f"{n}.csv", header=None).to_numpy(), dtype=dtype) for n in "ABC"
    ]


@pytest.mark.parametrize("chunk", [64, 5])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_mmd_matches_the_released_function(
    dtype: torch.dtype, bound: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calib.mmd, "CHUNK", chunk)
    lines = [line.rsplit(",", 1) for line in (GOLDEN / "expected.csv").read_text().splitlines()[1:]]
    expected = {name: float(value) for name, value in lines}
    a, b, c = groups(dtype)
    for biased, name in ((True, "biased"), (False, "unbiased")):
        got = mmd2_matrix([a, b, c], PAPER_WIDTHS, biased)
        for i, j, pair in ((0, 1, "AB"), (0, 2, "AC"), (1, 2, "BC")):
            assert got[i, j] == pytest.approx(expected[f"{pair},{name}"], abs=bound)
            assert got[j, i] == pytest.approx(float(got[i, j]), abs=bound)
        same = mmd2_matrix([a, a], PAPER_WIDTHS, biased)[0, 1]
        assert same == pytest.approx(expected[f"AA,{name}"], abs=bound)
    summed = calibration_loss(torch.stack([a, b, c]), pairs="sum_ordered")
    released = next(value for name, value in expected.items() if name.startswith("sum over 6"))
    assert summed == pytest.approx(released, rel=bound)
    mean = calibration_loss(torch.stack([a, b, c]), pairs="mean")
    assert mean * 6 == pytest.approx(float(summed), rel=1e-6)


def test_mmd_floor_when_all_rows_are_far_apart() -> None:
    z = (torch.arange(24.0)[:, None] * 1e4).reshape(2, 12, 1).requires_grad_()
    value = mmd2_sum(z, PAPER_WIDTHS) / 2
    value.backward()
    assert value.item() == pytest.approx(10 / 12)
    assert z.grad is not None
    assert z.grad.abs().max() < 1e-20


def test_mmd_of_near_duplicates_far_from_the_origin_is_finite() -> None:
    torch.manual_seed(0)
    rows = 3e4 + torch.rand(6, 50).repeat_interleave(20, dim=0) + torch.randn(120, 50) * 1e-5
    assert mmd2_matrix(rows.split(60), PAPER_WIDTHS).isfinite().all()


def test_mmd_of_unequal_groups_is_the_textbook_formula() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.randn(14, 3, dtype=torch.float64) + 1
    widths = [0.7, 3.0]  # the widths do not double

    def k(a: Tensor, b: Tensor) -> Tensor:
        d2 = torch.cdist(a, b) ** 2
        return torch.stack([torch.exp(-d2 / (2 * s**2)) for s in widths]).sum(0)

    biased = k(x, x).mean() + k(y, y).mean() - 2 * k(x, y).mean()
    kx, ky = k(x, x), k(y, y)
    unbiased = (kx.sum() - kx.trace()) / (9 * 8) + (ky.sum() - ky.trace()) / (14 * 13) - 2 * k(x, y).mean()
    assert mmd2_matrix([x, y], widths)[0, 1] == pytest.approx(float(biased), abs=1e-12)
    assert mmd2_matrix([x, y], widths, biased=False)[1, 0] == pytest.approx(float(unbiased), abs=1e-12)


@pytest.mark.parametrize("chunk", [64, 5])
@pytest.mark.parametrize("widths", [PAPER_WIDTHS, (0.5, 2.0, 3.0)])
def test_mmd_gradient(widths: tuple[float, ...], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.mmd, "CHUNK", chunk)
    torch.manual_seed(1)
    z = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)  # two problems of three groups
    expected = torch.stack([mmd2_matrix(list(problem), widths).sum() for problem in z])
    torch.testing.assert_close(mmd2_sum(z, widths), expected)
    torch.autograd.gradcheck(lambda v: mmd2_sum(v, widths), (z,))


def test_mmd_of_no_problem() -> None:
    assert mmd2_sum(torch.ones(0, 2, 5, 3), PAPER_WIDTHS).shape == (0,)


def test_median_heuristic_follows_the_scale_of_the_data() -> None:
    torch.manual_seed(0)
    rows = torch.randn(50, 4)
    distances = torch.pdist(rows)
    assert median_distance(rows) == pytest.approx(float(distances.median()), rel=1e-5)
    torch.testing.assert_close(median_distance(rows * 1000), median_distance(rows) * 1000)
    assert median_distance(torch.ones(5, 2)) == 1
    z = rows.reshape(2, 25, 4)
    several = torch.stack([z, z * 1000])
    torch.testing.assert_close(calibration_loss(several, "median"), calibration_loss(z, "median").expand(2))
    widths = [float(median_distance(rows)) * factor for factor in (0.25, 0.5, 1, 2, 4)]
    torch.testing.assert_close(calibration_loss(z, "median"), calibration_loss(z, widths))


def test_classification_loss_of_two_classes() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(2, 5, 1), torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]])
    p = torch.sigmoid(logits[..., 0])
    summed = -(y * p.log() + (1 - y) * (1 - p).log()).sum()
    for multiclass in ("sum", "mean"):
        assert classification_loss(logits, y, "sum", multiclass) == pytest.approx(float(summed), rel=1e-6)
        assert classification_loss(logits, y, "mean", multiclass) == pytest.approx(
            float(summed) / 2, rel=1e-6
        )


def test_classification_loss_of_more_classes() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(3, 5, 4), torch.randint(0, 4, (3, 5))
    picked = torch.log_softmax(logits, -1).gather(-1, y[..., None])
    assert classification_loss(logits, y) == pytest.approx(float(-picked.sum() / 3), rel=1e-6)
    released = classification_loss(logits, y, "sum", "mean")  # a mean for each source, summed
    assert released == pytest.approx(float(-picked.mean(dim=1).sum()), rel=1e-6)


def test_reconstruction_loss() -> None:
    x, x_hat = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    x_hat[1] = 3
    assert reconstruction_loss(x, x_hat, "mean") == 5
    assert reconstruction_loss(x, x_hat, "sum") == 10
    y = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: reconstruction_loss(torch.ones_like(v), v, "sum"), (y,))
