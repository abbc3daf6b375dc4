"""An ensemble of methods for any study, whose weights are learnt by leaving sources out.

Which member is best differs from study to study, and few sources say little about it. So each source is left
out in turn (or a group of them), every member answers it, and the weights are those with which the mean of
the members' probabilities fits the left-out classes best, drawn towards equal weights
(``evaluation.stacking``). Neither targets nor their labels take part in that.

Some members scale a batch by itself, as if it had the sources' class mix. Such a member counts less the
further the batch's estimated mix (``evaluation.class_mix``) is from the sources', and the smaller the batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from calib.data.matrix import Matrix, dense
from calib.data.replicates import one_answer
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.data.transform import prepared_batch
from calib.errors import CalibError, check_choice, check_number
from calib.evaluation.class_mix import MixModel
from calib.evaluation.stacking import LeftOut, Mixture, learnt
from calib.methods.base import Fitted, Method, Savable, State, check_wrapped, part_of
from calib.methods.correction import without_label
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime

Size = Literal["full", "small"]
SEEDS = 2**31
"""Number of seeds that scikit-learn accepts."""

MIXTURE, MIX = "mixture/", "told_mix/"
"""Prefixes of the arrays of the mixture and of ``MixModel``; a member's have its name and a slash."""


class Best(Method):
    """The weighted mean of several methods' probabilities, one answer for all replicates of a sample.

    Args:
        members: the methods, by any names. One that is null is left out, so that an override can remove it.
        own_scale: names of the members that scale a batch by itself.
        alone: names of the members whose plain mean is taken where no source can be left out.
        small: names of the members that ``size=small`` keeps, which train in seconds.
        size: ``full``: all members; ``small``: only those of ``small``.
        folds: most groups of sources that are left out; with fewer sources, each is left out alone.
        prior: number of left-out sources that equal weights count as.
        half: number of samples of a batch at which ``own_scale`` members count half.
        tolerance: distance of a batch's class mix from the sources', half the sum of the differences between
            shares, at which they count 1/e; of half of it little is seen, since the estimate is not so exact.

    Raises:
        CalibError: a setting is of the wrong kind or out of its range, or no member is left.
    """

    joins_replicates = True

    def __init__(
        self,
        members: Mapping[str, Method | None],
        own_scale: Sequence[str],
        alone: Sequence[str],
        small: Sequence[str],
        size: Size,
        folds: int,
        prior: float,
        half: float,
        tolerance: float,
    ) -> None:
        check_choice("method.size", size, get_args(Size))
        check_number("method.folds", folds, least=2, whole=True)
        check_number("method.prior", prior, least=0)
        check_number("method.half", half, least=0)
        check_number("method.tolerance", tolerance, least=1e-3)
        for key, names in (("own_scale", own_scale), ("alone", alone), ("small", small)):
            for name in names:
                check_choice(f"method.{key}", name, tuple(members))
        kept = members if size == "full" else {name: members[name] for name in small}
        self.members = {name: member for name, member in kept.items() if member is not None}
        if not self.members:
            raise CalibError("method.members must name at least one method whose answers to take.")
        for member in self.members.values():
            check_wrapped(member)
        self.own_scale, self.alone = (
            np.array([name in names for name in self.members]) for names in (own_scale, alone)
        )
        self.folds, self.prior, self.half, self.tolerance = folds, prior, half, tolerance

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method and of all members."""
        return [self.version, *(v for member in self.members.values() for v in member.versions)]

    @property
    def uses_seed(self) -> bool:
        """Return whether any member uses the seed."""
        return any(map(uses_seed, self.members.values()))

    def fit(self, task: Task, runtime: Runtime) -> "FittedBest":
        """Learn the mixture from the sources, then train every member on all of them."""
        mixture = self._learnt(task, runtime)
        known = [replace(one, x=_even(one, runtime)) for one in task.sources]
        mix = MixModel.of(known, task.n_classes)
        return FittedBest(self, self._fitted(task, runtime), mixture, mix, runtime)

    def _fitted(self, task: Task, runtime: Runtime) -> dict[str, Fitted]:
        """Return the members, trained on a task, each with random numbers of its own.

        Those that scale a batch by itself are given no target of one sample, and are not asked about it.
        """
        fitted, scaled = {}, replace(task, targets=[one for one in task.targets if len(one) > 1])
        for (name, member), by_itself in zip(self.members.items(), self.own_scale, strict=True):
            own = replace(runtime, seed=runtime.derived_seed(name) % SEEDS, history=[])
            fitted[name] = member.fit(scaled if by_itself else task, own)
            runtime.history += [{**row, "training": f"{row['training']}, {name}"} for row in own.history]
        return fitted

    def _learnt(self, task: Task, runtime: Runtime) -> Mixture:
        """Return the mixture that fits left-out sources best."""
        quiet = replace(runtime, history=[], progress=False)
        left_out = []
        for rest, out in _leaving_out(task, self.folds):
            fitted = self._fitted(rest, quiet)
            known = np.unique(np.concatenate([source.y for source in rest.sources]))
            for source in out:
                answers = np.array([_answer(one, without_label(source)) for one in fitted.values()])
                if (one := LeftOut.of(answers, source, known)) is not None:
                    left_out.append(one)
        if not left_out:
            return Mixture.even(self.alone if self.alone.any() else np.ones_like(self.alone))
        return learnt(left_out, self.prior)

    @property
    def why_no_new_batches(self) -> str:
        """Return "" if all members judge new batches."""
        return next((why for one in self.members.values() if (why := one.why_no_new_batches)), "")

    @property
    def new_batches(self) -> str:
        """Return what the first member does with them."""
        return next(iter(self.members.values())).new_batches

    @property
    def why_not_saved(self) -> str:
        """Return "" if all members can be saved."""
        return next((why for one in self.members.values() if (why := one.why_not_saved)), "")

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return the weights of the largest member, since they are trained one after another."""
        return max(one.most_weights(features, sources, batches) for one in self.members.values())

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return the trained members and their mixture.

        Raises:
            ValueError, LookupError: the arrays do not fit.
        """
        fitted = {
            name: member.restore(part_of(state, f"{name}/"), features, n_classes, runtime)
            for name, member in self.members.items()
        }
        mix = MixModel.restored(part_of(state, MIX), features, n_classes)
        return FittedBest(self, fitted, Mixture.restored(part_of(state, MIXTURE), len(fitted)), mix, runtime)


@dataclass(frozen=True)
class FittedBest:
    """The trained members of ``Best``, the weights of their answers, and what tells a batch's class mix."""

    method: Best
    members: Mapping[str, Fitted]
    mixture: Mixture
    mix: MixModel
    runtime: Runtime

    def state(self) -> State:
        """Return the arrays of all members, of the mixture and of the model of class mixes."""
        made = {MIXTURE + key: value for key, value in self.mixture.arrays().items()}
        made |= {MIX + key: value for key, value in vars(self.mix).items()}
        for name, member in self.members.items():
            assert isinstance(member, Savable)
            made |= {f"{name}/{key}": value for key, value in member.state().items()}
        return made

    def transform(self, samples: Samples) -> Matrix:
        """Return the calibrated data ``(samples, dimensions)`` of the first member."""
        return next(iter(self.members.values())).transform(samples)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)``, the same for all replicates of a sample."""
        trust = self.trust(samples)
        asked = trust > 0
        members = [one for one, kept in zip(self.members.values(), asked, strict=True) if kept]
        answers = np.array([_answer(member, samples) for member in members])
        return self.mixture.weighing(trust, asked).of(answers).astype(answers.dtype)

    def trust(self, samples: Samples) -> FloatArray:
        """Return how much each member counts for a batch, beside its weight ``(members,)``: 0 to 1.

        If all members scale a batch by itself, each counts fully.
        """
        own = self.method.own_scale
        if own.all() or not own.any():
            return np.ones(len(own))
        if len(samples) < 2:
            return np.where(own, 0.0, 1.0)  # one sample has no scale of its own
        shares = self.mix.estimate(replace(samples, x=_even(samples, self.runtime))).shares
        distance = np.abs(shares - self.mix.reference).sum() / 2
        by_mix = np.exp(-((distance / self.method.tolerance) ** 4))
        return np.where(own, by_mix * samples.distinct / (samples.distinct + self.method.half), 1.0)


def _even(batch: Samples, runtime: Runtime) -> FloatArray:
    """Return a batch's values on an even scale ``(samples, features)``."""
    return dense(prepared_batch(batch, "arcsinh", "none", runtime)).astype(np.float64)


def _answer(fitted: Fitted, samples: Samples) -> FloatArray:
    """Return a member's probabilities ``(samples, classes)``, with one answer for a sample's replicates."""
    return one_answer(fitted.predict_proba(samples), samples)


def _leaving_out(task: Task, folds: int) -> Iterator[tuple[Task, list[LabelledSamples]]]:
    """Yield a task with each source left out, or each group of them, and what is left out.

    One is passed over if the rest has fewer than two classes.
    """
    sources = sorted(task.sources, key=lambda source: source.name)
    groups = [sources[place::folds] for place in range(min(folds, len(sources)))]
    for out in groups if len(groups) > 1 else []:
        rest = [source for source in task.sources if source not in out]
        if len(np.unique(np.concatenate([source.y for source in rest]))) > 1:
            yield replace(task, sources=rest, targets=[without_label(one) for one in out]), out
