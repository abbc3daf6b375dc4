"""A plain network, trained as networks usually are: on all sources mixed, without a thought of batches."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.matrix import Rows, by_blocks
from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.errors import check_number, check_widths
from calib.layers import BatchNorm, Dropout, Noise, default_linear
from calib.losses import classification_loss
from calib.methods.base import State
from calib.nets import arrays, load_arrays
from calib.runtime import Runtime
from calib.training import Losses, Rules, Schedule, Step, train

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


class PlainNetwork(FeatureNetwork):
    """``FeatureNetwork``, then one output a class; initial weights are PyTorch's default."""

    def __init__(
        self, features: int, classes: int, widths: Sequence[int], dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__([features, *widths], dropout, generator)
        self.out = default_linear(widths[-1], classes, generator)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Logits ``(..., rows, classes)`` of ``x (..., rows, features)``."""
        logits: Tensor = self.out(super().forward(x, noise))
        return logits


class NetworkClassifier:
    """The mean of several plain networks' probabilities, which differ in weights, mini-batches and dropout.

    Trained with cross-entropy and AdamW at a constant rate; sources are mixed in every mini-batch.

    Args:
        widths: of the hidden layers.
        dropout: share of a hidden layer's outputs that is zeroed in training.
        epochs: passes through all sources.
        batch_size: rows of a mini-batch, from all sources together.
        lr, weight_decay: AdamW's.
        members: number of networks.

    Raises:
        CalibError: a value is no number or outside its range.
    """

    version = 1
    restorable = True

    def __init__(
        self,
        widths: Sequence[int],
        dropout: float,
        epochs: int,
        batch_size: int,
        lr: float,
        weight_decay: float,
        members: int,
    ) -> None:
        check_widths("widths", widths)
        check_number("members", members, least=1, whole=True)
        check_number("dropout", dropout, least=0, below=1)
        self.widths = widths
        self.dropout = dropout
        self.schedule = Schedule(epochs, batch_size, lr, NEVER, weight_decay)
        self.members = members

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "FittedNetworks":
        """Train the networks one after another, each on all sources mixed."""
        x = Rows([source.x for source in sources], runtime)
        y = torch.as_tensor(np.concatenate([source.y for source in sources])).to(runtime.device)
        networks = self._networks(sources[0].x.shape[1], n_classes, runtime)
        for name, network in networks.items():
            step = _step(network, x, y, runtime.generator(f"{name}: dropout", on_device=True))
            train([step], [len(y)], self.schedule, ORDINARY, [runtime], name)
        return FittedNetworks(networks, runtime)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedNetworks":
        """The trained networks that gave ``state``."""
        networks = self._networks(features, n_classes, runtime)
        load_arrays(networks, state)
        return FittedNetworks(networks, runtime)

    def _networks(self, features: int, n_classes: int, runtime: Runtime) -> dict[str, PlainNetwork]:
        """Untrained networks by name, which also names their random streams."""
        made = {}
        for name in (f"network_{number}" for number in range(1, self.members + 1)):
            initial = runtime.generator(f"{name}: initial weights")
            network = PlainNetwork(features, n_classes, self.widths, self.dropout, initial)
            made[name] = network.to(runtime.device, runtime.dtype)
        return made


def _step(network: PlainNetwork, x: Rows, y: Tensor, noise: torch.Generator) -> Step:
    def losses(rows: Tensor) -> Losses:
        logits = network(x.take(rows.flatten()).unflatten(0, rows.shape), noise)
        return {"cross_entropy": (1.0, classification_loss(logits, y[rows], multiclass="mean"))}

    return Step([network], 1, losses)


class FittedNetworks:
    """Trained networks in test mode."""

    def __init__(self, networks: Mapping[str, PlainNetwork], runtime: Runtime) -> None:
        self._networks = {name: network.eval() for name, network in networks.items()}
        self._runtime = runtime

    def state(self) -> State:
        """Parameters and buffers of all networks."""
        return arrays(self._networks)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch, the mean over the networks."""

        def mean(x: Tensor) -> Tensor:
            each = [torch.softmax(network(x), dim=-1) for network in self._networks.values()]
            return torch.stack(each).mean(dim=0)

        return by_blocks(mean, samples.x, self._runtime)
