"""The paper's losses, Eqs 1-3, as pure functions of mini-batches ``(..., batches, rows, features)``.

The leading axes are seeds that are trained together.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from calib.mmd import median_distance, mmd2_sum
from calib.rules import MEDIAN_FACTORS, PAPER_WIDTHS


def calibration_loss(
    z: Tensor,
    widths: Sequence[float] | str = PAPER_WIDTHS,
    pairs: Literal["mean", "sum_ordered"] = "mean",
) -> Tensor:
    """Compute L_C (Eq. 1), the squared MMD between the codes of the batches.

    Args:
        z: codes of one mini-batch of every batch, ``(..., batches, rows, features)``.
        widths: kernel widths, or ``"median"`` for the median heuristic on this mini-batch.
        pairs: ``"mean"`` over unordered pairs of batches (the text) or ``"sum_ordered"``, the sum over
            ordered pairs (the released code: N(N-1) times the mean). The loss of a single batch is 0.

    Returns:
        The loss ``(...)``.
    """
    if isinstance(widths, str):  # "median" is the only string that is allowed
        scale = median_distance(z.flatten(-3, -2))
        z, widths = z / scale[..., None, None, None], MEDIAN_FACTORS
    batches = z.shape[-3]
    total = mmd2_sum(z, widths)
    return total if pairs == "sum_ordered" else total / max(batches * (batches - 1), 1)


def reconstruction_loss(
    x: Tensor, reconstructed: Tensor, over_batches: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Compute L_R (Eq. 2), the mean squared error, averaged (text) or summed (released) over batches.

    Both tensors are ``(..., batches, rows, features)``, in the unit of the data; the loss is ``(...)``.
    """
    error: Tensor = _MeanSquare.apply(reconstructed, x)
    return error * x.shape[-3] if over_batches == "sum" else error


class _MeanSquare(torch.autograd.Function):
    """The mean squared difference over the last three axes, with its derivative by the first tensor only.

    The derivative takes one pass through the data, where that of PyTorch's operations takes four.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor) -> Tensor:
        difference = y - x
        ctx.save_for_backward(difference)
        return difference.square().mean(dim=(-3, -2, -1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        scale = grad / difference.shape[-3:].numel()
        return difference * (2 * scale)[..., None, None, None], None


def classification_loss(
    logits: Tensor,
    y: Tensor,
    over_batches: Literal["mean", "sum"] = "mean",
    multiclass: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """Compute L_D (Eq. 3), the cross-entropy summed over a mini-batch's samples.

    Args:
        logits: ``(..., batches, rows, 1 or classes)``, as D gives them.
        y: class indices ``(..., batches, rows)``.
        over_batches: ``"mean"`` over the source batches (the text's 1/K) or their ``"sum"`` (released).
        multiclass: with more than two classes, ``"sum"`` over samples as in Eq. 3, or ``"mean"`` as in the
            remnants of the released single-cell code. With a single logit the samples are always summed.

    Returns:
        The loss ``(...)``.
    """
    if two_classes := logits.shape[-1] == 1:
        logits = F.pad(logits, (1, 0))  # sigmoid(a) is the softmax of (0, a)
    cross_entropy = -logits.log_softmax(dim=-1).gather(-1, y[..., None])[..., 0]
    total = cross_entropy.sum(dim=(-2, -1))
    if multiclass == "mean" and not two_classes:
        total = total / y.shape[-1]
    return total if over_batches == "sum" else total / y.shape[-2]
