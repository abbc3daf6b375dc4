"""Lockstep mini-batches over batches, and the paper's training in steps (Eq. 4)."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import inf
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calib.data.matrix import Matrix, Rows
from calib.errors import check_choice, check_flag, check_number
from calib.runtime import Runtime

log = logging.getLogger(__name__)

Losses = Mapping[str, tuple[float, Tensor]]
"""Name of a loss -> (its weight, its value for each seed); a step minimises the weighted sum."""


class EarlyStop:
    """Keras' rule on the loss of an epoch; the last weights are kept, not the best.

    Args:
        patience: stop at the so-manieth epoch in a row whose loss is not lower than the lowest so far by
            more than ``min_delta``.
    """

    def __init__(self, patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.lowest, self.waited = inf, 0

    def after(self, loss: float) -> bool:
        """Whether to stop after an epoch with this loss."""
        if loss + self.min_delta < self.lowest:
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: an epoch is as many iterations as the longest batch has mini-batches; rows that
            fill none wait for the next shuffle.
        batch_size: rows of each batch in a mini-batch; all its rows where no batch has as many.
        lr: Adam's (or AdamW's) learning rate at the start.
        learning_step: the learning rate falls by a factor 0.9 over so many iterations (paper) or
            epochs (released); see ``Rules.lr_decay``.
        weight_decay: the paper's L2, or AdamW's; see ``Rules.weight_decay``.

    Raises:
        CalibError: a value is no number or too small.
    """

    epochs: int
    batch_size: int
    lr: float
    learning_step: int
    weight_decay: float

    def __post_init__(self) -> None:
        for key, least in (("epochs", 1), ("batch_size", 2), ("learning_step", 1)):
            check_number(key, getattr(self, key), least, whole=True)
        for key in ("lr", "weight_decay"):
            check_number(key, getattr(self, key), least=0)

    def minibatches(self, sizes: Sequence[int]) -> tuple[int, int]:
        """Rows of each batch in a mini-batch, and mini-batches in an epoch, for batches of these sizes."""
        rows = min(self.batch_size, max(sizes))
        return rows, max(sizes) // rows

    def lr_at(self, epoch: int, iteration: int, decay: str) -> float:
        """Learning rate in ``epoch`` (from 1) and ``iteration`` (from 0, over all epochs)."""
        exponent = (
            epoch / self.learning_step if decay == "continuous_epochs" else iteration // self.learning_step
        )
        return self.lr * 0.9**exponent


@dataclass(frozen=True)
class Rules:
    """How mini-batches are drawn and parameters moved; ``conf/protocol/paper.yaml`` says what each means.

    Raises:
        CalibError: an option has a value outside its choices.
    """

    redraw_each_repetition: bool
    optimizer: Literal["per_step", "shared"]
    idle_gradient: Literal["none", "zero"]
    rebuild_optimizer_each_epoch: bool
    lr_decay: Literal["staircase_iterations", "continuous_epochs"]
    weight_decay: Literal["coupled", "decoupled"]
    discard_first_shuffle: bool

    def __post_init__(self) -> None:
        for option, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal:
                check_choice(option, getattr(self, option), get_args(kind))
            elif kind is bool:
                check_flag(option, getattr(self, option))


@dataclass(frozen=True)
class Step:
    """One step of the training: the modules it moves, how often it repeats, and its losses.

    ``losses`` is called with the rows of a mini-batch of every seed, ``(seeds, batches, batch_size)``, and
    gives values ``(seeds,)``.
    """

    modules: Sequence[nn.Module]
    repeats: int
    losses: Callable[[Tensor], Losses]


class Pool:
    """The rows of several batches, numbered on; sources, whose labels are known, come first."""

    def __init__(
        self,
        x: Sequence[Matrix],
        y: Sequence[NDArray[np.integer]],
        runtime: Runtime,
    ) -> None:
        self.sizes = [rows.shape[0] for rows in x]
        self._x = Rows(x, runtime)
        self._y = torch.as_tensor(np.concatenate(y)).to(runtime.device)
        starts = np.cumsum([0, *self.sizes[:-1]])
        self._starts = torch.as_tensor(starts, device=runtime.device)[:, None]
        self._sources = len(y)

    def x(self, rows: Tensor) -> Tensor:
        """Data ``(seeds, batches, batch_size, features)`` of ``rows (seeds, batches, batch_size)``."""
        flat = (rows + self._starts).flatten()
        return self._x.take(flat).unflatten(0, rows.shape)

    def y(self, rows: Tensor) -> Tensor:
        """Labels ``(seeds, sources, batch_size)`` of the sources' part of ``rows``."""
        return self._y[rows[:, : self._sources] + self._starts[: self._sources]]


