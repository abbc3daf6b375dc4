"""Adam over a list of parameters that stays the same, without the costs of PyTorch's optimiser objects."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam with moments of PyTorch's default rates (0.9 and 0.999) and PyTorch's fused arithmetic.

    The numbers are those of ``torch.optim.Adam(..., fused=True)``, and of ``AdamW`` if ``decoupled``. That
    class sorts its parameters anew in every step, which takes as long as the arithmetic of a small network.

    Args:
        parameters: what is trained.
        weight_decay: factor of the L2 penalty, or of AdamW's decay.
        decoupled: whether the decay is AdamW's.
    """

    def __init__(self, parameters: Sequence[Tensor], weight_decay: float, decoupled: bool) -> None:
        self._parameters = list(parameters)
        self._states = [
            (p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device))
            for p in self._parameters
        ]
        self._weight_decay, self._decoupled = weight_decay, decoupled

    def clear(self, keep: bool) -> None:
        """Forget all gradients, or make them zero if ``keep``: then the next step moves every parameter."""
        for parameter in self._parameters:
            if keep and parameter.grad is not None:
                parameter.grad.zero_()
            else:
                parameter.grad = None

    def begin_anew(self) -> None:
        """Forget all moments, as a new optimiser would; the memory stays where it is."""
        for _, *state in self._states:
            for tensor in state:
                tensor.zero_()

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Move the parameters that have a gradient, at this learning rate."""
        moved = [state for state in self._states if state[0].grad is not None]
        parameters, means, squares, steps = (list(column) for column in zip(*moved, strict=True))
        adam(
            parameters,
            [parameter.grad for parameter in parameters],
            means,
            squares,
            [],
            steps,
            fused=True,
            decoupled_weight_decay=self._decoupled,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )
