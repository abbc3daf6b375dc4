"""The paper's losses, Eqs 1-3, as pure functions of stacked mini-batches ``(batches, rows, ...)``."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

PAPER_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Kernel widths sigma of the released code, in units of the codes; the text gives none."""


def mmd2_matrix(groups: Sequence[Tensor] | Tensor, widths: Sequence[float], biased: bool = True) -> Tensor:
    """Squared maximum mean discrepancy between all pairs of groups, from one Gram matrix.

    Gretton et al. 2012 (JMLR 13:723), with the sum of the Gaussian kernels
    exp(-||x - y||^2 / (2 sigma^2)) over the widths. The biased estimate is never negative; when groups
    of m rows are so far apart that every kernel vanishes but the diagonal, it sits at
    2 len(widths) / m with zero gradient.

    Args:
        groups: tensors ``(rows_i, features)``, or one tensor ``(groups, rows, features)``.
        widths: sigma, in the unit of the data.
        biased: V-statistic (as released) or U-statistic.

    Returns:
        ``(groups, groups)``, symmetric; the diagonal is zero when biased.
    """
    rows = groups.flatten(0, 1) if isinstance(groups, Tensor) else torch.cat(tuple(groups))
    sizes = torch.tensor([len(group) for group in groups], device=rows.device)
    member = F.one_hot(torch.repeat_interleave(sizes), len(sizes)).to(rows.dtype)
    sums = _KernelSums.apply(rows, member, sorted(widths, reverse=True))
    count = sizes.to(rows.dtype)
    within = sums.diagonal() / count**2
    if not biased:  # each row's kernel with itself is 1 at every width
        within = (sums.diagonal() - count * len(widths)) / (count * (count - 1))
    return within[:, None] + within[None, :] - 2 * sums / (count[:, None] * count[None, :])


def mmd2_paired(a: Tensor, b: Tensor, widths: Sequence[float]) -> Tensor:
    """Biased squared maximum mean discrepancy of each group in ``a`` from the one beside it in ``b``.

    Args:
        a, b: ``(pairs, rows, features)``.
        widths: as in ``mmd2_matrix``, which is for all pairs of groups.

    Returns:
        ``(pairs,)``.
    """
    sign = torch.ones(a.shape[1], dtype=a.dtype, device=a.device) / a.shape[1]
    z = torch.cat([a, b], dim=1)
    return _SignedKernelSum.apply(z, torch.cat([sign, -sign]), sorted(widths, reverse=True))


class _SignedKernelSum(torch.autograd.Function):
    """``sign.T @ K(z_p) @ sign`` for each pair p; its derivative as in ``_KernelSums``."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, sign: Tensor, widths: list[float]) -> Tensor:
        slope = squared_distances(z)
        kernel = _gaussian_kernels_(slope, widths)
        ctx.save_for_backward(z, sign, slope)
        return (kernel @ sign) @ sign

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        z, sign, slope = ctx.saved_tensors
        a = slope * (sign[:, None] * sign) * grad[:, None, None]
        return 4 * (a.sum(dim=-1, keepdim=True) * z - a @ z), None, None


class _KernelSums(torch.autograd.Function):
    """Kernel values summed over each pair of groups: ``member.T @ K(rows) @ member``.

    The derivative is written out because it costs one matrix product: with A the derivative of the sum
    with respect to the squared distances, symmetric, that for ``rows`` is 4 (diag(A 1) - A) rows.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, member: Tensor, widths: list[float]) -> Tensor:
        slope = squared_distances(rows)
        sums = torch.zeros_like(member.T @ member)
        for part, block in zip(member.split(_CHUNK), slope.split(_CHUNK), strict=True):
            kernel = _gaussian_kernels_(block, widths)
            sums += part.T @ kernel @ member
        ctx.save_for_backward(rows, member, slope)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rows, member, slope = ctx.saved_tensors
        a = (member @ ((grad + grad.T) / 2) @ member.T).mul_(slope)
        return 4 * (a.sum(dim=1, keepdim=True) * rows).addmm_(a, rows, alpha=-1), None, None


