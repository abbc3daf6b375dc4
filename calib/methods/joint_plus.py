"""The improved joint method: several joint models on scaled data, whose probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from calib.data.matrix import Matrix
from calib.data.replicates import one_answer
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.data.transform import prepared_batch
from calib.errors import check_flag, check_number
from calib.methods.base import Corrector, Method, Savable, State, part_of
from calib.methods.corrected import LEARNT, versions_of
from calib.methods.correction import Correction
from calib.methods.joint import FittedJoint, Joint
from calib.methods.lasting import SupervisedCorrector, is_lasting
from calib.runtime import Runtime

AnySamples = TypeVar("AnySamples", bound=Samples)


class JointPlus(Method):
    """An average of several joint models' probabilities, over the models and over replicates.

    Each model is the paper's (``Joint``, Eqs 1-4) on data that ``joint.protocol`` transforms and scales,
    batch by batch. docs/beyond.md shows how much each part contributes and how it was chosen.

    Args:
        joint: the model; its protocol's ``transform`` and ``batch_scale`` are applied here.
        members: number of models, which differ in their seed.
        average_replicates: give all measurements of a sample the geometric mean of their probabilities,
            normalised, where ``Samples.replicate`` names the measurements of a sample.
        rounds: how often the training is repeated with pseudo-labels (self-training). In each repetition
            the target samples whose most probable class reached ``confidence`` before are sources as well.
        confidence: smallest probability of a class that becomes a pseudo-label.
        corrector: corrects the batches first, in the place of the protocol's scaling of each by itself; None:
            nothing does.

    Raises:
        CalibError: a value is no number, too small or too large.
    """

    trains_together = True

    def __init__(
        self,
        joint: Joint,
        members: int,
        average_replicates: bool,
        rounds: int,
        confidence: float,
        corrector: Corrector | SupervisedCorrector | None = None,
    ) -> None:
        check_number("members", members, least=1, whole=True)
        check_flag("average_replicates", average_replicates)
        check_number("rounds", rounds, least=0, whole=True)
        check_number("confidence", confidence, least=0, most=1)
        self.joint = joint
        self.members = members
        self.average_replicates = average_replicates
        self.rounds, self.confidence = rounds, confidence
        self.corrector = corrector

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method, of the joint model and of the corrector."""
        own = [] if self.corrector is None else versions_of(self.corrector)
        return [self.version, *self.joint.versions, *own]

    @property
    def joins_replicates(self) -> bool:
        """Return whether the probabilities are averaged over replicates."""
        return self.average_replicates

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return the weights of all members, which are trained together."""
        return self.members * self.joint.most_weights(features, sources, batches)

    def fit(self, task: Task, runtime: Runtime) -> "FittedJointPlus":
        """Train all members; then, ``rounds`` times, train again with the targets' confident predictions."""
        (fitted,) = self.fit_together([task], [runtime])
        return fitted

    def fit_together(self, tasks: Sequence[Task], runtimes: Sequence[Runtime]) -> list["FittedJointPlus"]:
        """Train as ``fit`` does for every task and seed; members of all are trained together."""
        prepare = [
            _Preparation(self, self._correction(task, runtime), runtime)
            for task, runtime in zip(tasks, runtimes, strict=True)
        ]
        ready = self._ready(tasks, prepare)
        fitted = self._train(ready, prepare, "")
        for number in range(1, self.rounds + 1):
            again = [
                replace(task, sources=[*task.sources, *self._guessed(one, given)])
                for task, given, one in zip(ready, tasks, fitted, strict=True)
            ]
            fitted = self._train(again, prepare, f", round {number}")
        return fitted

    def _ready(self, tasks: Sequence[Task], prepare: Sequence["_Preparation"]) -> list[Task]:
        """Return the tasks with prepared batches; a batch of several tasks is prepared once if it can be."""
        known: dict[int, Matrix] = {}

        def ready(batch: AnySamples, own: "_Preparation") -> AnySamples:
            if self.corrector is not None:  # its corrections are those of one task and seed
                return own(batch)
            if id(batch.x) not in known:
                known[id(batch.x)] = own(batch).x
            return replace(batch, x=known[id(batch.x)])

        return [
            replace(
                task,
                sources=[ready(batch, own) for batch in task.sources],
                targets=[ready(batch, own) for batch in task.targets],
            )
            for task, own in zip(tasks, prepare, strict=True)
        ]

    def _guessed(self, fitted: "FittedJointPlus", task: Task) -> list[LabelledSamples]:
        """Return each target's confident samples, where they are enough, with their predicted classes."""
        guessed = (self._pseudo_labelled(fitted, batch, task.n_classes) for batch in task.targets)
        return [one for one in guessed if one is not None]

    def _correction(self, task: Task, runtime: Runtime) -> Correction | None:
        """Return the corrector fitted to a task, if there is one."""
        return None if self.corrector is None else Correction(self.corrector, task, runtime)

    def _train(
        self, tasks: Sequence[Task], prepare: Sequence["_Preparation"], when: str
    ) -> list["FittedJointPlus"]:
        """Train all members once; ``when`` ends the names of their seeds and of their trainings."""
        names = [f"member {number}{when}" for number in range(1, self.members + 1)]
        own = [
            replace(one.runtime, seed=one.runtime.derived_seed(name), history=[])
            for one in prepare
            for name in names
        ]
        members = self.joint.fit_together([task for task in tasks for _ in names], own)
        fitted = []
        for place, one in enumerate(prepare):
            mine = slice(place * len(names), (place + 1) * len(names))
            for name, trained in zip(names, own[mine], strict=True):
                one.runtime.history += [
                    {**row, "training": f"{row['training']}, {name}"} for row in trained.history
                ]
            fitted.append(FittedJointPlus(self, members[mine], one))
        return fitted

    def _pseudo_labelled(
        self, fitted: "FittedJointPlus", batch: Samples, n_classes: int
    ) -> LabelledSamples | None:
        """Return a target's confident samples with their predicted classes, or None if they are too few."""
        probability = fitted.predict_proba(batch)
        sure = probability.max(axis=1) >= self.confidence
        y = probability.argmax(axis=1)[sure]
        if len(y) < self.joint.schedule.batch_size or len(np.unique(y)) < 2:
            return None
        ready = fitted.prepare(batch)
        return LabelledSamples(f"{batch.name}, pseudo-labelled", ready.x[sure], y)

    @property
    def why_no_new_batches(self) -> str:
        """Return "" unless there is a corrector that cannot correct later batches."""
        return "" if self.corrector is None or is_lasting(self.corrector) else super().why_no_new_batches

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return the trained members, without reconstructors."""
        correction, width = None, features
        if self.corrector is not None:
            learnt = part_of(state, LEARNT)
            width = self.corrector.width(learnt, features, runtime)  # type: ignore[union-attr]
            correction = Correction.restored(self.corrector, learnt, runtime)
        members = []
        for number in range(1, self.members + 1):
            own = part_of(state, f"member_{number}.")
            members.append(self.joint.restore(own, width, n_classes, runtime))
        return FittedJointPlus(self, members, _Preparation(self, correction, runtime))


@dataclass(frozen=True)
class _Preparation:
    """What is done with every batch before the networks see it."""

    method: JointPlus
    correction: Correction | None
    runtime: Runtime

    def __call__(self, batch: AnySamples) -> AnySamples:
        """Return a batch, corrected if there is a corrector, transformed and scaled by its own statistics.

        Raises:
            DataError: the batch has no two different rows, and so no scale of its own.
        """
        protocol = self.method.joint.protocol
        given = batch if self.correction is None else replace(batch, x=self.correction.of(batch))
        x = prepared_batch(given, protocol.transform, protocol.batch_scale, self.runtime)
        return replace(batch, x=x)


class FittedJointPlus:
    """The trained members of ``JointPlus`` in test mode."""

    def __init__(self, method: JointPlus, members: Sequence[FittedJoint], prepare: _Preparation) -> None:
        self.members = members
        self.prepare = prepare
        self._method = method

    def state(self) -> State:
        """Return the parameters and buffers of every member's C and D, and what the corrector has learnt."""
        correction = self.prepare.correction
        learnt = {} if correction is None else correction.learnt
        return {LEARNT + key: value for key, value in learnt.items()} | {
            f"member_{number}.{name}": value
            for number, member in enumerate(self.members, start=1)
            for name, value in member.state().items()
        }

    def transform(self, samples: Samples) -> FloatArray:
        """Return the codes ``(samples, features)`` of the first member, as members do not share a space."""
        return self.members[0].transform(self.prepare(samples))

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)``, averaged over members and then replicates.

        The mean over members is arithmetic, the one over replicates geometric.
        """
        ready = self.prepare(samples)
        mean: FloatArray = np.mean([member.predict_proba(ready) for member in self.members], axis=0)
        return one_answer(mean, samples) if self._method.average_replicates else mean
