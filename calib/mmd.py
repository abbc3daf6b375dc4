"""Maximum mean discrepancy (MMD) with Gaussian kernels, between many groups of rows at once."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 128
"""Rows of the kernel matrix that are computed at a time, so that they fit the processor's cache."""


def mmd2_matrix(groups: Sequence[Tensor], widths: Sequence[float], biased: bool = True) -> Tensor:
    """Compute the squared maximum mean discrepancy between all pairs of groups, without a gradient.

    Gretton et al. 2012 (JMLR 13:723), with the sum over the widths of the Gaussian kernels
    exp(-||x - y||^2 / (2 sigma^2)). The biased estimate is never negative. When groups of m rows are so far
    apart that every kernel except the diagonal vanishes, it equals 2 len(widths) / m.

    Args:
        groups: tensors ``(rows_i, features)``.
        widths: sigma, in the unit of the data.
        biased: whether to compute the V-statistic (as released) or the U-statistic.

    Returns:
        ``(groups, groups)``, symmetric; the diagonal is zero when biased.
    """
    return mmd2_matrices(groups, [widths], biased)[0]


def mmd2_matrices(
    groups: Sequence[Tensor], widths: Sequence[Sequence[float]], biased: bool = True
) -> list[Tensor]:
    """Compute ``mmd2_matrix`` for several sets of widths, with the distances between rows computed once."""
    rows = torch.cat(tuple(groups)).detach()
    sizes = torch.tensor([len(group) for group in groups], device=rows.device)
    member = F.one_hot(torch.repeat_interleave(sizes), len(sizes)).to(rows.dtype)
    half = rows.square().sum(dim=1) / 2
    sums = [torch.zeros_like(member.T @ member) for _ in widths]
    for part in chunks(0, len(rows)):
        here, below = slice(0, part.stop - part.start), slice(part.stop - part.start, None)
        x, belongs = rows[part.start :], member[part.start :]
        distances = minus_half_distances2(x, half[part.start :], here)
        for of_set, total in zip(widths, sums, strict=True):
            kernel = torch.zeros_like(distances)
            for _, of_width in kernels(distances, of_set):
                kernel += of_width
            total += belongs[here].T @ kernel[:, here] @ belongs[here]
            off_diagonal = belongs[here].T @ kernel[:, below] @ belongs[below]
            total += off_diagonal + off_diagonal.T  # the kernel matrix is symmetric
    count = sizes.to(rows.dtype)
    return [
        _discrepancy(total, count, len(of_set), biased) for of_set, total in zip(widths, sums, strict=True)
    ]


def _discrepancy(sums: Tensor, count: Tensor, widths: int, biased: bool) -> Tensor:
    """Return the squared MMD of groups of so many rows from the sums of their kernels."""
    within = sums.diagonal() / count**2
    if not biased:  # the kernel of a row with itself is 1 at every width
        within = (sums.diagonal() - count * widths) / (count * (count - 1))
    return within[:, None] + within[None, :] - 2 * sums / (count[:, None] * count[None, :])


def mmd2_sum(z: Tensor, widths: Sequence[float]) -> Tensor:
    """Compute the biased squared MMD summed over ordered pairs of groups of equal size.

    It is the sum of ``mmd2_matrix``, with a gradient. The gradient is zero where all kernels vanish.

    Args:
        z: ``(..., groups, rows, features)``; each index of the leading axes is a separate problem.
        widths: sigma, in the unit of the data.

    Returns:
        The sum ``(...)``.
    """
    values: Tensor = _MMD2Sum.apply(z.reshape(-1, *z.shape[-3:]), widths)
    return values.view(z.shape[:-3])


