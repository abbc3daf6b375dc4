"""Methods of two parts: a corrector changes the data, then a classifier learns from the corrected sources.

This module has the contract of classifiers, the method made of both parts (``CorrectThenClassify``) and the
corrector that changes nothing (``Uncorrected``). The contracts of correctors are in ``calib.methods.base``
and ``calib.methods.lasting``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.methods.base import Corrector, Method, Savable, State, part_of
from calib.methods.correction import Correction
from calib.methods.lasting import EachAlone, SupervisedCorrector, is_lasting
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime

LEARNT = "correction/"
"""Prefix of the arrays by which a saved model corrects later batches."""
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


def versions_of(part: Any) -> list[int]:
    """Return the version of a corrector, mapper or classifier and of the parts that it is made of."""
    versions = [part.version]
    for value in vars(part).values():
        for inner in value.values() if isinstance(value, dict) else [value]:
            versions += versions_of(inner) if hasattr(inner, "version") else []
    return versions


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
        correction = Correction(self.corrector, task, runtime)
        sources = [replace(source, x=correction.batches[source.name]) for source in task.sources]
        return FittedPair(correction, self.classifier.fit(sources, task.n_classes, runtime))

    @property
    def why_no_new_batches(self) -> str:
        """Return "" if the corrector can correct later batches."""
        return "" if is_lasting(self.corrector) else super().why_no_new_batches

    @property
    def new_batches(self) -> str:
        """Return what the corrector does with a later batch, in a few words."""
        if self.why_no_new_batches or isinstance(self.corrector, Uncorrected):
            return super().new_batches
        alone = isinstance(getattr(self.corrector, "corrector", self.corrector), EachAlone)
        return "scaled by itself" if alone else "corrected onto the training's batches"

    @property
    def why_not_saved(self) -> str:
        """Return "" if the method judges new batches and its classifier can be restored."""
        return self.why_no_new_batches or ("" if self.classifier.restorable else UNSAVABLE)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return the trained classifier together with what the corrector has learnt."""
        if self.why_not_saved:
            return super().restore(state, features, n_classes, runtime)
        learnt = part_of(state, LEARNT)
        own = {key: v for key, v in state.items() if not key.startswith(LEARNT)}
        width = self.corrector.width(learnt, features, runtime)  # type: ignore[union-attr]
        fitted = self.classifier.restore(own, width, n_classes, runtime)
        return FittedPair(Correction.restored(self.corrector, learnt, runtime), fitted)


class FittedPair:
    """A fitted corrector and the classifier trained on the corrected sources."""

    def __init__(self, correction: Correction, classifier: FittedClassifier) -> None:
        self._correction = correction
        self._classifier = classifier

    def state(self) -> State:
        """Return the trained classifier's arrays, and those by which later batches are corrected."""
        learnt = {LEARNT + key: value for key, value in self._correction.learnt.items()}
        return {**self._classifier.state(), **learnt}

    def transform(self, samples: Samples) -> Matrix:
        """Return the corrected data ``(samples, dimensions)`` of a batch.

        Raises:
            DataError: the corrector was fitted without this batch, and cannot correct it afterwards.
        """
        return self._correction.of(samples)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch that ``transform`` corrects."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


class Uncorrected(EachAlone):
    """A corrector that changes nothing: the paper's baseline."""

    version = 1
    uses_seed = False
    stored = False

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the data as they are."""
        return {batch.name: batch.x for batch in batches}