def squared_distances(rows: Tensor) -> Tensor:
    """Squared Euclidean distances ``(..., n, n)`` between rows ``(..., n, features)``, none negative."""
    gram = rows @ rows.mT
    norms = gram.diagonal(dim1=-2, dim2=-1).clone()
    return gram.mul_(-2).add_(norms[..., :, None]).add_(norms[..., None, :]).clamp_(min=0)


_CHUNK = 64
"""Rows of the kernel matrix worked on at a time, so that they stay in the processor's cache."""


def _gaussian_kernels_(distances2: Tensor, widths: Sequence[float]) -> Tensor:
    """Sum over the widths, widest first, of exp(-d^2 / (2 sigma^2)).

    In place of the squared distances it leaves the derivative of the sum with respect to them. Halving
    sigma raises a kernel to its fourth power, so the paper's five widths cost one exponential.
    """
    underflow = 0.9 * math.log(torch.finfo(distances2.dtype).tiny)  # exp() is slow from there on

    def gaussian(width: float) -> Tensor:
        return (distances2 * (-0.5 / width**2)).clamp_(min=underflow).exp_()

    kernel = gaussian(widths[0])
    total, slope = kernel.clone(), kernel * (-0.5 / widths[0] ** 2)
    for wider, width in pairwise(widths):
        kernel = kernel.square_().square_() if wider == 2 * width else gaussian(width)
        total += kernel
        slope.add_(kernel, alpha=-0.5 / width**2)
    distances2.copy_(slope)
    return total


def median_widths(rows: Tensor, factors: Sequence[float] = (0.25, 0.5, 1, 2, 4)) -> list[float]:
    """Kernel widths around the median distance between distinct rows ``(n, features)``.

    The median heuristic (Gretton et al. 2012, section 8) times each factor, so that the kernels see
    the scale of the data whatever its unit. Rows that all coincide give widths around 1.
    """
    upper = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    distances2 = squared_distances(rows.detach())[upper[0], upper[1]]
    median = float(distances2.sqrt().median()) or 1.0
    return [median * factor for factor in factors]


def calibration_loss(
    z: Tensor,
    widths: Sequence[float] | str = PAPER_WIDTHS,
    pairs: Literal["mean", "sum_ordered"] = "mean",
) -> Tensor:
    """L_C, Eq. 1: how far apart the codes ``z (batches, rows, features)`` of the batches lie.

    Args:
        z: codes of one mini-batch of every batch.
        widths: kernel widths, or ``"median"`` for the median heuristic on this mini-batch.
        pairs: ``"mean"`` over unordered pairs of batches (the text) or ``"sum_ordered"``, the sum over
            ordered pairs (the released code: N(N-1) times the mean). A batch on its own has no pair: 0.
    """
    if isinstance(widths, str):  # "median" is the only word
        widths = median_widths(z.flatten(0, 1))
    total = mmd2_matrix(z, widths).sum()  # the diagonal is zero
    return total if pairs == "sum_ordered" else total / max(len(z) * (len(z) - 1), 1)


def reconstruction_loss(
    x: Tensor, reconstructed: Tensor, over_batches: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """L_R, Eq. 2: mean squared error over entries, averaged (text) or summed (released) over batches.

    Both tensors are ``(batches, rows, features)``, in the unit of the data.
    """
    error = F.mse_loss(reconstructed, x)
    return error * len(x) if over_batches == "sum" else error


def classification_loss(
    logits: Tensor,
    y: Tensor,
    over_batches: Literal["mean", "sum"] = "mean",
    multiclass: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """L_D, Eq. 3: cross-entropy, summed over a mini-batch's samples.

    Args:
        logits: ``(batches, rows, 1 or classes)``, as D gives them.
        y: class indices ``(batches, rows)``.
        over_batches: averaged (the text's 1/K) or summed (released) over the source batches.
        multiclass: over samples, with more than two classes: ``"sum"`` as Eq. 3 has it, or ``"mean"``
            as the remnants of the released single-cell code do. Two classes are always summed.
    """
    if logits.shape[-1] == 1:
        total = F.binary_cross_entropy_with_logits(logits[..., 0], y.to(logits.dtype), reduction="sum")
    else:
        total = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
        total = total / y.shape[1] if multiclass == "mean" else total
    return total if over_batches == "sum" else total / len(y)
