"""A plain network's hidden layers, and how such a network is trained."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.layers import BatchNorm, Dropout, Noise, default_linear
from calib.training import Rules

ORDINARY = Rules(
    redraw_each_repetition=False,  # there is one step, not repeated
    optimizer="shared",
    idle_gradient="none",
    rebuild_optimizer_each_epoch=False,
    lr_decay="staircase_iterations",
    weight_decay="decoupled",
    discard_first_shuffle=False,
)
"""One AdamW, one shuffle an epoch, whatever the protocol."""

NEVER = 10**12
"""Iterations until the learning rate falls: it is constant."""


class FeatureNetwork(nn.Module):
    """Linear, batch norm, ReLU and dropout for every hidden layer.

    Args:
        widths: of the input and of the hidden layers.
    """

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.ModuleList(default_linear(a, b, generator) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(BatchNorm(width) for width in widths[1:])
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Features ``(..., rows, widths[-1])`` of ``x (..., rows, widths[0])``; batch norm is over rows."""
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = self.dropout(F.relu(norm(linear(x))), noise)
        return x
