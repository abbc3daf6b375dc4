"""Classifiers made of other classifiers: averages of several, averages over replicates, shuffled labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from calib.data.replicates import one_answer
from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.errors import CalibError
from calib.methods.base import State, part_of
from calib.methods.corrected import Classifier, FittedClassifier
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime


class AverageClassifier:
    """A classifier that averages the probabilities of several classifiers trained on the same data.

    Args:
        classifiers: the classifiers, by any names. One that is null is left out: so an override can remove a
            classifier that a YAML file lists.

    Raises:
        CalibError: no classifier is left.
    """

    version = 1

    def __init__(self, classifiers: Mapping[str, Classifier | None]) -> None:
        self.classifiers = {name: each for name, each in classifiers.items() if each is not None}
        if not self.classifiers:
            raise CalibError("classifiers={} must name at least one classifier whose probabilities to take.")

    @property
    def restorable(self) -> bool:
        """Return whether all classifiers are restorable."""
        return all(classifier.restorable for classifier in self.classifiers.values())

    @property
    def uses_seed(self) -> bool:
        """Return whether any of the classifiers uses the seed."""
        return any(map(uses_seed, self.classifiers.values()))

    @property
    def joins_replicates(self) -> bool:
        """Return whether any of the classifiers averages over replicates."""
        return any(getattr(each, "joins_replicates", False) for each in self.classifiers.values())

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "FittedAverage":
        """Train each classifier on the sources."""
        fitted = {
            name: classifier.fit(sources, n_classes, runtime) for name, classifier in self.classifiers.items()
        }
        return FittedAverage(fitted)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedAverage":
        """Return the trained classifiers whose ``state()`` was ``state``."""
        restored = {}
        for name, classifier in self.classifiers.items():
            restored[name] = classifier.restore(part_of(state, f"{name}/"), features, n_classes, runtime)
        return FittedAverage(restored)


class FittedAverage:
    """Several trained classifiers whose probabilities are averaged."""

    def __init__(self, fitted: Mapping[str, FittedClassifier]) -> None:
        self._fitted = fitted

    def state(self) -> State:
        """Return the arrays of all classifiers, by ``<name of the classifier>/<name of the array>``."""
        return {
            f"{name}/{key}": value
            for name, classifier in self._fitted.items()
            for key, value in classifier.state().items()
        }

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the mean of the classifiers' probabilities ``(samples, classes)`` of a batch."""
        each = [classifier.predict_proba(samples) for classifier in self._fitted.values()]
        mean: FloatArray = np.mean(each, axis=0)
        return mean


class Around:
    """The base class of classifiers that wrap another classifier."""

    version = 1

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @property
    def restorable(self) -> bool:
        """Return whether the wrapped classifier is restorable."""
        return self.classifier.restorable

    @property
    def joins_replicates(self) -> bool:
        """Return whether the wrapped classifier averages over replicates."""
        return getattr(self.classifier, "joins_replicates", False)


class OverReplicates(Around):
    """A classifier that gives all measurements of a sample the geometric mean of their probabilities."""

    joins_replicates = True

    @property
    def uses_seed(self) -> bool:
        """Return whether the wrapped classifier uses the seed."""
        return uses_seed(self.classifier)

    def fit(
        self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime
    ) -> "FittedOverReplicates":
        """Train on the sources."""
        return FittedOverReplicates(self.classifier.fit(sources, n_classes, runtime))

    def restore(
        self, state: State, features: int, n_classes: int, runtime: Runtime
    ) -> "FittedOverReplicates":
        """Return the trained classifier whose ``state()`` was ``state``."""
        return FittedOverReplicates(self.classifier.restore(state, features, n_classes, runtime))


class FittedOverReplicates:
    """A trained classifier whose probabilities are averaged over replicates."""

    def __init__(self, fitted: FittedClassifier) -> None:
        self._fitted = fitted

    def state(self) -> State:
        """Return the trained classifier's arrays."""
        return self._fitted.state()

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)``, the same for all measurements of a sample.

        They stay as they are if the study does not name the measurements of a sample.
        """
        return one_answer(self._fitted.predict_proba(samples), samples)


class ShuffledLabels(Around):
    """A classifier trained on labels that are shuffled within each source, which shows what chance reaches.

    Ojala & Garriga 2009 (doi 10.1109/ICDM.2009.108), their first test. Every source keeps the sizes of its
    classes, so these sizes are all that is left to learn.
    """

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources with their labels shuffled."""

        def shuffled(source: LabelledSamples) -> LabelledSamples:
            order = torch.randperm(len(source), generator=runtime.generator(f"labels of {source.name}"))
            return replace(source, y=source.y[order.numpy()])

        return self.classifier.fit([shuffled(source) for source in sources], n_classes, runtime)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Return the trained classifier whose ``state()`` was ``state``."""
        return self.classifier.restore(state, features, n_classes, runtime)
