"""The layers of the networks, for mini-batches ``(batches, rows, features)``.

Initial weights and dropout are drawn from the generators that are passed in, never from global state.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.rules import Statistics

Noise = torch.Generator | Sequence[torch.Generator]
"""The random generator of dropout, or one generator for each network of a stack."""


class Linear(nn.Linear):
    """PyTorch's linear layer, which can first scale and shift its input.

    Its weights are not filled: the functions of this module do that, from their own generator. It scales the
    weights instead of the input. Where the input is data, this saves its derivative, one of
    three matrix products. A single output is computed as a sum over the inputs, so that a stack adds up in
    the same order.
    """

    def reset_parameters(self) -> None:
        """Draw nothing, as with ``nn.utils.skip_init``, which loads a compiler for a second."""

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Return the outputs ``(..., fan_out)`` of ``x (..., fan_in)``, or of ``scale * x + shift``.

        ``scale`` and ``shift`` are ``(fan_in,)``.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if scale is not None and shift is not None:
            weight, bias = weight * scale, bias + (weight * shift).sum(dim=-1)
        if self.out_features == 1:
            return (x * weight).sum(dim=-1, keepdim=True) + bias
        return F.linear(x, weight, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the outputs ``(..., rows, fan_out)`` of ``x (..., rows, fan_in)``, for a layer or a stack."""
    if weight.shape[-2] == 1:  # the library adds up a single column in another order for one layer
        return (x * weight).sum(dim=-1, keepdim=True) + bias
    if weight.dim() == 2:
        return torch.addmm(bias, x, weight.mT)
    return torch.baddbmm(bias, x, weight.mT)


def derivatives(
    x: Tensor, weight: Tensor, grad: Tensor, by_input: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return the derivatives by ``x`` (if wanted), weight and bias of ``product``, given that by its outputs.

    ``grad`` is contiguous: the library adds up another layout in another order.
    """
    by_bias = grad.sum(dim=-2, keepdim=weight.dim() > 2)
    if weight.shape[-2] == 1:
        return grad * weight, (grad * x).sum(dim=-2, keepdim=True), by_bias
    return grad @ weight if by_input else None, grad.mT @ x, by_bias


def chain(layers: Iterable[Any], x: Tensor, slope: float) -> Tensor:
    """Return ``x (..., fan_in)`` after several linear layers, with LeakyReLU between them.

    The numbers are those of one operation after another, but LeakyReLU and its derivative work in place.

    Args:
        layers: ``Linear`` layers, or stacks (``seeds.LinearStack``), whose axis is the first of ``x``.
        x: inputs, which stay as they are.
        slope: LeakyReLU's slope for negative inputs.
    """
    weights = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
    if weights[0].dim() > 2:
        flat = x.reshape(len(weights[0]), -1, x.shape[-1])
        weights[1::2] = [bias[:, None] for bias in weights[1::2]]
    else:
        flat = x.reshape(-1, x.shape[-1])
    y: Tensor = _Chain.apply(flat, slope, *weights)
    return y.view(*x.shape[:-1], -1)


class _Chain(torch.autograd.Function):
    """Products with LeakyReLU between them; see ``chain``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, *weights: Tensor) -> Tensor:
        inputs: list[Tensor] = []
        for weight, bias in zip(weights[::2], weights[1::2], strict=True):
            inputs.append(F.leaky_relu_(x, slope) if inputs else x)
            x = product(x, weight, bias)
        ctx.save_for_backward(*inputs, *weights[::2])
        ctx.slope = slope
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, weights = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        found: list[Tensor] = []
        by_input: Any = grad.contiguous()
        for number, (x, weight) in reversed(list(enumerate(zip(inputs, weights, strict=True)))):
            wanted = number > 0 or ctx.needs_input_grad[0]
            by_input, *by_weights = derivatives(x, weight, by_input, wanted)
            found = [*by_weights, *found]
            if number:  # x is LeakyReLU's output, which has the sign of its input
                out = by_input
                torch.ops.aten.leaky_relu_backward.grad_input(out, x, ctx.slope, True, grad_input=out)
        return by_input, None, *found


