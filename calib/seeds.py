"""Several networks of the same make trained as one, a seed each, with the results that each gets alone.

PyTorch's exp2, sigmoid and fused Adam compute the last few numbers of an array in another way than the
others, so that a network's results would depend on what stands beside it: the first two are avoided in
training, and the optimiser moves the parameters of each network by themselves. Matrix products are left to
the library, which may choose another order of adding up for one product than for several; ``train_seeds``
sees to it.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from calib.layers import BatchNorm, Linear
from calib.runtime import Runtime

log = logging.getLogger(__name__)

AnyModule = TypeVar("AnyModule", bound=nn.Module)


TRIED = 3
"""Iterations after which networks trained together, and gradients, are compared with each trained alone."""


def train_seeds(
    train: Callable[[Sequence[Runtime], int | None], Sequence[AnyModule]], runtimes: Sequence[Runtime]
) -> list[AnyModule]:
    """A network for each seed: trained together where that gives the bytes of each alone, else in turn.

    Args:
        train: gives fresh networks trained together, for so many iterations (None: to the end).
        runtimes: one a seed.
    """
    if len(runtimes) > 1:

        def tried(some: Sequence[Runtime]) -> list[list[Tensor]]:
            networks = train([replace(runtime, history=[], progress=False) for runtime in some], TRIED)
            gradients = [[p.grad for p in one.parameters() if p.grad is not None] for one in networks]
            return [[*one.state_dict().values(), *g] for one, g in zip(networks, gradients, strict=True)]

        alone = [tried([runtime])[0] for runtime in runtimes]
        for ours, theirs in zip(tried(runtimes), alone, strict=True):
            if not all(map(torch.equal, ours, theirs)):
                log.info(
                    "Seeds trained together would differ in the last digit here: they are trained in turn."
                )
                return [train([runtime], None)[0] for runtime in runtimes]
    return list(train(runtimes, None))


def stacked(networks: Sequence[AnyModule]) -> AnyModule:
    """One network in place of several, whose input and output have a place for each of them in front.

    It has the parameters of ``networks`` and no others, so that training it trains them. A single network
    is taken as it is.
    """
    if len(networks) == 1:
        return networks[0]
    together = copy.deepcopy(networks[0])
    kinds = {Linear: LinearStack, BatchNorm: BatchNormStack}
    for name, layer in list(together.named_modules()):
        if type(layer) in kinds:
            alike: Sequence[Any] = [network.get_submodule(name) for network in networks]
            together.set_submodule(name, kinds[type(layer)](alike))
    return together


class LinearStack(nn.Module):
    """Linear layers of the same shape side by side, each with rows of its own, as one product."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(layers)

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Outputs ``(layers, ..., fan_out)`` of ``x (layers, ..., fan_in)``; see ``Linear``."""
        weight = torch.stack([layer.weight for layer in self.layers])
        bias = torch.stack([layer.bias for layer in self.layers])
        if scale is not None and shift is not None:
            bias = bias + (weight * shift.view(len(weight), 1, -1)).sum(dim=-1)
            weight = weight * scale.view(len(weight), 1, -1)
        y: Tensor = _Product.apply(x.flatten(1, -2).contiguous(), weight, bias[:, None])
        return y.view(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """Product and bias; derivatives by the weights in the layout of the weights, which spares copies."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        if weight.shape[1] == 1:  # products with a single column add up in another order for one layer
            return (x * weight).sum(dim=-1, keepdim=True) + bias
        return torch.baddbmm(bias, x, weight.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()  # another layout would be added up in another order
        if weight.shape[1] == 1:
            return grad * weight, (grad * x).sum(dim=1, keepdim=True), grad.sum(dim=1, keepdim=True)
        by_x = grad @ weight if ctx.needs_input_grad[0] else None
        return by_x, grad.mT @ x, grad.sum(dim=1, keepdim=True)


class BatchNormStack(BatchNorm):
    """Batch norm of several networks, whose rows are ``(layers, batches, rows, features)``."""

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        nn.Module.__init__(self)
        self.layers: Any = nn.ModuleList(layers)
        self.momentum, self.eps = layers[0].momentum, layers[0].eps
        self.test_statistics = layers[0].test_statistics
        self.running_mean = torch.stack([layer.running_mean for layer in layers])
        self.running_var = torch.stack([layer.running_var for layer in layers])
        for layer, mean, var in zip(layers, self.running_mean, self.running_var, strict=True):
            layer.running_mean, layer.running_var = mean, var  # the same memory from now on

    def affine(self) -> tuple[Tensor, Tensor]:
        """As for one layer, ``(layers, 1, 1, features)``."""
        weight = torch.stack([layer.weight for layer in self.layers])
        bias = torch.stack([layer.bias for layer in self.layers])
        return weight[:, None, None], bias[:, None, None]