class _MMD2Sum(torch.autograd.Function):
    """The summed MMD, whose derivative is computed with its value, so that each kernel is computed once."""

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
    """Return the values ``(problems,)`` and the derivatives by ``z (problems, groups, rows, features)``.

    The value is a sum of kernels, with one constant weight for rows of the same group and another for rows of
    two groups. Let A be the symmetric matrix of the weighted derivatives of the kernels by the squared
    distances. The derivative by the rows is then 4 (diag(A 1) - A) rows; ``mass`` is A 1, ``product`` is
    A rows. Blocks below the diagonal follow by symmetry and are not computed.
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
            kernel, slope = kernels_and_slopes(minus_half_distances2(x, half[:, start:], part), widths)
            slope.diagonal(part.start, dim1=-2, dim2=-1).zero_()  # else rounding would move isolated rows
            for matrix, sums in ((kernel, by_row), (slope, mass)):
                matrix[..., own].mul_(within)  # with *= the part would be copied onto itself
                matrix[..., more].mul_(between)
                sums[:, here] += matrix.sum(dim=-1)
                sums[:, later] += matrix[..., more].sum(dim=-2)
            product[:, here].baddbmm_(slope, x)
            product[:, later].baddbmm_(slope[..., more].mT, x[:, part])
    return by_row.sum(dim=-1), product.neg_().addcmul_(mass[..., None], rows).mul_(4).view_as(z)


def minus_half_distances2(y: Tensor, half: Tensor, chosen: slice) -> Tensor:
    """Compute -||x - y||^2 / 2 between all rows y and the chosen rows x of them; never positive.

    Args:
        y: ``(..., m, features)``.
        half: half the squared norm of each row, ``(..., m)``.
        chosen: which rows of ``y`` are x.

    Returns:
        ``(..., chosen, m)``, exactly 0 between a row and itself.
    """
    products = y[..., chosen, :] @ y.mT
    products.sub_(half[..., chosen, None]).sub_(half[..., None, :]).clamp_(max=0)
    products.diagonal(chosen.start, dim1=-2, dim2=-1).zero_()  # where rounding leaves small values
    return products


def chunks(start: int, stop: int) -> Iterator[slice]:
    """Return slices of at most ``CHUNK`` rows from ``start`` to ``stop``."""
    return (slice(first, min(first + CHUNK, stop)) for first in range(start, stop, CHUNK))


def kernels(minus_half: Tensor, widths: Sequence[float]) -> Iterator[tuple[float, Tensor]]:
    """Yield each sigma, the widest first, and exp(-d^2 / (2 sigma^2)), which the next step overwrites.

    Halving sigma raises a kernel to its fourth power, so the paper's five widths cost one exponential.

    Args:
        minus_half: -d^2 / 2; it stays as it is.
        widths: sigma.
    """
    lowest = 0.9 * math.log(torch.finfo(minus_half.dtype).tiny)  # smaller numbers are denormal and slow
    wider, kernel = 0.0, minus_half
    for width in sorted(widths, reverse=True):
        if wider == 2 * width:
            kernel.square_().square_()
        else:
            kernel = (minus_half / width**2).clamp_(min=lowest).exp_()
        yield width, kernel
        wider = width


def kernels_and_slopes(minus_half: Tensor, widths: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the sum of the kernels over the widths, and its derivative by d^2."""
    by_width = kernels(minus_half, widths)
    widest, kernel = next(by_width)
    total, slope = kernel.clone(), kernel * (-0.5 / widest**2)
    for width, kernel in by_width:
        total += kernel
        slope.add_(kernel, alpha=-0.5 / width**2)
    return total, slope


def median_distance(rows: Tensor) -> Tensor:
    """Compute the median distance ``(...)`` of all pairs of rows ``(..., n, features)``, 1 where it is 0.

    It is the scale of the median heuristic (Gretton et al. 2012, section 8) and has no gradient.
    """
    rows = rows.detach()
    n = rows.shape[-2]
    half = rows.square().sum(dim=-1) / 2
    counted = torch.ones(n, n, dtype=torch.bool, device=rows.device).tril_()  # each pair counts once
    distances2 = -2 * minus_half_distances2(rows, half, slice(0, n)).masked_fill_(counted, torch.nan)
    median = distances2.flatten(-2).nanmedian(dim=-1).values.sqrt().nan_to_num()
    return torch.where(median > 0, median, 1)
