"""Networks of the same shape side by side as one network, for trainings that are made together."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from calib.layers import BatchNorm, Linear, derivatives, product

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def stacked(networks: Sequence[AnyModule]) -> AnyModule:
    """Return one network that applies several, along a new first axis of its input and output.

    It shares the parameters of ``networks`` and has no others, so training it trains them. A single network
    is returned unchanged.
    """
    if len(networks) == 1:
        return networks[0]
    together = copy.deepcopy(networks[0])
    kinds = {Linear: LinearStack, BatchNorm: BatchNormStack}
    for name, layer in list(together.named_modules()):
        if type(layer) in kinds:
            same_layer: Sequence[Any] = [network.get_submodule(name) for network in networks]
            together.set_submodule(name, kinds[type(layer)](same_layer))
    return together


def shared(parameters: Sequence[Tensor]) -> Tensor:
    """Return one tensor ``(len(parameters), ...)`` that has the memory of all the parameters from now on.

    So no weight is copied to be used. Each parameter gets its part of the tensor's gradient.
    """
    together = torch.stack([parameter.detach() for parameter in parameters]).requires_grad_()
    for parameter, part in zip(parameters, together.detach(), strict=True):
        parameter.data = part

    def hand_out(whole: Tensor) -> None:
        assert whole.grad is not None
        for parameter, part in zip(parameters, whole.grad, strict=True):
            parameter.grad = part
        whole.grad = None

    together.register_post_accumulate_grad_hook(hand_out)
    return together


class LinearStack(nn.Module):
    """Linear layers of the same shape side by side, each with its own rows, computed as one product."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(layers)
        self.weight = shared([layer.weight for layer in layers])
        self.bias = shared([layer.bias for layer in layers])

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Return the outputs ``(layers, ..., fan_out)`` of ``x (layers, ..., fan_in)``; see ``Linear``.

        The axis of the layers may come as several.
        """
        weight, bias = self.weight, self.bias
        if scale is not None and shift is not None:
            bias = bias + (weight * shift.view(len(weight), 1, -1)).sum(dim=-1)
            weight = weight * scale.view(len(weight), 1, -1)
        y: Tensor = _Product.apply(x.reshape(len(weight), -1, x.shape[-1]), weight, bias[:, None])
        return y.view(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """A matrix product plus a bias, with a derivative of its own.

    The derivative by the weights has the layout of the weights, which saves copying.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return derivatives(x, weight, grad.contiguous(), ctx.needs_input_grad[0])


class BatchNormStack(BatchNorm):
    """The batch norms of several networks, for rows ``(layers, batches, rows, features)``."""

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        nn.Module.__init__(self)
        self.layers: Any = nn.ModuleList(layers)
        self.factors = shared([layer.weight for layer in layers])
        self.offsets = shared([layer.bias for layer in layers])
        self.momentum, self.eps = layers[0].momentum, layers[0].eps
        self.test_statistics = layers[0].test_statistics
        self.running_mean = torch.stack([layer.running_mean for layer in layers])
        self.running_var = torch.stack([layer.running_var for layer in layers])
        for layer, mean, var in zip(layers, self.running_mean, self.running_var, strict=True):
            layer.running_mean, layer.running_var = mean, var  # both share memory from now on

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the factors and the offsets of all layers, each ``(layers, 1, 1, features)``."""
        return self.factors[:, None, None], self.offsets[:, None, None]
