"""Correct, then classify: a label-free corrector and a classifier trained on the corrected sources."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, LabelledSamples, LabelledTask, Samples, Task
from calib.errors import CalibError
from calib.methods.base import Corrector, Method, Savable, State, in_order
from calib.runtime import Runtime

UNSAVABLE = "has a classifier that could be kept only as a pickle, which may run any code when it is read"


class FittedClassifier(Protocol):
    """A trained classifier."""

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch."""
        ...

    def state(self) -> State:
        """What ``Classifier.restore`` needs."""
        ...


class Classifier(Protocol):
    """Learns classes from labelled batches.

    ``version`` is raised when a change gives other numbers; ``restorable`` is False where what it has learnt
    cannot be kept as arrays.
    """

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def restorable(self) -> bool: ...  # noqa: D102

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources."""
        ...

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> FittedClassifier:
        """The trained classifier that gave ``state``."""
        ...


@runtime_checkable
class SupervisedCorrector(Protocol):
    """Removes differences between batches with the help of the sources' labels; targets have none here.

    Its result depends on which batches are sources, so it is made for every split and never stored.
    """

    version: ClassVar[int]
    uses_source_labels: ClassVar[bool]

    def correct(
        self,
        sources: Sequence[LabelledSamples],
        targets: Sequence[Samples],
        runtime: Runtime,
    ) -> Mapping[str, Matrix]:
        """Corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


def versions_of(part: Any) -> list[int]:
    """The version of a corrector or classifier and of the parts that it is made of."""
    versions = [part.version]
    for value in vars(part).values():
        for inner in value.values() if isinstance(value, dict) else [value]:
            versions += versions_of(inner) if hasattr(inner, "version") else []
    return versions


def correct(
    corrector: Corrector | SupervisedCorrector, task: Task | LabelledTask, runtime: Runtime
) -> Mapping[str, Matrix]:
    """Corrected data of every batch, from the store where it has them; no corrector sees a target's label."""
    batches = [Samples(batch.name, batch.x, reference=batch.reference) for batch in task.batches]
    if isinstance(corrector, SupervisedCorrector):
        targets = batches[len(task.sources) :]
        return corrector.correct(task.sources, targets, runtime)
    shared = replace(runtime, stage="")  # a stored correction is the same whichever training asks for it
    if runtime.corrections is None:
        return corrector.correct(in_order(batches), shared)
    return runtime.corrections.obtain(corrector, batches, shared)


class CorrectThenClassify(Method):
    """A corrector that sees all batches, then a classifier trained on the corrected sources."""

    def __init__(self, corrector: Corrector | SupervisedCorrector, classifier: Classifier) -> None:
        self.corrector = corrector
        self.classifier = classifier

    @property
    def versions(self) -> list[int]:
        """Versions of the pair, its corrector and its classifier."""
        return [self.version, *versions_of(self.corrector), *versions_of(self.classifier)]

    def fit(self, task: Task, runtime: Runtime) -> "FittedPair":
        """Correct all batches, targets included, then train on the sources."""
        corrected = correct(self.corrector, task, runtime)
        sources = [replace(source, x=corrected[source.name]) for source in task.sources]
        fitted = self.classifier.fit(sources, task.n_classes, runtime)
        return FittedPair(corrected, fitted, self.corrector, runtime)

    @property
    def why_no_new_batches(self) -> str:
        """Most correctors know only the batches they were fitted on, and not all classifiers can be kept."""
        if not getattr(self.corrector, "each_batch_alone", False):
            return super().why_no_new_batches
        return "" if self.classifier.restorable else UNSAVABLE

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """The trained classifier, behind a corrector that needs no other batch."""
        if not self.judges_new_batches:
            return super().restore(state, features, n_classes, runtime)
        fitted = self.classifier.restore(state, features, n_classes, runtime)
        return FittedPair({}, fitted, self.corrector, runtime)


class FittedPair:
    """Corrected batches and the classifier trained on the sources among them."""

    def __init__(
        self,
        corrected: Mapping[str, Matrix],
        classifier: FittedClassifier,
        corrector: Corrector | SupervisedCorrector,
        runtime: Runtime,
    ) -> None:
        self._corrected = corrected
        self._classifier = classifier
        self._corrector = corrector
        self._runtime = runtime

    def state(self) -> State:
        """What the classifier has learnt."""
        return self._classifier.state()

    def transform(self, samples: Samples) -> Matrix:
        """Corrected data of a batch.

        Raises:
            CalibError: it was not there when the corrector was fitted, which knows no other batch.
        """
        if samples.name in self._corrected:
            return self._corrected[samples.name]
        alone = getattr(self._corrector, "each_batch_alone", False)
        if isinstance(self._corrector, SupervisedCorrector) or not alone:
            raise CalibError(
                f"Batch '{samples.name}' was not there when the others were corrected, and cannot be "
                "corrected after them; make it an unlabelled batch of the study."
            )
        return self._corrector.correct([Samples(samples.name, samples.x)], self._runtime)[samples.name]

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities of such a batch."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


class Uncorrected:
    """No correction: the paper's baseline."""

    version = 1
    uses_seed = False
    stored = False
    each_batch_alone = True

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """The data as they are."""
        return {batch.name: batch.x for batch in batches}
