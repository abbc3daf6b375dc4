"""A plain network's hidden layers."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.layers import BatchNorm, Dropout, Noise, default_linear


class FeatureNetwork(nn.Module):
    """Linear, batch norm, ReLU and dropout for every hidden layer.

    Args:
        widths: of the input and of the hidden layers.
    """

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(default_linear(a, b, generator) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths[1:])
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Features ``(..., rows, widths[-1])`` of ``x (..., rows, widths[0])``; batch norm is over rows."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.dropout(F.relu(norm(layer(x))), noise)
        return x
