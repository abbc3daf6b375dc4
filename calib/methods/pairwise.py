"""Pairwise calibration, the authors' earlier network for one labelled source and one target at a time.

Niu et al. 2022 (doi 10.1186/s12859-022-04758-z); original code https://github.com/n778509775/JDLBER at
commit a0173b0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.matrix import by_blocks
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.errors import check_number
from calib.layers import BatchNorm, default_linear, orthogonal_linear
from calib.losses import classification_loss, reconstruction_loss
from calib.methods.base import Method
from calib.mmd import PAPER_WIDTHS, mmd2_sum
from calib.nets import probabilities
from calib.runtime import Runtime
from calib.seeds import stacked, train_seeds
from calib.training import Losses, Pool, Rules, Schedule, Step, train

SLOPE = 0.2
"""Slope of every LeakyReLU for negative inputs."""


class PairNetworks(nn.Module):
    """The networks of one pair: a calibrator C, a reconstructor R for either batch and a discriminator D.

    C: BN, LeakyReLU, FC, LeakyReLU, FC; R: three FC; D: FC P-128-64-32-16-classes; LeakyReLU between all FC.
    Initial weights of C and R are orthogonal with zero bias, those of D are PyTorch's default.
    """

    def __init__(self, features: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.bn = BatchNorm(features)
        self.c = nn.ModuleList(orthogonal_linear(features, features, generator) for _ in range(2))
        self.r_source, self.r_target = (
            nn.ModuleList(orthogonal_linear(features, features, generator) for _ in range(3))
            for _ in range(2)
        )
        widths = [features, 128, 64, 32, 16, classes if classes > 2 else 1]
        self.d = nn.ModuleList(default_linear(a, b, generator) for a, b in pairwise(widths))

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes C(X) of ``x (batches, rows, features)``, in the same shape.

        In a stack of networks a dimension for the seeds comes first.
        """
        z = self.bn(x)
        for layer in self.c:
            z = layer(F.leaky_relu(z, SLOPE))
        return z

    def reconstruct(self, z: Tensor) -> Tensor:
        """Return R of the source's and of the target's codes ``(2, rows, features)``, in the same shape."""
        source, target = z.unbind(dim=-3)
        return torch.stack([chain_of(self.r_source, source), chain_of(self.r_target, target)], dim=-3)

    def logits(self, z: Tensor) -> Tensor:
        """Return D's logits ``(batches, rows, 1 or classes)`` of codes ``(batches, rows, features)``."""
        return chain_of(self.d, z)

    def probabilities(self, x: Tensor) -> Tensor:
        """Return class probabilities ``(batches, rows, classes)`` of ``x (batches, rows, features)``."""
        return probabilities(self.logits(self.codes(x)))


def chain_of(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """Return ``x`` after all layers, one after another, with LeakyReLU between them."""
    x = layers[0](x)
    for layer in layers[1:]:
        x = layer(F.leaky_relu(x, SLOPE))
    return x


class Pairwise(Method):
    """A method that trains a network for each pair of a source and a target, in one joint step.

    Args:
        epochs, batch_size, lr, learning_step, weight_decay: see ``training.Schedule``.
        alpha, beta, gamma: weights of reconstruction, MMD and classification.
        rules: how the original draws mini-batches and updates parameters.
    """

    trains_seeds_together = True

    def __init__(
        self,
        epochs: int,
        batch_size: int,
        lr: float,
        learning_step: int,
        weight_decay: float,
        alpha: float,
        beta: float,
        gamma: float,
        rules: Rules,
    ) -> None:
        self.schedule = Schedule(epochs, batch_size, lr, learning_step, weight_decay)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.rules = rules
        for key in ("alpha", "beta", "gamma"):
            check_number(key, getattr(self, key), least=0)

    @property
    def why_two_classes(self) -> str:
        """Return that each pair's network learns from its own source."""
        return "trains a network on each source alone"

    def step(self, networks: PairNetworks, pool: Pool) -> Step:
        """Return the only training step of a stack of networks.

        The networks reconstruct both batches, bring their codes together and classify the source.
        """

        def losses(rows: Tensor) -> Losses:
            x = pool.x(rows)
            z = networks.codes(x)
            l_r = reconstruction_loss(x, networks.reconstruct(z), "sum")
            l_d = classification_loss(networks.logits(z[:, :1]), pool.y(rows), "sum")
            mmd2 = mmd2_sum(z, PAPER_WIDTHS) / 2  # the sum counts the pair in both orders
            return {"L_R": (self.alpha, l_r), "MMD": (self.beta, mmd2), "L_D": (self.gamma, l_d)}

        return Step([networks], 1, losses)

    def fit(self, task: Task, runtime: Runtime) -> "FittedPairs":
        """Train a network for every pair of a source and a target."""
        (fitted,) = self.fit_seeds(task, [runtime])
        return fitted

    def fit_seeds(self, task: Task, runtimes: Sequence[Runtime]) -> list["FittedPairs"]:
        """Train a network for every pair and seed, all seeds of a pair at once."""
        pairs = {
            (source.name, target.name): train_seeds(
                partial(self._train, source, target, task.n_classes), runtimes
            )
            for target in task.targets
            for source in task.sources
        }
        return [
            FittedPairs({names: networks[seed].eval() for names, networks in pairs.items()}, runtime)
            for seed, runtime in enumerate(runtimes)
        ]

    def _train(
        self,
        source: LabelledSamples,
        target: Samples,
        n_classes: int,
        runtimes: Sequence[Runtime],
        limit: int | None,
    ) -> list[PairNetworks]:
        """Return one pair's trained networks for each seed, after at most ``limit`` iterations if given."""
        pair = f"pair {source.name} to {target.name}"
        initial = [runtime.generator(f"{pair}: initial weights") for runtime in runtimes]
        networks = [PairNetworks(source.x.shape[1], n_classes, generator) for generator in initial]
        for network, runtime in zip(networks, runtimes, strict=True):
            network.to(runtime.device, runtime.dtype)
        pool = Pool([source.x, target.x], [source.y], runtimes[0])
        step = self.step(stacked(networks), pool)
        train([step], pool.sizes, self.schedule, self.rules, runtimes, pair, limit)
        return networks


@dataclass(frozen=True)
class FittedPairs:
    """The trained networks of all pairs, by the names of source and target.

    With several sources a target's probabilities are the mean over its pairs. The paper averages metrics
    instead: for its numbers run each source alone (``dataset.n_sources=1``).
    """

    pairs: Mapping[tuple[str, str], PairNetworks]
    runtime: Runtime

    def _of(self, samples: Samples) -> list[PairNetworks]:
        """Return the networks whose target is this batch, or else those whose source it is."""
        as_target = [network for (_, target), network in self.pairs.items() if target == samples.name]
        return as_target or [n for (source, _), n in self.pairs.items() if source == samples.name]

    def transform(self, samples: Samples) -> FloatArray:
        """Return a batch's codes ``(samples, features)`` in its first pair, as pairs do not share a space."""
        return by_blocks(self._of(samples)[0].codes, samples.x, self.runtime)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)``, the mean over the batch's pairs."""
        by_pair = [by_blocks(n.probabilities, samples.x, self.runtime) for n in self._of(samples)]
        return np.mean(by_pair, axis=0)
