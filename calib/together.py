"""Which trainings are made as one: those of equal shape, where each keeps the results that it has alone.

PyTorch's exp2, sigmoid and fused Adam compute the last few numbers of an array in another way than the rest,
so a network's results would depend on the networks beside it. Training therefore avoids exp2 and sigmoid, and
the optimiser moves the parameters of each network separately. The library may also add up one matrix product
in another order than several at once; ``train_together`` compares the two and trains one after another where
they differ.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from calib.data.study import Task
from calib.runtime import Runtime
from calib.training import Schedule

log = logging.getLogger(__name__)

AnyModule = TypeVar("AnyModule", bound=nn.Module)

TRIAL_ITERATIONS = 3
"""Iterations after which networks and gradients of a joint training are compared with those of each alone."""

CLOSE = 1e-3
"""Largest relative difference of a loss in the trial at which digits count as the last ones."""

MOST_WEIGHTS = 2**28
"""Most weights of a stack: 1 GB in float32, and four times as much with gradients and Adam's moments."""


@dataclass(frozen=True)
class Problem:
    """A task, and the runtime that has the seed, the device and the history of its training."""

    task: Task
    runtime: Runtime

    @property
    def sizes(self) -> list[int]:
        """Return the number of rows of each batch, sources first."""
        return [batch.x.shape[0] for batch in self.task.batches]

    def quiet(self) -> "Problem":
        """Return this problem with a history of its own and no progress bar."""
        return replace(self, runtime=replace(self.runtime, history=[], progress=False))


@dataclass(frozen=True)
class Shape:
    """What the trainings of a stack have in common; the sizes of the batches may differ.

    Attributes:
        rows: rows of each batch in a mini-batch.
        minibatches: mini-batches in an epoch.
    """

    sources: int
    targets: int
    features: int
    classes: int
    rows: int
    minibatches: int
    epochs: int

    @classmethod
    def of(cls, problem: Problem, schedule: Schedule) -> "Shape":
        """Return the shape that a problem has on a schedule."""
        task, sizes = problem.task, problem.sizes
        counts = len(task.sources), len(task.targets), task.sources[0].x.shape[1], task.n_classes
        return cls(*counts, *schedule.minibatches(sizes), schedule.epochs_for(sizes))

    def __str__(self) -> str:
        words = "sources", "targets", "features", "classes", "rows in a mini-batch", "mini-batches", "epochs"
        return ", ".join(f"{value} {word}" for value, word in zip(astuple(self), words, strict=True))


def in_stacks(problems: Sequence[Problem], schedule: Schedule, weights: int) -> list[list[int]]:
    """Return the positions of the problems that are trained together, stack after stack.

    Problems of another shape, and those for which there is no memory, go into stacks of their own.

    Args:
        problems: what is to be trained, all by one method.
        schedule: the method's.
        weights: number of weights of one problem.
    """
    by_shape: dict[Shape, list[int]] = {}
    for place, problem in enumerate(problems):
        by_shape.setdefault(Shape.of(problem, schedule), []).append(place)
    if len(by_shape) > 1:
        parts = "; ".join(f"{len(places)} with {shape}" for shape, places in by_shape.items())
        log.info("Trainings of different shapes are made one after another: %s", parts)
    most = max(1, MOST_WEIGHTS // max(weights, 1))
    return [places[k : k + most] for places in by_shape.values() for k in range(0, len(places), most)]


def train_together(
    train: Callable[[Sequence[Problem], int | None], Sequence[AnyModule]], problems: Sequence[Problem]
) -> list[AnyModule]:
    """Return a trained network for each problem; all problems have the same shape.

    They are trained together where a trial gives the same bytes as training each alone. Otherwise they are
    trained one after another, unless their runtimes say that the last digits may differ
    (``Runtime.last_digits_may_differ``) and the losses of the trial differ in these only.

    Args:
        train: makes fresh networks and trains them together for that many iterations (None: to the end).
        problems: what is trained.
    """
    if len(problems) == 1:
        return list(train(problems, None))

    def trial(chosen: Sequence[Problem]) -> list[_Trained]:
        quiet = [problem.quiet() for problem in chosen]
        networks = train(quiet, TRIAL_ITERATIONS)
        return [_Trained.of(*pair) for pair in zip(networks, quiet, strict=True)]

    alone = [trial([problem])[0] for problem in problems]
    pairs = list(zip(trial(problems), alone, strict=True))
    if all(all(map(torch.equal, one.tensors, other.tensors)) for one, other in pairs):
        return list(train(problems, None))
    loosely = all(problem.runtime.last_digits_may_differ for problem in problems)
    if loosely and all(np.allclose(one.losses, other.losses, rtol=CLOSE) for one, other in pairs):
        log.info("Trained together, these runs get other last digits than alone; their records say so.")
        for problem in problems:
            problem.runtime.unlike_alone.append("trained together")
        return list(train(problems, None))
    log.info("Trained together, these runs would differ in the last digits: they are trained in turn.")
    return [train([problem], None)[0] for problem in problems]


@dataclass(frozen=True)
class _Trained:
    """What a trial leaves: weights, buffers and gradients of a network, and its losses."""

    tensors: Sequence[Tensor]
    losses: Sequence[float]

    @classmethod
    def of(cls, network: nn.Module, problem: Problem) -> "_Trained":
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        losses = [v for row in problem.runtime.history for v in row.values() if isinstance(v, float)]
        return cls([*network.state_dict().values(), *gradients], losses)
