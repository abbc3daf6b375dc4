"""Training of networks of the same shape, one for each seed, side by side as one network.

Each network gets the same results as when it is trained alone. PyTorch's exp2, sigmoid and fused Adam compute
the last few numbers of an array in another way than the rest, so a network's results would depend on the
networks beside it. Training therefore avoids exp2 and sigmoid, and the optimiser moves the parameters of each
network separately. The library may also add up one matrix product in another order than several at once;
``train_seeds`` compares the two and trains one seed after another where they differ.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from calib.layers import BatchNorm, Linear, derivatives, product
from calib.runtime import Runtime

log = logging.getLogger(__name__)

AnyModule = TypeVar("AnyModule", bound=nn.Module)

TRIAL_ITERATIONS = 3
"""Iterations after which networks and gradients of a joint training are compared with those of each alone."""


def train_seeds(
    train: Callable[[Sequence[Runtime], int | None], Sequence[AnyModule]], runtimes: Sequence[Runtime]
) -> list[AnyModule]:
    """Return a trained network for each seed.

    The seeds are trained together where a trial gives the same bytes as training each alone. Otherwise they
    are trained one after another.

    Args:
        train: makes fresh networks and trains them together for that many iterations (None: to the end).
        runtimes: one for each seed.
    """
    if len(runtimes) > 1:

        def trial(chosen: Sequence[Runtime]) -> list[list[Tensor]]:
            quiet = [replace(runtime, history=[], progress=False) for runtime in chosen]
            return [
                [
                    *network.state_dict().values(),
                    *(p.grad for p in network.parameters() if p.grad is not None),
                ]
                for network in train(quiet, TRIAL_ITERATIONS)
            ]

        alone = [trial([runtime])[0] for runtime in runtimes]
        for beside_others, by_itself in zip(trial(runtimes), alone, strict=True):
            if not all(map(torch.equal, beside_others, by_itself)):
                log.info(
                    "Seeds trained together would differ in the last digit here: they are trained in turn."
                )
                return [train([runtime], None)[0] for runtime in runtimes]
    return list(train(runtimes, None))


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
