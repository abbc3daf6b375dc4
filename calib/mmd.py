"""Maximum mean discrepancy with Gaussian kernels, between many groups of rows at once."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

PAPER_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Kernel widths sigma of the released code, in units of the codes; the text gives none."""

MEDIAN_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Kernel widths of the median heuristic, in units of the median distance."""

CHUNK = 128
"""Rows of the kernel matrix worked on at a time, so that they stay in the processor's cache."""


def mmd2_matrix(groups: Sequence[Tensor], widths: Sequence[float], biased: bool = True) -> Tensor:
    """Squared maximum mean discrepancy between all pairs of groups, without a gradient.

    Gretton et al. 2012 (JMLR 13:723), with the sum of the Gaussian kernels
    exp(-||x - y||^2 / (2 sigma^2)) over the widths. The biased estimate is never negative; when groups
    of m rows are so far apart that every kernel vanishes but the diagonal, it sits at
    2 len(widths) / m.

    Args:
        groups: tensors ``(rows_i, features)``.
        widths: sigma, in the unit of the data.
        biased: V-statistic (as released) or U-statistic.

    Returns:
        ``(groups, groups)``, symmetric; the diagonal is zero when biased.
    """
    rows = torch.cat(tuple(groups)).detach()
    sizes = torch.tensor([len(group) for group in groups], device=rows.device)
    member = F.one_hot(torch.repeat_interleave(sizes), len(sizes)).to(rows.dtype)
    half = rows.square().sum(dim=1) / 2
    sums = torch.zeros_like(member.T @ member)
    for part in chunks(0, len(rows)):
        kernel, _ = gaussian_kernels(minus_half_distances2(rows, half, part), widths)
        sums += member[part].T @ kernel @ member
    count = sizes.to(rows.dtype)
    within = sums.diagonal() / count**2
    if not biased:  # each row's kernel with itself is 1 at every width
        within = (sums.diagonal() - count * len(widths)) / (count * (count - 1))
    return within[:, None] + within[None, :] - 2 * sums / (count[:, None] * count[None, :])


def mmd2_sum(z: Tensor, widths: Sequence[float]) -> Tensor:
    """Biased squared maximum mean discrepancy, summed over ordered pairs of groups of equal size.

    The sum of ``mmd2_matrix`` with a gradient, which is zero where all kernels vanish.

    Args:
        z: ``(..., groups, rows, features)``; each of the leading places is a problem of its own.
        widths: sigma, in the unit of the data.

    Returns:
        ``(...)``.
    """
    values: Tensor = _MMD2Sum.apply(z.reshape(-1, *z.shape[-3:]), widths)
    return values.view(z.shape[:-3])


class _MMD2Sum(torch.autograd.Function):
    """The derivative comes with the value, so that each kernel is computed once."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, widths: Sequence[float]) -> Tensor:
        values, gradient = _mmd2_sum_and_gradient(z, widths)
        ctx.save_for_backward(gradient)
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None, None, None], None


def _mmd2_sum_and_gradient(z: Tensor, widths: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Values ``(problems,)`` and derivatives, of the shape of ``z (problems, groups, rows, features)``.

    The sum is one of kernels with a constant weight for rows of the same group and another for rows of
    two groups. With A the weighted derivatives of the kernels by the squared distances, symmetric, the
    derivative by the rows is 4 (diag(A 1) - A) rows: ``mass`` is A 1, ``product`` A rows. Blocks below the
    diagonal are not computed.
    """
    _, groups, size, _ = z.shape
    within, between = 2 * (groups - 1) / size**2, -2 / size**2
    rows = z.flatten(1, 2)
    half = rows.square().sum(dim=-1) / 2
    by_row, mass, product = torch.zeros_like(half), torch.zeros_like(half), torch.zeros_like(rows)
    for start in range(0, groups * size, size):
        x, own, more, later = rows[:, start:], slice(size), slice(size, None), slice(start + size, None)
        for part in chunks(0, size):
            here = slice(start + part.start, start + part.stop)
            kernel, slope = gaussian_kernels(minus_half_distances2(x, half[:, start:], part), widths)
            slope.diagonal(part.start, dim1=-2, dim2=-1).zero_()  # or rounding would push rows that lie alone
            for matrix, sums in ((kernel, by_row), (slope, mass)):
                matrix[..., own] *= within
                matrix[..., more] *= between
                sums[:, here] += matrix.sum(dim=-1)
                sums[:, later] += matrix[..., more].sum(dim=-2)
            product[:, here].baddbmm_(slope, x)
            product[:, later].baddbmm_(slope[..., more].mT, x[:, part])
    return by_row.sum(dim=-1), product.neg_().addcmul_(mass[..., None], rows).mul_(4).view_as(z)


def minus_half_distances2(y: Tensor, half: Tensor, chosen: slice) -> Tensor:
    """-||x - y||^2 / 2, never positive, of rows ``y (..., m, features)`` and ``x``, the chosen ones of them.

    Args:
        half: half the squared norm of each row, ``(..., m)``.

    Returns:
        ``(..., chosen, m)``, exactly 0 between a row and itself.
    """
    products = y[..., chosen, :] @ y.mT
    products.sub_(half[..., chosen, None]).sub_(half[..., None, :]).clamp_(max=0)
    products.diagonal(chosen.start, dim1=-2, dim2=-1).zero_()  # where rounding would leave a little
    return products


def chunks(start: int, stop: int) -> Iterator[slice]:
    """Slices of at most ``CHUNK`` from ``start`` to ``stop``."""
    return (slice(first, min(first + CHUNK, stop)) for first in range(start, stop, CHUNK))


def gaussian_kernels(minus_half: Tensor, widths: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Sum over the widths of exp(-d^2 / (2 sigma^2)), and its derivative by d^2.

    Halving sigma raises a kernel to its fourth power, so the paper's five widths cost one exponential.

    Args:
        minus_half: -d^2 / 2.
        widths: sigma.
    """
    lowest = 0.9 * math.log(torch.finfo(minus_half.dtype).tiny)  # below, numbers get denormal and slow

    def gaussian(width: float) -> Tensor:
        return (minus_half / width**2).clamp_(min=lowest).exp_()

    widest, *others = sorted(widths, reverse=True)
    kernel = gaussian(widest)
    total, slope = kernel.clone(), kernel * (-0.5 / widest**2)
    for wider, width in pairwise([widest, *others]):
        kernel = kernel.square_().square_() if wider == 2 * width else gaussian(width)
        total += kernel
        slope.add_(kernel, alpha=-0.5 / width**2)
    return total, slope


def median_distance(rows: Tensor) -> Tensor:
    """Median distance ``(...)`` between distinct rows ``(..., n, features)``, 1 where they all coincide.

    The scale of the median heuristic (Gretton et al. 2012, section 8); it has no gradient.
    """
    rows = rows.detach()
    n = rows.shape[-2]
    half = rows.square().sum(dim=-1) / 2
    upper = torch.triu_indices(n, n, offset=1, device=rows.device)
    distances2 = -2 * minus_half_distances2(rows, half, slice(0, n))[..., upper[0], upper[1]]
    median = distances2.sqrt().median(dim=-1).values
    return torch.where(median > 0, median, 1)
