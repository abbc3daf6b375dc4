"""DANN: a network whose features are trained so that a second network cannot recognise the batch.

Ganin et al. 2016 (JMLR 17:59, arXiv:1505.07818). The training is in ``alignment.py``.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from calib.layers import default_linear
from calib.methods.alignment import Aligned, AlignmentLoss


class DANN(Aligned):
    """A method with a domain classifier over the batches, whose gradient reaches the features reversed."""

    aligned_by = "domain loss"

    def alignment(self, features: int, batches: int, generator: torch.Generator) -> "DomainClassifier":
        """Return an untrained domain classifier, with a hidden layer as wide as the features."""
        return DomainClassifier(features, batches, generator)


class DomainClassifier(AlignmentLoss):
    """A domain classifier behind a gradient reversal: FC, ReLU, FC to one output for each batch.

    The alignment loss is its cross-entropy.
    """

    def __init__(self, features: int, batches: int, generator: torch.Generator) -> None:
        super().__init__()
        self.fc1 = default_linear(features, features, generator)
        self.fc2 = default_linear(features, batches, generator)

    def forward(self, features: Tensor, sources: int, progress: float) -> Tensor:
        """Return the mean cross-entropy of the batch over rows of ``features (batches, rows, features)``."""
        x = reverse_gradient(features, strength(progress)).flatten(0, 1)
        batch = torch.arange(len(features), device=x.device).repeat_interleave(features.shape[1])
        return F.cross_entropy(self.fc2(F.relu(self.fc1(x))), batch)


def strength(progress: float) -> float:
    """Return the paper's lambda_p, from 0 at the start to nearly 1 at the end (section 5.2.2, gamma = 10)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def reverse_gradient(x: Tensor, by: float) -> Tensor:
    """Return ``x`` itself, whose gradient is multiplied by ``-by`` in the backward pass (Eqs 17 and 18)."""
    same: Tensor = _Reversed.apply(x, by)
    return same


class _Reversed(torch.autograd.Function):
    """The identity, whose backward pass multiplies the gradient by ``-by``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: float) -> Tensor:
        ctx.by = by
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.by * grad, None
