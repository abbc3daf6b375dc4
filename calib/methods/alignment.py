"""Networks trained to classify the sources while a second loss makes the batches' features alike.

DeepCORAL (``deep_coral.py``) and DANN (``dann.py``) share this training; they differ in the second loss.
"""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import count
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, Samples, Task
from calib.data.tensors import by_blocks
from calib.data.transform import BatchScale, Transform, prepared_batch
from calib.errors import check_choice, check_number, check_widths
from calib.layers import default_linear
from calib.methods.base import Method, State
from calib.methods.network import NEVER, ORDINARY, FeatureNetwork
from calib.minibatches import Pool
from calib.nets import arrays, load_arrays, probabilities
from calib.runtime import Runtime
from calib.training import Epochs, Losses, Schedule, Step, train


class AlignmentLoss(nn.Module):
    """A loss on features that needs no label; its parameters, if it has any, are trained with the network."""

    @abstractmethod
    def forward(self, features: Tensor, sources: int, progress: float) -> Tensor:
        """Return the loss, a single number.

        Args:
            features: features of one mini-batch of every batch, ``(batches, rows, features)``.
            sources: number of sources; they are the first batches.
            progress: share of the training that is done, from 0 to 1.
        """


class Aligned(Method):
    """A method that minimises cross-entropy on the sources plus an ``AlignmentLoss`` on all batches.

    Mini-batches of all batches pass through the network together, so batch norm takes its statistics over
    all their rows.

    Args:
        epochs: number of epochs; one has as many iterations as the longest batch has mini-batches.
        batch_size: rows of each batch in a mini-batch.
        lr, weight_decay: AdamW's learning rate, which is constant, and weight decay.
        hidden: widths of the hidden layers; the outputs of the last one are the features.
        dropout: share of each hidden layer's outputs that is zeroed in training.
        weight: weight of the alignment loss.
        transform, batch_scale: how each batch is prepared by itself; see ``calib.data.transform``.

    Raises:
        CalibError: a value is no number, too small, or an unknown word.
    """

    aligned_by: ClassVar[str]
    """The name of the alignment loss in the history."""

    def __init__(
        self,
        epochs: Epochs,
        batch_size: int,
        lr: float,
        weight_decay: float,
        hidden: Sequence[int],
        dropout: float,
        weight: float,
        transform: Transform,
        batch_scale: BatchScale,
    ) -> None:
        self.schedule = Schedule(epochs, batch_size, lr, NEVER, weight_decay)
        check_widths("hidden", hidden)
        check_number("dropout", dropout, least=0, below=1)
        check_number("weight", weight, least=0)
        check_choice("method.transform", transform, get_args(Transform))
        check_choice("method.batch_scale", batch_scale, get_args(BatchScale))
        self.hidden, self.dropout, self.weight = list(hidden), dropout, weight
        self.transform, self.batch_scale = transform, batch_scale

    @abstractmethod
    def alignment(self, features: int, batches: int, generator: torch.Generator) -> AlignmentLoss:
        """Return an untrained loss on ``features`` features of ``batches`` batches."""

    def fit(self, task: Task, runtime: Runtime) -> "FittedAligned":
        """Train on all batches; targets take part without labels."""
        fitted = self._untrained(task.sources[0].x.shape[1], task.n_classes, runtime)
        network, head = fitted.network, fitted.head
        initial = runtime.generator(f"{self.aligned_by}: initial weights")
        alignment = self.alignment(self.hidden[-1], len(task.batches), initial)
        alignment.to(runtime.device, runtime.dtype)
        pool = Pool([fitted.prepared(b) for b in task.batches], [b.y for b in task.sources], runtime)
        sources, iterations = len(task.sources), count()
        last = self.schedule.epochs_for(pool.sizes) * self.schedule.minibatches(pool.sizes)[1]
        noise = runtime.generator("dropout", on_device=True)

        def losses(rows: Tensor) -> Losses:
            x = pool.x(rows)  # (1, batches, rows, features)
            features = network(x.flatten(1, 2), noise)[0].unflatten(0, x.shape[1:3])
            classes = head(features[:sources]).flatten(0, 1)
            entropy = F.cross_entropy(classes, pool.y(rows).flatten())
            apart = alignment(features, sources, next(iterations) / last)
            return {"cross-entropy": (1.0, entropy[None]), self.aligned_by: (self.weight, apart[None])}

        step = Step([network, head, alignment], 1, losses)
        train([step], pool.sizes, self.schedule, ORDINARY, [runtime], f"training with the {self.aligned_by}")
        return fitted

    def _untrained(self, features: int, n_classes: int, runtime: Runtime) -> "FittedAligned":
        """Return an untrained network and its head, which ``fit`` and ``restore`` fill with weights."""
        initial = runtime.generator("initial weights")
        network = FeatureNetwork([features, *self.hidden], self.dropout, initial)
        head = default_linear(self.hidden[-1], n_classes, initial)
        for module in (network, head):
            module.to(runtime.device, runtime.dtype).eval()
        return FittedAligned(network, head, self, runtime)

    @property
    def why_no_new_batches(self) -> str:
        """Return "": the network takes any batch, prepared by its own statistics."""
        return ""

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedAligned":
        """Return the trained network; a trained network does not need the alignment loss."""
        fitted = self._untrained(features, n_classes, runtime)
        load_arrays(fitted.lasting, state)
        return fitted


class FittedAligned:
    """A trained network and its classification head in test mode."""

    def __init__(self, network: nn.Module, head: nn.Module, method: Aligned, runtime: Runtime) -> None:
        self.network, self.head = network, head
        self._method, self._runtime = method, runtime

    @property
    def lasting(self) -> dict[str, nn.Module]:
        """Return the networks that predictions need, by name."""
        return {"features": self.network, "head": self.head}

    def state(self) -> State:
        """Return the parameters and buffers of network and head."""
        return arrays(self.lasting)

    def prepared(self, samples: Samples) -> Matrix:
        """Return the data of a batch, transformed and scaled as the network takes them."""
        method = self._method
        return prepared_batch(samples, method.transform, method.batch_scale, self._runtime)

    def transform(self, samples: Samples) -> FloatArray:
        """Return the features ``(samples, last hidden width)`` of a batch."""
        return by_blocks(self.network, self.prepared(samples), self._runtime)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""

        def probabilities_of(x: Tensor) -> Tensor:
            return probabilities(self.head(self.network(x)))

        return by_blocks(probabilities_of, self.prepared(samples), self._runtime)
