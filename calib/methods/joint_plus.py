"""The paper's model corrected and improved: C, D and R in two steps, on scale-free data, several times."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from calib.data.replicates import over_replicates
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.data.transform import prepared
from calib.errors import CalibError, check_flag, check_number
from calib.methods.base import Method, Savable, State
from calib.methods.joint import FittedJoint, Joint
from calib.runtime import Runtime

AnySamples = TypeVar("AnySamples", bound=Samples)


class JointPlus(Method):
    """Several joint models whose probabilities are averaged, over models and over replicates.

    Each is the paper's model (``Joint``, Eqs 1-4) on data that ``joint.protocol`` transforms and scales,
    batch by batch. docs/beyond.md tells what each part is worth and how it was chosen.

    Args:
        joint: the model; its protocol's ``transform`` and ``batch_scale`` are applied here.
        members: number of models, which differ in their seed.
        average_replicates: give all measurements of a sample the geometric mean of their probabilities,
            normalised, where it is known which those are (``Samples.replicate``).
        rounds: how often the training is repeated with pseudo-labels (self-training): the targets' samples
            whose most probable class reached ``confidence`` before are sources as well.
        confidence: probability from which a pseudo-label is taken.

    Raises:
        CalibError: a value is no number, too small or too large.
    """

    def __init__(
        self, joint: Joint, members: int, average_replicates: bool, rounds: int, confidence: float
    ) -> None:
        check_number("members", members, least=1, whole=True)
        check_flag("average_replicates", average_replicates)
        check_number("rounds", rounds, least=0, whole=True)
        check_number("confidence", confidence, least=0, most=1)
        self.joint = joint
        self.members = members
        self.average_replicates = average_replicates
        self.rounds, self.confidence = rounds, confidence

    @property
    def versions(self) -> list[int]:
        """Versions of the method and of the joint model."""
        return [self.version, *self.joint.versions]

    def fit(self, task: Task, runtime: Runtime) -> "FittedJointPlus":
        """Train all members; with ``rounds``, again on the targets' confident predictions."""
        ready = replace(
            task,
            sources=[self.prepared(batch, runtime) for batch in task.sources],
            targets=[self.prepared(batch, runtime) for batch in task.targets],
        )
        fitted = self._train(ready, runtime, "")
        for number in range(1, self.rounds + 1):
            guessed = [self._pseudo_labelled(fitted, batch, task.n_classes) for batch in task.targets]
            sources = [*ready.sources, *(one for one in guessed if one is not None)]
            fitted = self._train(replace(ready, sources=sources), runtime, f", round {number}")
        return fitted

    def prepared(self, batch: AnySamples, runtime: Runtime) -> AnySamples:
        """A batch, transformed and scaled by itself.

        Raises:
            CalibError: it has one sample, and so no scale of its own.
        """
        protocol = self.joint.protocol
        if len(batch) < 2 and protocol.batch_scale != "none":
            raise CalibError(
                f"Batch '{batch.name}' has one sample, so it cannot be scaled by itself; leave it out, or "
                "set method.joint.protocol.batch_scale=none."
            )
        return replace(
            batch, x=prepared(batch.x, protocol.transform, protocol.batch_scale, runtime.numpy_dtype)
        )

    def _train(self, task: Task, runtime: Runtime, when: str) -> "FittedJointPlus":
        names = [f"member {number}{when}" for number in range(1, self.members + 1)]
        own = [replace(runtime, seed=runtime.derived_seed(name), history=[]) for name in names]
        fitted = self.joint.fit_seeds(task, own)
        for name, one in zip(names, own, strict=True):
            runtime.history += [{**row, "training": f"{row['training']}, {name}"} for row in one.history]
        return FittedJointPlus(self, fitted, runtime)

    def _pseudo_labelled(
        self, fitted: "FittedJointPlus", batch: Samples, n_classes: int
    ) -> LabelledSamples | None:
        """The confident samples of a target, labelled with their predicted class; None if too few."""
        probability = fitted.predict_proba(batch)
        sure = probability.max(axis=1) >= self.confidence
        y = probability.argmax(axis=1)[sure]
        if len(y) < self.joint.schedule.batch_size or len(np.unique(y)) < 2:
            return None
        ready = self.prepared(batch, fitted.runtime)
        return LabelledSamples(f"{batch.name}, pseudo-labelled", ready.x[sure], y)

    @property
    def why_no_new_batches(self) -> str:
        """Nothing: C and D take any batch, once it is scaled by itself."""
        return ""

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """The trained members, without reconstructors."""
        members = []
        for number in range(1, self.members + 1):
            start = f"member_{number}."
            own = {name.removeprefix(start): v for name, v in state.items() if name.startswith(start)}
            members.append(self.joint.restore(own, features, n_classes, runtime))
        return FittedJointPlus(self, members, runtime)


class FittedJointPlus:
    """Trained members in test mode."""

    def __init__(self, method: JointPlus, members: Sequence[FittedJoint], runtime: Runtime) -> None:
        self.members = members
        self.runtime = runtime
        self._method = method

    def state(self) -> State:
        """Parameters and buffers of every member's C and D."""
        return {
            f"member_{number}.{name}": value
            for number, member in enumerate(self.members, start=1)
            for name, value in member.state().items()
        }

    def transform(self, samples: Samples) -> FloatArray:
        """Codes ``(samples, features)`` of the first member: members do not share a space."""
        return self.members[0].transform(self._method.prepared(samples, self.runtime))

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)``: the mean over members, geometric over replicates."""
        ready = self._method.prepared(samples, self.runtime)
        mean: FloatArray = np.mean([member.predict_proba(ready) for member in self.members], axis=0)
        if self._method.average_replicates and samples.replicate is not None:
            return over_replicates(mean, samples.replicate)
        return mean
