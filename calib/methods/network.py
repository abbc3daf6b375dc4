"""Plain neural networks without calibration, and a classifier that trains them on all sources mixed.

``FeatureNetwork`` is the part that computes features; ``alignment.py`` (DANN, DeepCORAL) builds on it too.
``PlainNetwork`` adds an output layer and the scale of the sources, and ``NetworkClassifier`` trains several
of these as a classifier behind a corrector or a mapper. Its training ignores which batch a sample comes from.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.data.tensors import Rows, by_blocks
from calib.errors import check_number, check_widths
from calib.layers import BatchNorm, Dropout, Noise, default_linear
from calib.losses import classification_loss
from calib.methods.base import State
from calib.methods.source_scale import SourceScale
from calib.nets import arrays, load_arrays
from calib.runtime import Runtime
from calib.training import Epochs, Losses, Rules, Schedule, Step, train

ORDINARY = Rules(
    redraw_each_repetition=False,  # the training has one step, which is not repeated
    optimizer="shared",
    idle_gradient="none",
    rebuild_optimizer_each_epoch=False,
    lr_decay="staircase_iterations",
    weight_decay="decoupled",
    discard_first_shuffle=False,
)
"""Rules of an ordinary training: one AdamW and one shuffle an epoch, whatever the protocol."""

NEVER = 10**12
"""Iterations until the learning rate falls: so many that it stays constant."""


class FeatureNetwork(nn.Module):
    """A network of hidden layers, each with a linear map, batch norm, ReLU and dropout.

    Args:
        widths: widths of the input and of the hidden layers.
        dropout: share of a hidden layer's outputs that is zeroed in training.
        generator: source of the initial weights, which are PyTorch's default.
    """

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.ModuleList(default_linear(a, b, generator) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(BatchNorm(width) for width in widths[1:])
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Return features ``(..., rows, widths[-1])`` of ``x (..., rows, widths[0])``.

        Batch norm takes its statistics over the rows.
        """
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = self.dropout(F.relu(norm(linear(x))), noise)
        return x


class PlainNetwork(FeatureNetwork):
    """A ``FeatureNetwork`` on the scale of the sources, followed by a linear layer with an output a class.

    Without ``rescale`` it takes its input as it is.
    """

    mean: Tensor
    factor: Tensor

    def __init__(
        self, features: int, classes: int, widths: Sequence[int], dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__([features, *widths], dropout, generator)
        self.out = default_linear(widths[-1], classes, generator)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("factor", torch.ones(features))

    def rescale(self, scale: SourceScale) -> None:
        """Take the scale of the sources for the input."""
        for own, value in ((self.mean, scale.mean), (self.factor, scale.factor)):
            own.copy_(torch.as_tensor(value))

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Return logits ``(..., rows, classes)`` of ``x (..., rows, features)``."""
        logits: Tensor = self.out(super().forward((x - self.mean) * self.factor, noise))
        return logits


class NetworkClassifier:
    """A classifier that averages the probabilities of several plain networks.

    Each feature gets mean 0 and standard deviation 1 over all sources first (``SourceScale``). The networks
    differ in initial weights, mini-batches and dropout. Each is trained with cross-entropy and AdamW at a
    constant rate; every mini-batch mixes the sources.

    Args:
        widths: widths of the hidden layers.
        dropout: share of a hidden layer's outputs that is zeroed in training.
        epochs: passes through all sources.
        batch_size: rows of a mini-batch, from all sources together.
        lr, weight_decay: AdamW's learning rate and weight decay.
        members: number of networks.

    Raises:
        CalibError: a value is no number or outside its range.
    """

    version = 2
    restorable = True

    def __init__(
        self,
        widths: Sequence[int],
        dropout: float,
        epochs: Epochs,
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
        networks = dict(self._networks(sources[0].x.shape[1], n_classes, runtime))
        scale = SourceScale.of(sources)
        for name, network in networks.items():
            network.rescale(scale)
            step = _step(network, x, y, runtime.generator(f"{name}: dropout", on_device=True))
            train([step], [len(y)], self.schedule, ORDINARY, [runtime], name)
        return FittedNetworks(networks, runtime)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedNetworks":
        """Return the trained networks whose ``state()`` was ``state``."""
        networks = {}
        for name, network in self._networks(features, n_classes, runtime):
            load_arrays({name: network}, state)  # before the next one is made, which may not be in the state
            networks[name] = network
        return FittedNetworks(networks, runtime)

    def _networks(
        self, features: int, n_classes: int, runtime: Runtime
    ) -> Iterator[tuple[str, PlainNetwork]]:
        """Yield untrained networks with their names, which are also part of their random streams' names."""
        for name in (f"network_{number}" for number in range(1, self.members + 1)):
            initial = runtime.generator(f"{name}: initial weights")
            network = PlainNetwork(features, n_classes, self.widths, self.dropout, initial)
            yield name, network.to(runtime.device, runtime.dtype)


def _step(network: PlainNetwork, x: Rows, y: Tensor, noise: torch.Generator) -> Step:
    """Return the training step of one network: cross-entropy on rows ``x`` with classes ``y``."""

    def losses(rows: Tensor) -> Losses:
        logits = network(x.take(rows.flatten()).unflatten(0, rows.shape), noise)
        return {"cross_entropy": (1.0, classification_loss(logits, y[rows], multiclass="mean"))}

    return Step([network], 1, losses, [noise])


class FittedNetworks:
    """Trained plain networks in test mode, whose probabilities are averaged."""

    def __init__(self, networks: Mapping[str, PlainNetwork], runtime: Runtime) -> None:
        self._networks = {name: network.eval() for name, network in networks.items()}
        self._runtime = runtime

    def state(self) -> State:
        """Return the parameters and buffers of all networks."""
        return arrays(self._networks)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch, the mean over the networks."""

        def mean(x: Tensor) -> Tensor:
            each = [torch.softmax(network(x), dim=-1) for network in self._networks.values()]
            return torch.stack(each).mean(dim=0)

        return by_blocks(mean, samples.x, self._runtime)
