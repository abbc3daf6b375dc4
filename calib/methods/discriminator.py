"""The paper's discriminator D as a classifier of its own, for data corrected elsewhere or not at all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.data.tensors import by_blocks
from calib.data.transform import check_varies
from calib.losses import classification_loss
from calib.methods.base import State
from calib.minibatches import Pool
from calib.nets import Discriminator, arrays, load_arrays, probabilities
from calib.protocol import Protocol
from calib.runtime import Runtime
from calib.seeds import stacked
from calib.training import Epochs, Losses, Schedule, Step, train


class DiscriminatorClassifier:
    """D trained with Eq. 3 on the sources, each source normalised by its own batch statistics.

    Args:
        epochs, batch_size, lr, learning_step, weight_decay: see ``training.Schedule``.
        protocol: readings of the paper; see ``calib.protocol``.
    """

    version = 1
    restorable = True

    def __init__(
        self,
        epochs: Epochs,
        batch_size: int,
        lr: float,
        learning_step: int,
        weight_decay: float,
        protocol: Protocol,
    ) -> None:
        self.schedule = Schedule(epochs, batch_size, lr, learning_step, weight_decay)
        self.protocol = protocol

    def fit(
        self,
        sources: Sequence[LabelledSamples],
        n_classes: int,
        runtime: Runtime,
        training: str = "training D",
        network: Discriminator | None = None,
    ) -> "FittedDiscriminator":
        """Train a new network, or go on training ``network``.

        Args:
            sources: labelled batches, each normalised by its own statistics.
            n_classes: number of classes of the study.
            runtime: seed, device and history.
            training: name of the training in history and progress bar; it also names the random streams.
            network: a D to train further; None for a new one.
        """
        if network is None:
            network = self._network(sources[0].x.shape[1], n_classes, training, runtime)
        together = stacked([network])
        pool = Pool([b.x for b in sources], [b.y for b in sources], runtime)

        def losses(rows: Tensor) -> Losses:
            """Return L_D (Eq. 3) of one mini-batch of every source."""
            l_d = classification_loss(
                together(pool.x(rows)),
                pool.y(rows),
                self.protocol.class_loss_over_sources,
                self.protocol.class_loss_multiclass,
            )
            return {"L_D": (1.0, l_d)}

        step = Step([together], 1, losses, noise=())
        train([step], pool.sizes, self.schedule, self.protocol, [runtime], training)
        return FittedDiscriminator(network, runtime)

    def _network(self, features: int, n_classes: int, training: str, runtime: Runtime) -> Discriminator:
        """Return an untrained D; its initial weights come from the random stream of this training."""
        initial = runtime.generator(f"{training}: initial weights")
        network = Discriminator(features, n_classes, initial, self.protocol.residual)
        network.bn.test_statistics = self.protocol.discriminator_test_statistics
        return network.to(runtime.device, runtime.dtype)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedDiscriminator":
        """Return the trained D whose ``state()`` was ``state``."""
        fitted = FittedDiscriminator(self._network(features, n_classes, "restored D", runtime), runtime)
        load_arrays({"discriminator": fitted.network}, state)
        return fitted


class AdaBN(DiscriminatorClassifier):
    """D whose batch norm takes the statistics of the tested batch (Li et al. 2016, arXiv:1603.04779).

    D has one batch norm, at its input. Every source is normalised by its own statistics in training, so the
    test treats a target as the training treats the sources.
    """

    def __init__(self, protocol: Protocol, **settings: Any) -> None:
        super().__init__(protocol=replace(protocol, discriminator_test_statistics="own"), **settings)


class FittedDiscriminator:
    """A trained D in test mode."""

    def __init__(self, network: Discriminator, runtime: Runtime) -> None:
        self.network = network.eval()
        self._runtime = runtime

    def state(self) -> State:
        """Return the parameters and buffers of D."""
        return arrays({"discriminator": self.network})

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch.

        Raises:
            DataError: batch norm takes the batch's own statistics, and its rows are all the same.
        """
        own = self.network.bn.test_statistics == "own"
        if own:
            check_varies(samples.x, f"Batch '{samples.name}'")
        return by_blocks(lambda x: probabilities(self.network(x)), samples.x, self._runtime, whole=own)
