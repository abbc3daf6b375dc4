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

from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.data.tensors import by_blocks
from calib.errors import check_number
from calib.layers import BatchNorm, chain, default_linear, orthogonal_linear
from calib.losses import classification_loss, reconstruction_loss
from calib.methods.base import Method
from calib.minibatches import Pool
from calib.mmd import mmd2_sum
from calib.nets import probabilities
from calib.rules import PAPER_WIDTHS
from calib.runtime import Runtime
from calib.seeds import BatchNormStack, LinearStack
from calib.together import Problem, train_together
from calib.training import Losses, Rules, Schedule, Step, Stream, train_stack

SLOPE = 0.2
"""Slope of every LeakyReLU for negative inputs."""

MOST_WEIGHTS = 2**23
"""Most weights of pairs that are trained together: 32 MB in float32, and four times as much with Adam."""


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
        """Return the codes C(X) of ``x (rows, features)``, in the same shape."""
        return chain(self.c, F.leaky_relu_(self.bn(x), SLOPE), SLOPE)

    def probabilities(self, x: Tensor) -> Tensor:
        """Return class probabilities ``(rows, classes)`` of ``x (rows, features)``."""
        return probabilities(chain(self.d, self.codes(x), SLOPE))


class Pairs(nn.Module):
    """The networks of one seed that were trained together."""

    def __init__(self, each: Sequence[PairNetworks]) -> None:
        super().__init__()
        self.each = each
        self.networks = nn.ModuleList(each)
        self.eval()


class PairStack(nn.Module):
    """The networks of several pairs side by side, for training; all R's of all pairs are one stack, too."""

    def __init__(self, pairs: Sequence[PairNetworks]) -> None:
        super().__init__()
        self.bn = BatchNormStack([pair.bn for pair in pairs])

        def stacks(*parts: nn.ModuleList) -> nn.ModuleList:
            return nn.ModuleList(LinearStack(same) for same in zip(*parts, strict=True))

        self.c = stacks(*(pair.c for pair in pairs))
        self.r = stacks(*(r for pair in pairs for r in (pair.r_source, pair.r_target)))
        self.d = stacks(*(pair.d for pair in pairs))

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes C(X) of ``x (pairs, 2, rows, features)``, in the same shape."""
        return chain(self.c, F.leaky_relu_(self.bn(x), SLOPE), SLOPE)

    def reconstruct(self, z: Tensor) -> Tensor:
        """Return R of the source's and of the target's codes ``(pairs, 2, rows, features)``, same shape."""
        return chain(self.r, z, SLOPE)

    def logits(self, z: Tensor) -> Tensor:
        """Return D's logits ``(pairs, batches, rows, 1 or classes)`` of codes."""
        return chain(self.d, z, SLOPE)


class Pairwise(Method):
    """A method that trains a network for each pair of a source and a target, in one joint step.

    Args:
        epochs, batch_size, lr, learning_step, weight_decay: see ``training.Schedule``.
        alpha, beta, gamma: weights of reconstruction, MMD and classification.
        rules: how the original draws mini-batches and updates parameters.
    """

    trains_together = True
    needs_targets = True

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

    def step(self, networks: PairStack, pool: Pool) -> Step:
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

        return Step([networks], 1, losses, noise=())

    def fit(self, task: Task, runtime: Runtime) -> "FittedPairs":
        """Train a network for every pair of a source and a target."""
        (fitted,) = self._fit_seeds(task, [runtime])
        return fitted

    def fit_together(self, tasks: Sequence[Task], runtimes: Sequence[Runtime]) -> list["FittedPairs"]:
        """Train a network for every pair and seed; the seeds of a task are trained at once."""
        places: dict[int, list[int]] = {}
        for place, task in enumerate(tasks):
            places.setdefault(id(task), []).append(place)
        fitted: dict[int, FittedPairs] = {}
        for same in places.values():
            trained = self._fit_seeds(tasks[same[0]], [runtimes[place] for place in same])
            fitted.update(zip(same, trained, strict=True))
        return [fitted[place] for place in range(len(tasks))]

    def _fit_seeds(self, task: Task, runtimes: Sequence[Runtime]) -> list["FittedPairs"]:
        """Train a network for every pair and seed; pairs of a source, and all seeds, are trained at once."""
        fitted: list[dict[tuple[str, str], PairNetworks]] = [{} for _ in runtimes]
        problems = [Problem(task, runtime) for runtime in runtimes]
        for source in task.sources:
            for targets in self._together(source, task.targets):
                trained = train_together(partial(self._train, source, targets, task.n_classes), problems)
                for pairs, networks in zip(fitted, trained, strict=True):
                    names = [(source.name, target.name) for target in targets]
                    pairs.update(zip(names, networks.each, strict=True))
        order = [(source.name, target.name) for target in task.targets for source in task.sources]
        return [
            FittedPairs({names: pairs[names] for names in order}, runtime)
            for pairs, runtime in zip(fitted, runtimes, strict=True)
        ]

    def _together(self, source: LabelledSamples, targets: Sequence[Samples]) -> list[list[Samples]]:
        """Return groups of targets whose pairs with a source have equally many mini-batches, of equal size.

        A group is cut where its weights would take too much memory at once.
        """
        most = max(1, MOST_WEIGHTS // (8 * source.x.shape[1] ** 2))
        groups: dict[object, list[list[Samples]]] = {}
        for target in targets:
            sizes = len(source), len(target)
            alike = self.schedule.minibatches(sizes), self.schedule.epochs_for(sizes)
            parts = groups.setdefault(alike, [[]])
            if len(parts[-1]) == most:
                parts.append([])
            parts[-1].append(target)
        return [part for parts in groups.values() for part in parts]

    def _train(
        self,
        source: LabelledSamples,
        targets: Sequence[Samples],
        n_classes: int,
        problems: Sequence[Problem],
        limit: int | None,
    ) -> list["Pairs"]:
        """Return each seed's trained networks, one a target, after at most ``limit`` iterations if given."""
        networks, streams, members = [], [], []
        for runtime in (problem.runtime for problem in problems):
            for position, target in enumerate(targets, start=1):
                pair = f"pair {source.name} to {target.name}"
                initial = runtime.generator(f"{pair}: initial weights")
                network = PairNetworks(source.x.shape[1], n_classes, initial)
                networks.append(network.to(runtime.device, runtime.dtype))
                streams.append(Stream(runtime, pair, [len(source), len(target)]))
                members.append([0, position])
        pool = Pool([source.x, *(target.x for target in targets)], [source.y], problems[0].runtime, members)
        train_stack([self.step(PairStack(networks), pool)], streams, self.schedule, self.rules, limit)
        each = len(targets)
        return [Pairs(networks[k : k + each]) for k in range(0, len(networks), each)]


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
