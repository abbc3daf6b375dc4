"""Layers that the networks are made of, for mini-batches ``(batches, rows, features)``.

Randomness (initial weights, dropout) comes from the generators that are passed in.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Statistics = Literal["running", "own"]

Noise = torch.Generator | Sequence[torch.Generator]
"""Where dropout takes its randomness from; for a stack of networks, one generator for each."""


class Linear(nn.Linear):
    """PyTorch's linear layer, of ``scale * x + shift`` if these are given.

    Scaling the weights in place of the input spares the derivative by the input where it is data: one
    product of three. A single output is a sum over the inputs, whose order is the same in a stack.
    """

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Outputs ``(..., fan_out)`` of ``x (..., fan_in)``; ``scale`` and ``shift`` are ``(fan_in,)``."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if scale is not None and shift is not None:
            weight, bias = weight * scale, bias + (weight * shift).sum(dim=-1)
        if self.out_features == 1:
            return (x * weight).sum(dim=-1, keepdim=True) + bias
        return F.linear(x, weight, bias)


class BatchNorm(nn.Module):
    """Batch norm of stacked batches, each normalised by its own mean and variance in training.

    The running statistics follow the batches one after another, as if they had passed through
    ``nn.BatchNorm1d`` in turn. At test, ``test_statistics="running"`` uses those (what paper and released
    code do) and ``"own"`` uses the mean and variance of the rows given.
    """

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.momentum = momentum
        self.eps = eps
        self.test_statistics: Statistics = "running"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x (..., batches, rows, features)``; same shape."""
        weight, bias = self.affine()
        if not self.training and self.test_statistics == "running":
            scale = weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (bias - self.running_mean * scale)
        centred, rate = self._centred(x)
        return centred * (weight * rate) + bias

    def affine(self) -> tuple[Tensor, Tensor]:
        """What a normalised ``x`` is multiplied by, and what is added to it."""
        return self.weight, self.bias

    def standardised(self, x: Tensor) -> Tensor:
        """``x`` normalised, before ``affine``, which the layer after it can take on itself."""
        if not self.training and self.test_statistics == "running":
            return (x - self.running_mean) * torch.rsqrt(self.running_var + self.eps)
        centred, rate = self._centred(x)
        return centred * rate

    def _centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` less its mean and the inverse of its standard deviation ``(..., batches, 1, features)``."""
        mean = x.mean(dim=-2, keepdim=True)
        centred = x - mean
        var = centred.square().mean(dim=-2, keepdim=True)
        if self.training:
            self._follow(mean.detach()[..., 0, :], var.detach()[..., 0, :], rows=x.shape[-2])
        return centred, torch.rsqrt(var + self.eps)

    def _follow(self, mean: Tensor, var: Tensor, rows: int) -> None:
        unbiased = var * (rows / max(rows - 1, 1))
        shape = self.running_mean.shape  # without a place in front, if this is no stack
        for batch_mean, batch_var in zip(mean.unbind(-2), unbiased.unbind(-2), strict=True):
            self.running_mean.lerp_(batch_mean.view(shape), self.momentum)
            self.running_var.lerp_(batch_var.view(shape), self.momentum)


class Dropout(nn.Module):
    """Dropout whose mask is drawn from the generator given, not from global state."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, noise: Noise | None) -> Tensor:
        """Zero each entry of ``x`` with probability p and scale the rest by 1/(1-p), in training."""
        if not self.training or self.p == 0:
            return x
        keep, mask = 1 - self.p, torch.empty_like(x)
        if isinstance(noise, Sequence):
            for part, generator in zip(mask, noise, strict=True):
                part.uniform_(generator=generator)
        else:
            mask.uniform_(generator=noise)
        return x * mask.lt_(keep).div_(keep)


class _Tanhshrink(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        tanh = (2 * x).exp_().add_(1).reciprocal_().mul_(-2).add_(1)
        ctx.save_for_backward(tanh)
        return x - tanh

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (tanh,) = ctx.saved_tensors
        return grad * tanh.square()


def tanhshrink(x: Tensor) -> Tensor:
    """Difference of x and tanh(x), the latter as 1 - 2 / (exp(2x) + 1), which is faster than PyTorch's."""
    shrunk: Tensor = _Tanhshrink.apply(x)
    return shrunk


def orthogonal_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> Linear:
    """A linear layer with orthogonal weights (gain 1) and zero bias."""
    layer = nn.utils.skip_init(Linear, fan_in, fan_out)
    nn.init.orthogonal_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def default_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> Linear:
    """A linear layer with PyTorch's default initial weights, drawn from ``generator``."""
    layer = nn.utils.skip_init(Linear, fan_in, fan_out)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(fan_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def glorot_linear(fan_in: int, fan_out: int, generator: torch.Generator, bias: float = 0.0) -> Linear:
    """A linear layer with Glorot's uniform weights, and a bias of zero as Keras has it."""
    layer = nn.utils.skip_init(Linear, fan_in, fan_out)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.constant_(layer.bias, bias)
    return layer
