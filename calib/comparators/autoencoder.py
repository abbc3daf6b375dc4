"""The stacked autoencoder of DESC: layers pre-trained one by one, then fine-tuned together.

Li et al. 2020 (doi 10.1038/s41467-020-15851-3), Methods; stages, rates and stopping rule are those of
their code, https://github.com/eleozzr/desc, version 2.1.1.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.errors import DivergedError
from calib.layers import Dropout, glorot_linear
from calib.runtime import Runtime
from calib.training import EarlyStop

MOMENTUM = 0.9
"""Of every gradient descent."""
LAYER_RATES = (0.1, 0.01, 0.001)
"""Learning rates of a layer's pre-training, one after another."""
STAGE_EPOCHS = 50
"""Epochs at most of a stage of the fine-tuning; its learning rates are 1, 0.1, 0.01, and so on."""
PATIENCE = 10
"""Epochs without a lower loss after which a stage ends."""
MIN_DELTA = 1e-4
"""By how much a loss must fall to count as lower, as in Keras."""


class Autoencoder(nn.Module):
    """Encoder and mirrored decoder: ReLU inside, tanh on the code and on the output.

    The layers that are pre-trained alone are those of the whole, so nothing has to be copied.

    Args:
        widths: of the input, of the hidden layers and of the code.
        dropout: while a layer is trained alone.
    """

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(glorot_linear(a, b, generator) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(glorot_linear(b, a, generator) for a, b in pairwise(widths))
        self.dropout = Dropout(dropout)
        self.depth = len(self.encoder)

    def layer(self, layer: int) -> list[nn.Parameter]:
        """Parameters of one encoder layer and of the decoder layer that undoes it."""
        return [*self.encoder[layer].parameters(), *self.decoder[layer].parameters()]

    def encode_layer(self, layer: int, x: Tensor) -> Tensor:
        """What an encoder layer, counted from 0, makes of its input."""
        h = self.encoder[layer](x)
        return torch.tanh(h) if layer == self.depth - 1 else F.relu(h)

    def decode_layer(self, layer: int, h: Tensor) -> Tensor:
        """The input of an encoder layer from its output."""
        x = self.decoder[layer](h)
        return torch.tanh(x) if layer == 0 else F.relu(x)

    def encode(self, x: Tensor) -> Tensor:
        """Codes ``(rows, widths[-1])`` of ``x (rows, widths[0])``."""
        for layer in range(self.depth):
            x = self.encode_layer(layer, x)
        return x

    @torch.no_grad()
    def code(self, x: Tensor) -> Tensor:
        """The same without a gradient.

        Raises:
            DivergedError: a code is not finite.
        """
        z = self.encode(x)
        if not z.isfinite().all():
            raise DivergedError("DESC: a code is no longer a finite number; check the scale of the data.")
        return z

    def loss(self, x: Tensor) -> Tensor:
        """Mean squared error of the reconstruction of ``x (rows, widths[0])``."""
        h = self.encode(x)
        for layer in reversed(range(self.depth)):
            h = self.decode_layer(layer, h)
        return F.mse_loss(h, x)

    def denoising_loss(self, layer: int, noise: torch.Generator, x: Tensor) -> Tensor:
        """The same for one layer alone, with dropout on its input and on its output."""
        h = self.encode_layer(layer, self.dropout(x, noise))
        return F.mse_loss(self.decode_layer(layer, self.dropout(h, noise)), x)


def pretrain(
    network: Autoencoder,
    x: Tensor,
    epochs: int,
    batch_size: int,
    shuffle: torch.Generator,
    runtime: Runtime,
    name: str,
) -> None:
    """Reconstruct ``x (rows, features)``: each layer alone with dropout, then all layers without.

    Args:
        epochs: half of them at most go to each layer, in three stages; then come as many stages of
            ``STAGE_EPOCHS`` as they fill, rounded up.
        name: of the method, for the history.

    Raises:
        DivergedError: a loss is no longer finite.
    """

    def stage(
        parameters: list[nn.Parameter],
        loss: Callable[[Tensor], Tensor],
        given: Tensor,
        rate: float,
        most: int,
        what: str,
    ) -> None:
        what = f"{name}, {what}, rate {rate:g}"
        optimizer, stop = sgd(parameters, rate), EarlyStop(PATIENCE, MIN_DELTA)
        for epoch in (bar := runtime.epochs(most, what)):
            mean = one_epoch(loss, [given], batch_size, optimizer, shuffle)
            runtime.report(bar, epoch, {"reconstruction": mean}, what)
            if stop.after(mean):
                break

    noise = runtime.generator(f"{name}: dropout", on_device=True)
    most = math.ceil(epochs // 2 / len(LAYER_RATES))
    given = x
    for layer in range(network.depth):
        loss = partial(network.denoising_loss, layer, noise)
        for rate in LAYER_RATES:
            stage(network.layer(layer), loss, given, rate, most, f"layer {layer + 1}")
        with torch.no_grad():
            given = network.encode_layer(layer, given)
    for number in range(math.ceil(epochs / STAGE_EPOCHS)):
        stage(list(network.parameters()), network.loss, x, 10.0**-number, STAGE_EPOCHS, "all layers")


def sgd(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Gradient descent with the momentum of the original."""
    return torch.optim.SGD(parameters, lr, MOMENTUM, fused=True)


def one_epoch(
    loss: Callable[..., Tensor],
    data: Sequence[Tensor],
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    shuffle: torch.Generator,
) -> float:
    """One pass in mini-batches, the last one partial; the mean loss over the rows, as Keras reports it.

    Args:
        loss: of the mini-batch's rows of every tensor.
        data: tensors with the same number of rows.
    """
    rows = len(data[0])
    order = torch.randperm(rows, generator=shuffle).to(data[0].device)
    total = torch.zeros((), dtype=data[0].dtype, device=data[0].device)
    for chosen in order.split(batch_size):
        value = loss(*(tensor[chosen] for tensor in data))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        total += value.detach() * len(chosen)
    return float(total) / rows
