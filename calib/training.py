"""The paper's training in steps (Eq. 4), with mini-batches drawn from all batches in lockstep."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import inf

import torch
from torch import Tensor, nn

from calib.adam import Adam
from calib.data.tensors import to_device
from calib.errors import CalibError, check_number
from calib.minibatches import lockstep
from calib.replayed import Replayed
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
    values ``(seeds,)``. ``noise`` has the random streams that they draw from, if they depend on nothing else
    that changes from one iteration to the next; otherwise it is None, and no CUDA graph is made.
    """

    modules: Sequence[nn.Module]
    repeats: int
    losses: Callable[[Tensor], Losses]
    noise: Sequence[torch.Generator] | None = None


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
    iterate = _Iteration(steps, schedule, rules)
    device = first.runtime.device
    carry_out: Callable[[Tensor, float], None] = iterate
    noise = [step.noise for step in steps if step.noise is not None]
    if first.runtime.cuda_graphs and len(noise) == len(steps):
        parameters = [one for module in modules for one in module.parameters()]
        carry_out = Replayed(iterate, list(chain(*noise)), parameters)

    def draw() -> Tensor:
        """Return the mini-batches of an epoch: rows ``(iterations, draws, networks, batches, rows)``."""
        drawn = [
            torch.stack(
                list(islice(lockstep(one.sizes, rows, generator, rules.discard_first_shuffle), count))
            )
            for one, generator in zip(streams, sampling, strict=True)
            for count in [iterations * iterate.draws]
        ]
        return to_device(torch.stack(drawn, dim=1).unflatten(0, (iterations, iterate.draws)), device)

    minibatches = draw()
    for epoch in (bar := first.runtime.epochs(epochs, first.training)):
        iterate.new_epoch()
        for iteration, chosen in enumerate(minibatches):
            carry_out(chosen, schedule.lr_at(epoch, (epoch - 1) * iterations + iteration, rules.lr_decay))
        if epoch < epochs:
            minibatches = draw()  # while a GPU is still busy with this epoch
        means = iterate.means(iterations)
        for number, one in enumerate(streams):
            one.runtime.report(
                bar, epoch, {name: values[number] for name, values in means.items()}, one.training
            )
    for module in modules:
        module.eval()


class _Iteration:
    """One iteration of a training: each step ``repeats`` times, in turn. It adds up the losses of an epoch.

    Attributes:
        draws: number of mini-batches that an iteration takes.
    """

    def __init__(self, steps: Sequence[Step], schedule: Schedule, rules: Rules) -> None:
        self._steps, self._rules = steps, rules
        self._optimizers = _optimizers(steps, schedule, rules)
        self._keep_gradients = rules.idle_gradient == "zero" and len(steps) > 1  # one step leaves none idle
        self._totals: dict[str, Tensor] = {}
        self.draws = sum(step.repeats for step in steps) if rules.redraw_each_repetition else 1

    def __call__(self, minibatches: Tensor, lr: float | Tensor) -> None:
        """Train on mini-batches ``(draws, networks, batches, rows)``, at this learning rate."""
        waiting = iter(minibatches)
        shared = None if self._rules.redraw_each_repetition else next(waiting)
        for step, optimizer in zip(self._steps, self._optimizers, strict=True):
            for _ in range(step.repeats):
                losses = step.losses(next(waiting) if shared is None else shared)
                _minimise(losses, optimizer, lr, self._keep_gradients)
            for name, (_, value) in losses.items():
                if name in self._totals:
                    self._totals[name] += value.detach()
                else:
                    self._totals[name] = value.detach().clone()

    def new_epoch(self) -> None:
        """Begin the sums anew, and the optimisers where the rules say so; all memory stays where it is."""
        for total in self._totals.values():
            total.zero_()
        if self._rules.rebuild_optimizer_each_epoch:
            for optimizer in self._optimizers:
                optimizer.begin_anew()

    def means(self, iterations: int) -> dict[str, list[float]]:
        """Return each loss's mean over the iterations of the epoch, one for each network."""
        sums = torch.stack(list(self._totals.values()))  # a GPU is waited for once
        return dict(zip(self._totals, (sums / iterations).tolist(), strict=True))


def _minimise(losses: Losses, optimizer: Adam, lr: float | Tensor, keep_gradients: bool) -> None:
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