def train(
    steps: Sequence[Step],
    sizes: Sequence[int],
    schedule: Schedule,
    rules: Rules,
    runtimes: Sequence[Runtime],
    what: str,
    limit: int | None = None,
) -> None:
    """Train in place: in every iteration each step in turn, each ``repeats`` times (Eq. 4).

    Args:
        steps: the paper's steps A and B, or one step for a classifier alone; of stacked networks.
        sizes: number of rows of each batch that takes part.
        runtimes: one for each of the seeds that are trained together.
        what: name of this training in the progress bar and the history.
        limit: stop after so many iterations.

    Raises:
        DivergedError: a loss is no longer finite.
    """
    modules = list(dict.fromkeys(module for step in steps for module in step.modules))
    sampling = [runtime.generator(f"{what}: mini-batches") for runtime in runtimes]
    epochs, (rows, iterations) = schedule.epochs, schedule.minibatches(sizes)
    if limit is not None:
        epochs, iterations = 1, min(limit, iterations)
    if min(sizes) < rows:
        log.warning("The smallest batch has %d rows: they repeat in its mini-batches.", min(sizes))
    for module in modules:
        module.train()
    optimizers = _optimizers(steps, schedule, rules)
    draws = iterations * (sum(step.repeats for step in steps) if rules.redraw_each_repetition else 1)
    for epoch in (bar := runtimes[0].epochs(epochs, what)):
        if rules.rebuild_optimizer_each_epoch:
            optimizers = _optimizers(steps, schedule, rules)
        streams = [lockstep(sizes, rows, generator, rules.discard_first_shuffle) for generator in sampling]
        drawn = torch.stack([torch.stack(list(islice(stream, draws)), 0) for stream in streams], dim=1)
        minibatches = iter(drawn.to(runtimes[0].device))
        totals: dict[str, Tensor] = {}
        for iteration in range(iterations):
            lr = schedule.lr_at(epoch, (epoch - 1) * iterations + iteration, rules.lr_decay)
            shared = None if rules.redraw_each_repetition else next(minibatches)
            for step, optimizer in zip(steps, optimizers, strict=True):
                for _ in range(step.repeats):
                    losses = step.losses(next(minibatches) if shared is None else shared)
                    _minimise(losses, optimizer, lr, rules)
                for name, (_, value) in losses.items():
                    totals[name] = totals.get(name, 0) + value.detach()
        means = {name: (total / iterations).tolist() for name, total in totals.items()}
        for seed, runtime in enumerate(runtimes):
            runtime.report(bar, epoch, {name: values[seed] for name, values in means.items()}, what)
    for module in modules:
        module.eval()


def _minimise(losses: Losses, optimizer: torch.optim.Optimizer, lr: float, rules: Rules) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=rules.idle_gradient == "none")
    total = torch.stack([weight * value for weight, value in losses.values()]).sum()  # over seeds, too
    total.backward()
    optimizer.step()


def _optimizers(steps: Sequence[Step], schedule: Schedule, rules: Rules) -> list[torch.optim.Optimizer]:
    """One Adam a step, or one Adam over all that the steps share; always one entry a step."""

    def adam(modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if rules.weight_decay == "decoupled" else torch.optim.Adam
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return kind(parameters, lr=schedule.lr, weight_decay=schedule.weight_decay, fused=True)

    if rules.optimizer == "per_step":
        return [adam(step.modules) for step in steps]
    modules = dict.fromkeys(module for step in steps for module in step.modules)
    return [adam(list(modules))] * len(steps)


def lockstep(
    sizes: Sequence[int], batch_size: int, generator: torch.Generator, discard_first: bool
) -> Iterator[Tensor]:
    """Endless mini-batches of all batches in step: row indices ``(len(sizes), batch_size)``.

    Each batch is shuffled, cut into full mini-batches and shuffled again when they are used up; rows
    left over wait for another shuffle. With ``discard_first`` the first mini-batch comes from a shuffle
    of its own, as in the released code, whose iterators are made anew right after it.
    """

    def stream(size: int) -> Iterator[Tensor]:
        passes = (part for _ in iter(int, 1) for part in _one_pass(size, batch_size, generator))
        first = _one_pass(size, batch_size, generator)[:1] if discard_first else []
        return chain(first, passes)

    return (torch.stack(parts) for parts in zip(*map(stream, sizes), strict=True))


def _one_pass(size: int, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """A shuffle of ``size`` rows in full mini-batches; too small a batch is shuffled until one is full."""
    shuffles = [torch.randperm(size, generator=generator) for _ in range(-(-batch_size // size))]
    rows = torch.cat(shuffles)
    return rows[: max(len(rows) // batch_size, 1) * batch_size].view(-1, batch_size).unbind()