class BatchNorm(nn.Module):
    """Batch norm of stacked batches, each normalised by its own mean and variance in training.

    The running statistics follow the batches one after another, as if they had passed through
    ``nn.BatchNorm1d`` in turn. At test, ``test_statistics="running"`` uses the running statistics (as paper
    and released code do) and ``"own"`` uses the mean and variance of the given rows.
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
        """Return ``x (..., batches, rows, features)`` normalised, scaled and shifted; same shape."""
        weight, bias = self.affine()
        if not self.training and self.test_statistics == "running":
            scale = weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (bias - self.running_mean * scale)
        centred, rate = self._centred(x)
        return centred * (weight * rate) + bias

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the learned factors and offsets that follow normalisation, each ``(features,)``."""
        return self.weight, self.bias

    def standardised(self, x: Tensor) -> Tensor:
        """Return ``x`` normalised but without ``affine``, which the next layer can apply instead."""
        if not self.training and self.test_statistics == "running":
            return (x - self.running_mean) * torch.rsqrt(self.running_var + self.eps)
        centred, rate = self._centred(x)
        return centred * rate

    def _centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x`` minus its mean, and 1 / standard deviation ``(..., batches, 1, features)``."""
        mean = x.mean(dim=-2, keepdim=True)
        centred = x - mean
        var = centred.square().mean(dim=-2, keepdim=True)
        if self.training:
            self._follow(mean.detach()[..., 0, :], var.detach()[..., 0, :], rows=x.shape[-2])
        return centred, torch.rsqrt(var + self.eps)

    def _follow(self, mean: Tensor, var: Tensor, rows: int) -> None:
        """Move the running statistics by the mean and variance of each batch in turn."""
        unbiased = var * (rows / max(rows - 1, 1))
        shape = self.running_mean.shape  # without a leading axis, unless this is a stack
        for batch_mean, batch_var in zip(mean.unbind(-2), unbiased.unbind(-2), strict=True):
            self.running_mean.lerp_(batch_mean.view(shape), self.momentum)
            self.running_var.lerp_(batch_var.view(shape), self.momentum)


class Dropout(nn.Module):
    """Dropout that draws its mask from a given generator, not from global state."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, noise: Noise | None) -> Tensor:
        """Zero each entry of ``x`` with probability p in training, and scale the others by 1/(1-p)."""
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
    """x - tanh(x) with its derivative tanh(x)^2."""

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
    """Return x - tanh(x).

    tanh(x) is computed as 1 - 2 / (exp(2x) + 1), which is faster than PyTorch's.
    """
    shrunk: Tensor = _Tanhshrink.apply(x)
    return shrunk


def _unfilled(fan_in: int, fan_out: int) -> Linear:
    """Return a linear layer without initial weights.

    Within ``torch.device("meta")`` it has no memory for them either, and only the shapes of its parameters.
    """
    outline = torch.get_default_device().type == "meta"
    return Linear(fan_in, fan_out, device="meta" if outline else "cpu")


def orthogonal_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> Linear:
    """Return a linear layer with orthogonal weights (gain 1) and zero bias."""
    layer = _unfilled(fan_in, fan_out)
    if not layer.weight.is_meta:
        nn.init.orthogonal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    return layer


def default_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> Linear:
    """Return a linear layer with PyTorch's default initial weights, drawn from ``generator``."""
    layer = _unfilled(fan_in, fan_out)
    if not layer.weight.is_meta:
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def glorot_linear(fan_in: int, fan_out: int, generator: torch.Generator, bias: float = 0.0) -> Linear:
    """Return a linear layer with Glorot's uniform weights and a constant bias, zero as in Keras."""
    layer = Linear(fan_in, fan_out, device="cpu")
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.constant_(layer.bias, bias)
    return layer
