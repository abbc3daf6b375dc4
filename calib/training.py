"""The paper's training in steps (Eq. 4), with mini-batches drawn from all batches in lockstep."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calib.adam import Adam
from calib.data.matrix import Matrix
from calib.data.tensors import Rows
from calib.errors import CalibError, check_number
from calib.rules import Rules as Rules  # conf/method/pairwise.yaml has it by this module's name
from calib.runtime import Runtime

log = logging.getLogger(__name__)

Losses = Mapping[str, tuple[float, Tensor]]
"""Name of a loss -> (its weight, its value for each seed ``(seeds,)``); a step minimises the weighted sum."""


Epochs = int | Mapping[str, int]
"""A number of epochs, or a rule; see ``Schedule``."""


class EarlyStop:
    """Keras' early stopping on the loss of an epoch, which keeps the last weights, not the best.

    Args:
        patience: number of epochs in a row without improvement after which training stops.
        min_delta: an epoch improves if its loss is below the lowest so far by more than this.
    """

    def __init__(self, patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.lowest, self.waited = inf, 0

    def after(self, loss: float) -> bool:
        """Return whether to stop after an epoch with this loss."""
        if loss + self.min_delta < self.lowest:
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@dataclass(frozen=True)
class Schedule:
    """The length and the speed of a training.

    Attributes:
        epochs: number of epochs, or the rule of a study without published values, as in ``{"least": 100,
            "iterations": 1000}``: so many epochs as give that many iterations, and at least so many. An epoch
            has as many iterations as the longest batch has full mini-batches; rows left over wait for the
            next shuffle.
        batch_size: rows of each batch in a mini-batch; the size of the longest batch where that is smaller.
        lr: Adam's (or AdamW's) learning rate at the start.
        learning_step: iterations (paper) or epochs (released) over which the learning rate falls by a factor
            of 0.9; see ``Rules.lr_decay``.
        weight_decay: the paper's L2 penalty, or AdamW's decay; see ``Rules.weight_decay``.

    Raises:
        CalibError: a value is not a number, or is too small.
    """

    epochs: Epochs
    batch_size: int
    lr: float
    learning_step: int
    weight_decay: float

    def __post_init__(self) -> None:
        if isinstance(self.epochs, Mapping):
            if set(self.epochs) != {"least", "iterations"}:
                raise CalibError(
                    f"epochs={dict(self.epochs)} is no rule; write a number, as 100, or a rule, as in "
                    "{least: 100, iterations: 1000}."
                )
            for key, value in self.epochs.items():
                check_number(f"epochs.{key}", value, least=1, whole=True)
        else:
            check_number("epochs", self.epochs, least=1, whole=True)
        for key, least in (("batch_size", 2), ("learning_step", 1)):
            check_number(key, getattr(self, key), least, whole=True)
        for key in ("lr", "weight_decay"):
            check_number(key, getattr(self, key), least=0)

    def minibatches(self, sizes: Sequence[int]) -> tuple[int, int]:
        """Return the rows of each batch in a mini-batch and the mini-batches in an epoch, for these sizes."""
        rows = min(self.batch_size, max(sizes))
        return rows, max(sizes) // rows

    def epochs_for(self, sizes: Sequence[int]) -> int:
        """Return the number of epochs of batches of these sizes."""
        if not isinstance(self.epochs, Mapping):
            return self.epochs
        return max(self.epochs["least"], -(-self.epochs["iterations"] // self.minibatches(sizes)[1]))

    def lr_at(self, epoch: int, iteration: int, decay: str) -> float:
        """Return the learning rate in ``epoch`` (from 1) and ``iteration`` (from 0, over all epochs)."""
        exponent = (
            epoch / self.learning_step if decay == "continuous_epochs" else iteration // self.learning_step
        )
        return self.lr * 0.9**exponent


@dataclass(frozen=True)
class Step:
    """One step of the training: the modules that it updates, its number of repeats, and its losses.

    ``losses`` takes the rows of a mini-batch of every seed, ``(seeds, batches, batch_size)``, and returns
    values ``(seeds,)``.
    """

    modules: Sequence[nn.Module]
    repeats: int
    losses: Callable[[Tensor], Losses]


class Pool:
    """Data and labels of several batches on the run's device, for mini-batches.

    Args:
        x: data of each batch ``(rows, features)``, source batches first.
        y: class indices of each source batch ``(rows,)``.
        runtime: gives the device and the number type.
        members: the positions of the batches that each network of a stack takes; None: all batches, for each.
    """

    def __init__(
        self,
        x: Sequence[Matrix],
        y: Sequence[NDArray[np.integer]],
        runtime: Runtime,
        members: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.sizes = [rows.shape[0] for rows in x]
        self._x = Rows(x, runtime)
        self._y = torch.as_tensor(np.concatenate(y)).to(runtime.device)
        starts = np.cumsum([0, *self.sizes[:-1]])
        chosen = starts if members is None else starts[np.asarray(members)]
        self._starts = torch.as_tensor(chosen, device=runtime.device)[..., None]
        self._sources = len(y)

    def x(self, rows: Tensor) -> Tensor:
        """Return data ``(seeds, batches, batch_size, features)`` of ``rows (seeds, batches, batch_size)``."""
        flat = (rows + self._starts).flatten()
        return self._x.take(flat).unflatten(0, rows.shape)

    def y(self, rows: Tensor) -> Tensor:
        """Return the labels ``(seeds, sources, batch_size)`` of the sources' part of ``rows``."""
        return self._y[rows[:, : self._sources] + self._starts[..., : self._sources, :]]


