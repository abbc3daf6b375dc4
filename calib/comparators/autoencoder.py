"""The stacked autoencoder of DESC, whose layers are pre-trained one by one, then fine-tuned together.

Only ``calib.methods.desc`` uses it. Li et al. 2020 (doi 10.1038/s41467-020-15851-3), Methods; stages, rates
and stopping rule are those of their code, https://github.com/eleozzr/desc, version 2.1.1.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.sgd import sgd

from calib.errors import DivergedError
from calib.layers import Dropout, glorot_linear
from calib.runtime import Runtime
from calib.training import EarlyStop

MOMENTUM = 0.9
"""Momentum of every gradient descent."""
LAYER_RATES = (0.1, 0.01, 0.001)
"""Learning rates of a layer's pre-training, one for each of its stages."""
STAGE_EPOCHS = 50
"""Largest number of epochs of a fine-tuning stage; the stages' learning rates are 1, 0.1, 0.01, and so on."""
PATIENCE = 10
"""Number of epochs without a lower loss after which a stage ends."""
MIN_DELTA = 1e-4
"""Smallest decrease that makes a loss lower than before, as in Keras."""


class Autoencoder(nn.Module):
    """An encoder and its mirrored decoder, with ReLU inside and tanh on the code and on the output.

    Pre-training works on the layers of this network themselves, so no weights have to be copied afterwards.

    Args:
        widths: widths of the input, of the hidden layers and of the code.
        dropout: share of a layer's input and output that is zeroed while the layer is trained alone.
        generator: source of the initial weights.
    """

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.widths = list(widths)
        self.encoder = nn.ModuleList(glorot_linear(a, b, generator) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(glorot_linear(b, a, generator) for a, b in pairwise(widths))
        self.dropout = Dropout(dropout)
        self.depth = len(self.encoder)

    def layer(self, layer: int) -> list[nn.Parameter]:
        """Return the parameters of one encoder layer and of the decoder layer that mirrors it."""
        return [*self.encoder[layer].parameters(), *self.decoder[layer].parameters()]

    def encode_layer(self, layer: int, x: Tensor) -> Tensor:
        """Return the output of an encoder layer, counted from 0, for its input ``x``."""
        h = self.encoder[layer](x)
        return torch.tanh_(h) if layer == self.depth - 1 else F.relu_(h)

    def decode_layer(self, layer: int, h: Tensor) -> Tensor:
        """Return the reconstructed input of an encoder layer from its output ``h``."""
        x = self.decoder[layer](h)
        return torch.tanh_(x) if layer == 0 else F.relu_(x)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes ``(rows, widths[-1])`` of ``x (rows, widths[0])``."""
        for layer in range(self.depth):
            x = self.encode_layer(layer, x)
        return x

    @torch.no_grad()
    def code(self, x: Tensor) -> Tensor:
        """Return codes ``(rows, widths[-1])`` of ``x (rows, widths[0])`` without a gradient.

        Raises:
            DivergedError: a code is not finite.
        """
        z = self.encode(x)
        if not z.isfinite().all():
            raise DivergedError("DESC: a code is no longer a finite number; check the scale of the data.")
        return z

    def loss(self, x: Tensor) -> Tensor:
        """Return the mean squared error of the reconstruction of ``x (rows, widths[0])``."""
        h = self.encode(x)
        for layer in reversed(range(self.depth)):
            h = self.decode_layer(layer, h)
        return F.mse_loss(h, x)

    def denoising_loss(self, layer: int, noise: torch.Generator, x: Tensor) -> Tensor:
        """Return one layer's mean squared reconstruction error, with dropout on its input and output."""
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
    """Train the network in place to reconstruct ``x``: each layer alone with dropout, then all without.

    Args:
        network: the autoencoder.
        x: data ``(rows, features)``.
        epochs: at most half of them train each layer, in three stages; then as many stages of
            ``STAGE_EPOCHS`` as they fill, rounded up, train all layers.
        batch_size: rows of a mini-batch.
        shuffle: source of the order of the mini-batches.
        runtime: seed, device and history.
        name: name of the method, for history and random streams.

    Raises:
        DivergedError: a loss is no longer finite.
    """

    def stage(
        parameters: list[nn.Parameter],
        loss: Callable[[Tensor], Tensor],
        given: Tensor,
        rate: float,
        most: int,
        layers: str,
    ) -> None:
        """Train ``parameters`` for at most ``most`` epochs to minimise ``loss`` of the data ``given``."""
        training = f"{name}, {layers}, rate {rate:g}"
        optimizer, stop = Momentum(parameters, rate), EarlyStop(PATIENCE, MIN_DELTA)
        rows = given.contiguous()  # tables come column by column, and rows are gathered slowly from columns
        for epoch in (bar := runtime.epochs(most, training)):
            mean = one_epoch(loss, [rows], batch_size, optimizer, shuffle)
            runtime.report(bar, epoch, {"reconstruction": mean}, training)
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


class Momentum:
    """Gradient descent with ``MOMENTUM``, without the costs of PyTorch's optimiser objects (``calib.adam``).

    The numbers are those of ``torch.optim.SGD(..., fused=True)``.

    Args:
        parameters: what is trained; each gets a gradient in every step.
        lr: the learning rate.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float) -> None:
        self._parameters, self._lr = list(parameters), lr
        self._buffers: list[Tensor | None] = [None] * len(self._parameters)

    def clear(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        sgd(
            self._parameters,
            [parameter.grad for parameter in self._parameters if parameter.grad is not None],  # all have one
            self._buffers,
            fused=True,
            weight_decay=0,
            momentum=MOMENTUM,
            lr=self._lr,
            dampening=0,
            nesterov=False,
            maximize=False,
        )


def one_epoch(
    loss: Callable[..., Tensor],
    data: Sequence[Tensor],
    batch_size: int,
    optimizer: Momentum,
    shuffle: torch.Generator,
) -> float:
    """Train for one pass in mini-batches and return the mean loss over the rows, as Keras reports it.

    Args:
        loss: function of the mini-batch's rows of every tensor.
        data: tensors with the same number of rows.
        batch_size: rows of a mini-batch; the last one may have fewer.
        optimizer: moves the parameters after each mini-batch.
        shuffle: source of the order of the rows.
    """
    rows = len(data[0])
    order = torch.randperm(rows, generator=shuffle).to(data[0].device)
    total = torch.zeros((), dtype=data[0].dtype, device=data[0].device)
    for chosen in order.split(batch_size):
        value = loss(*(tensor.index_select(0, chosen) for tensor in data))
        optimizer.clear()
        value.backward()
        optimizer.step()
        total += value.detach() * len(chosen)
    return float(total) / rows
