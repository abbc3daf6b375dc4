"""Correct, then classify: a label-free corrector and a classifier trained on the corrected sources."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

from calib.corrections import Corrector
from calib.data.matrix import Matrix
from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.methods.base import Method, Savable, State
from calib.runtime import Runtime


class FittedClassifier(Protocol):
    """A trained classifier."""

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch."""
        ...

    def state(self) -> State:
        """What ``Classifier.restore`` needs."""
        ...


class Classifier(Protocol):
    """Learns classes from labelled batches; ``version`` is raised when a change gives other numbers."""

    version: ClassVar[int]

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources."""
        ...

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> FittedClassifier:
        """The trained classifier that gave ``state``."""
        ...


class CorrectThenClassify(Method):
    """A corrector that sees all batches, then a classifier trained on the corrected sources."""

    def __init__(self, corrector: Corrector, classifier: Classifier) -> None:
        self.corrector = corrector
        self.classifier = classifier

    @property
    def versions(self) -> list[int]:
        """Versions of the pair, its corrector and its classifier."""
        return [self.version, self.corrector.version, self.classifier.version]

    def fit(self, task: Task, runtime: Runtime) -> "FittedPair":
        """Correct all batches, targets included, then train on the sources."""
        batches = [Samples(batch.name, batch.x) for batch in task.batches]
        shared = replace(runtime, stage="")  # a stored correction is the same whichever training asks for it
        if runtime.corrections is None:
            corrected = self.corrector.correct(batches, shared)
        else:
            corrected = runtime.corrections.obtain(self.corrector, batches, shared)
        sources = [replace(source, x=corrected[source.name]) for source in task.sources]
        return FittedPair(corrected, self.classifier.fit(sources, task.n_classes, runtime))

    @property
    def judges_new_batches(self) -> bool:
        """Only where there is nothing to correct: correctors know the batches that they were fitted on."""
        return isinstance(self.corrector, Uncorrected)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """The trained classifier, behind no correction."""
        if not self.judges_new_batches:
            return super().restore(state, features, n_classes, runtime)
        return FittedPair({}, self.classifier.restore(state, features, n_classes, runtime))


class FittedPair:
    """Corrected batches and the classifier trained on the sources among them."""

    def __init__(self, corrected: Mapping[str, Matrix], classifier: FittedClassifier) -> None:
        self._corrected = corrected
        self._classifier = classifier

    def state(self) -> State:
        """What the classifier has learnt."""
        return self._classifier.state()

    def transform(self, samples: Samples) -> Matrix:
        """Corrected data of a batch that was there when the corrector was fitted; any other as it is."""
        return self._corrected.get(samples.name, samples.x)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities of such a batch."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


class Uncorrected:
    """No correction: the paper's baseline."""

    version = 1
    uses_seed = False
    stored = False

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """The data as they are."""
        return {batch.name: batch.x for batch in batches}