@dataclass(frozen=True)
class Stream:
    """The mini-batches and the history of one network of a stack.

    Attributes:
        runtime: seed, device and history.
        training: name of the network's training in the random streams, the progress bar and the history.
        sizes: number of rows of each batch that takes part.
    """

    runtime: Runtime
    training: str
    sizes: Sequence[int]


def train(
    steps: Sequence[Step],
    sizes: Sequence[int],
    schedule: Schedule,
    rules: Rules,
    runtimes: Sequence[Runtime],
    training: str,
    limit: int | None = None,
) -> None:
    """Train networks of several seeds on the same batches; see ``train_stack``.

    Args:
        steps, schedule, rules, limit: as of ``train_stack``.
        sizes: number of rows of each batch that takes part.
        runtimes: one for each of the seeds that are trained together.
        training: name of this training in the progress bar and the history.

    Raises:
        DivergedError: a loss is no longer finite.
    """
    streams = [Stream(runtime, training, sizes) for runtime in runtimes]
    train_stack(steps, streams, schedule, rules, limit)


def train_stack(
    steps: Sequence[Step],
    streams: Sequence[Stream],
    schedule: Schedule,
    rules: Rules,
    limit: int | None = None,
) -> None:
    """Train networks in place: every iteration carries out each step ``repeats`` times, in turn (Eq. 4).

    Args:
        steps: the paper's steps A and B, or one step for a classifier alone; their networks are stacked.
        streams: one for each network of the stack; all have as many mini-batches of as many rows.
        schedule: number of epochs, size of mini-batches and learning rate.
        rules: options of the protocol.
        limit: number of iterations after which to stop; None: all epochs.

    Raises:
        DivergedError: a loss is no longer finite.
    """
    first = streams[0]
    modules = list(dict.fromkeys(module for step in steps for module in step.modules))
    sampling = [one.runtime.generator(f"{one.training}: mini-batches") for one in streams]
    epochs, (rows, iterations) = schedule.epochs_for(first.sizes), schedule.minibatches(first.sizes)
    if limit is not None:
        epochs, iterations = 1, min(limit, iterations)
    elif isinstance(schedule.epochs, Mapping):
        log.info("%s: %d epochs, which are %d iterations", first.training, epochs, epochs * iterations)
    if (smallest := min(min(one.sizes) for one in streams)) < rows:
        log.warning("The smallest batch has %d rows: they repeat in its mini-batches.", smallest)
    for module in modules:
        module.train()
    optimizers = _optimizers(steps, schedule, rules)
    keep_gradients = rules.idle_gradient == "zero" and len(steps) > 1  # a single step leaves no network idle
    draws = iterations * (sum(step.repeats for step in steps) if rules.redraw_each_repetition else 1)
    for epoch in (bar := first.runtime.epochs(epochs, first.training)):
        if rules.rebuild_optimizer_each_epoch:
            optimizers = _optimizers(steps, schedule, rules)
        drawn = [
            torch.stack(
                list(islice(lockstep(one.sizes, rows, generator, rules.discard_first_shuffle), draws))
            )
            for one, generator in zip(streams, sampling, strict=True)
        ]
        minibatches = iter(torch.stack(drawn, dim=1).to(first.runtime.device))
        totals: dict[str, Tensor] = {}
        for iteration in range(iterations):
            lr = schedule.lr_at(epoch, (epoch - 1) * iterations + iteration, rules.lr_decay)
            shared = None if rules.redraw_each_repetition else next(minibatches)
            for step, optimizer in zip(steps, optimizers, strict=True):
                for _ in range(step.repeats):
                    losses = step.losses(next(minibatches) if shared is None else shared)
                    _minimise(losses, optimizer, lr, keep_gradients)
                for name, (_, value) in losses.items():
                    totals[name] = totals.get(name, 0) + value.detach()
        means = {name: (total / iterations).tolist() for name, total in totals.items()}
        for number, one in enumerate(streams):
            one.runtime.report(
                bar, epoch, {name: values[number] for name, values in means.items()}, one.training
            )
    for module in modules:
        module.eval()


