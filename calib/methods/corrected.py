"""Correct, then classify: a label-free corrector and a classifier trained on the corrected sources."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from calib.data.study import FloatArray, LabelledSamples, Samples, Task
from calib.methods.base import Method
from calib.runtime import Runtime


class FittedCorrector(Protocol):
    """A corrector that has seen all batches of a study."""

    def transform(self, samples: Samples) -> FloatArray:
        """Corrected data ``(samples, dimensions)`` of a batch."""
        ...


class Corrector(Protocol):
    """Removes differences between batches without looking at a label."""

    def fit(self, batches: Sequence[Samples], runtime: Runtime) -> FittedCorrector:
        """Learn the correction from all batches, sources and targets alike."""
        ...


class FittedClassifier(Protocol):
    """A trained classifier."""

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch."""
        ...


class Classifier(Protocol):
    """Learns classes from labelled batches."""

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources."""
        ...


class CorrectThenClassify(Method):
    """A corrector fitted on all batches, then a classifier fitted on the corrected sources."""

    def __init__(self, corrector: Corrector, classifier: Classifier) -> None:
        self.corrector = corrector
        self.classifier = classifier

    def fit(self, task: Task, runtime: Runtime) -> "FittedPair":
        """Fit the corrector, then the classifier."""
        corrector = self.corrector.fit([Samples(b.name, b.x) for b in task.batches], runtime)
        corrected = [replace(source, x=corrector.transform(source)) for source in task.sources]
        return FittedPair(corrector, self.classifier.fit(corrected, task.n_classes, runtime))


class FittedPair:
    """A fitted corrector and the classifier trained behind it."""

    def __init__(self, corrector: FittedCorrector, classifier: FittedClassifier) -> None:
        self._corrector = corrector
        self._classifier = classifier

    def transform(self, samples: Samples) -> FloatArray:
        """Corrected data of a batch."""
        return self._corrector.transform(samples)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities of a batch."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


class Uncorrected:
    """No correction: the paper's baseline."""

    def fit(self, batches: Sequence[Samples], runtime: Runtime) -> "Uncorrected":
        """Nothing to learn."""
        return self

    def transform(self, samples: Samples) -> FloatArray:
        """The data as they are."""
        return samples.x
