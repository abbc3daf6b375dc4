"""Methods of two parts: a corrector changes the data, then a classifier learns from the corrected sources.

This module has the contracts of both parts that are not stored (``Classifier``, ``SupervisedCorrector``), the
method made of them (``CorrectThenClassify``) and the corrector that changes nothing (``Uncorrected``). The
contract of correctors without labels is ``calib.records.corrections.Corrector``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from calib.data.matrix import Matrix, infinite_feature
from calib.data.study import FloatArray, LabelledSamples, LabelledTask, Samples, Task
from calib.errors import CalibError, DataError
from calib.methods.base import Corrector, Method, Savable, State, in_order
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime

UNSAVABLE = "has a classifier that could be kept only as a pickle, which may run any code when it is read"


class FittedClassifier(Protocol):
    """A trained classifier."""

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""
        ...

    def state(self) -> State:
        """Return the arrays from which ``Classifier.restore`` rebuilds the trained classifier."""
        ...


class Classifier(Protocol):
    """A classifier that learns from labelled batches.

    ``version`` is raised when a change makes it compute other numbers. ``restorable`` is False if what it has
    learnt cannot be kept as arrays. A classifier that the seed cannot change has ``uses_seed = False``.
    """

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def restorable(self) -> bool: ...  # noqa: D102

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources."""
        ...

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Return the trained classifier whose ``state()`` was ``state``."""
        ...


@runtime_checkable
class SupervisedCorrector(Protocol):
    """A corrector that uses the sources' labels; it gets the targets without labels.

    Its result depends on which batches are sources, so it is computed for every split and never stored.
    """

    version: ClassVar[int]
    uses_source_labels: ClassVar[bool]

    def correct(
        self,
        sources: Sequence[LabelledSamples],
        targets: Sequence[Samples],
        runtime: Runtime,
    ) -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


def versions_of(part: Any) -> list[int]:
    """Return the version of a corrector, mapper or classifier and of the parts that it is made of."""
    versions = [part.version]
    for value in vars(part).values():
        for inner in value.values() if isinstance(value, dict) else [value]:
            versions += versions_of(inner) if hasattr(inner, "version") else []
    return versions


def correct(
    corrector: Corrector | SupervisedCorrector, task: Task | LabelledTask, runtime: Runtime
) -> Mapping[str, Matrix]:
    """Return the corrected data of every batch, by name; no corrector sees a target's label.

    The result of a corrector without labels comes from the run's store of corrections if it is there.

    Raises:
        DataError: a corrected value is no finite number.
    """
    return finite(corrector, _corrected(corrector, task, runtime))


def finite(
    corrector: Corrector | SupervisedCorrector, corrected: Mapping[str, Matrix]
) -> Mapping[str, Matrix]:
    """Return corrected data, by batch, as they are.

    Raises:
        DataError: a value is no finite number.
    """
    for name, x in corrected.items():
        if infinite_feature(x) is not None:
            raise DataError(
                f"Batch '{name}': {type(corrector).__name__} makes values of it that are no finite numbers; "
                "check the scale of the data, or take another corrector."
            )
    return corrected


def _corrected(
    corrector: Corrector | SupervisedCorrector, task: Task | LabelledTask, runtime: Runtime
) -> Mapping[str, Matrix]:
    """Return the corrected data of every batch, from the store of corrections if they are there."""
    batches = [Samples(batch.name, batch.x, reference=batch.reference) for batch in task.batches]
    if isinstance(corrector, SupervisedCorrector):
        targets = batches[len(task.sources) :]
        return corrector.correct(task.sources, targets, runtime)
    shared = replace(runtime, stage="")  # a stored correction must not depend on the training that needs it
    if runtime.corrections is None:
        return corrector.correct(in_order(batches), shared)
    return runtime.corrections.obtain(corrector, batches, shared)


class CorrectThenClassify(Method):
    """A method made of a corrector that sees all batches and a classifier trained on the corrected sources.

    Args:
        corrector: a corrector without labels or with the sources' labels.
        classifier: learns from the corrected sources.
    """

    def __init__(self, corrector: Corrector | SupervisedCorrector, classifier: Classifier) -> None:
        self.corrector = corrector
        self.classifier = classifier

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method, its corrector and its classifier."""
        return [self.version, *versions_of(self.corrector), *versions_of(self.classifier)]

    @property
    def uses_seed(self) -> bool:
        """Return whether the corrector or the classifier uses the seed."""
        return uses_seed(self.corrector) or uses_seed(self.classifier)

    def fit(self, task: Task, runtime: Runtime) -> "FittedPair":
        """Correct all batches, targets included, then train on the corrected sources."""
        corrected = correct(self.corrector, task, runtime)
        sources = [replace(source, x=corrected[source.name]) for source in task.sources]
        fitted = self.classifier.fit(sources, task.n_classes, runtime)
        return FittedPair(corrected, fitted, self.corrector, runtime)

    @property
    def why_no_new_batches(self) -> str:
        """Return "" if the corrector corrects each batch alone."""
        return "" if getattr(self.corrector, "each_batch_alone", False) else super().why_no_new_batches

    @property
    def why_not_saved(self) -> str:
        """Return "" if the method judges new batches and its classifier can be restored."""
        return self.why_no_new_batches or ("" if self.classifier.restorable else UNSAVABLE)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return the trained classifier together with the corrector, which needs no other batch."""
        if self.why_not_saved:
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
        """Return the trained classifier's arrays."""
        return self._classifier.state()

    def transform(self, samples: Samples) -> Matrix:
        """Return the corrected data ``(samples, dimensions)`` of a batch.

        Raises:
            CalibError: the corrector was fitted without this batch, and corrects no batch alone.
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
        """Return the class probabilities ``(samples, classes)`` of a batch that ``transform`` corrects."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


class Uncorrected:
    """A corrector that changes nothing: the paper's baseline."""

    version = 1
    uses_seed = False
    stored = False
    each_batch_alone = True

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the data as they are."""
        return {batch.name: batch.x for batch in batches}