def _minimise(losses: Losses, optimizer: Adam, lr: float, keep_gradients: bool) -> None:
    """Carry out one optimiser step on the weighted sum of the losses."""
    optimizer.clear(keep_gradients)
    total = torch.stack([weight * value for weight, value in losses.values()]).sum()  # over losses and seeds
    total.backward()
    optimizer.step(lr)


def _optimizers(steps: Sequence[Step], schedule: Schedule, rules: Rules) -> list[Adam]:
    """Return an optimiser for each step: an Adam of its own, or one Adam shared by all steps."""

    def adam(modules: Sequence[nn.Module]) -> Adam:
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return Adam(parameters, schedule.weight_decay, rules.weight_decay == "decoupled")

    if rules.optimizer == "per_step":
        return [adam(step.modules) for step in steps]
    modules = dict.fromkeys(module for step in steps for module in step.modules)
    return [adam(list(modules))] * len(steps)


def lockstep(
    sizes: Sequence[int], batch_size: int, generator: torch.Generator, discard_first: bool
) -> Iterator[Tensor]:
    """Yield mini-batches of all batches without end: row indices ``(len(sizes), batch_size)``.

    Each batch is shuffled, cut into full mini-batches and shuffled again when they are used up. Rows
    left over wait for another shuffle. With ``discard_first`` the first mini-batch comes from a shuffle
    of its own, as in the released code, which makes new iterators right after it.
    """

    def stream(size: int) -> Iterator[Tensor]:
        passes = (part for _ in iter(int, 1) for part in _one_pass(size, batch_size, generator))
        first = _one_pass(size, batch_size, generator)[:1] if discard_first else []
        return chain(first, passes)

    return (torch.stack(parts) for parts in zip(*map(stream, sizes), strict=True))


def _one_pass(size: int, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Return one shuffle of ``size`` rows, cut into full mini-batches.

    A batch smaller than a mini-batch is shuffled several times, until one is full.
    """
    shuffles = [torch.randperm(size, generator=generator) for _ in range(-(-batch_size // size))]
    rows = torch.cat(shuffles)
    return rows[: max(len(rows) // batch_size, 1) * batch_size].view(-1, batch_size).unbind()
