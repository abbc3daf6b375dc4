"""Classifiers made of others: the mean of several, over replicates, and one trained on shuffled labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from calib.data.replicates import over_replicates
from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.errors import CalibError
from calib.methods.base import State
from calib.methods.corrected import Classifier, FittedClassifier
from calib.runtime import Runtime


class AverageClassifier:
    """The mean of several classifiers' probabilities, each trained on the same data.

    Args:
        classifiers: by names of your own; a null is left out, which takes one of a YAML file's away.

    Raises:
        CalibError: there is none.
    """

    version = 1

    def __init__(self, classifiers: Mapping[str, Classifier | None]) -> None:
        self.classifiers = {name: one for name, one in classifiers.items() if one is not None}
        if not self.classifiers:
            raise CalibError("classifiers={} must name at least one classifier whose probabilities to take.")

    @property
    def restorable(self) -> bool:
        """Whether all of them are."""
        return all(one.restorable for one in self.classifiers.values())

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "FittedAverage":
        """Train each on the sources."""
        fitted = {name: one.fit(sources, n_classes, runtime) for name, one in self.classifiers.items()}
        return FittedAverage(fitted)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedAverage":
        """The trained classifiers that gave ``state``."""
        restored = {}
        for name, one in self.classifiers.items():
            own = {key.removeprefix(f"{name}/"): v for key, v in state.items() if key.startswith(f"{name}/")}
            restored[name] = one.restore(own, features, n_classes, runtime)
        return FittedAverage(restored)


class FittedAverage:
    """Trained classifiers."""

    def __init__(self, fitted: Mapping[str, FittedClassifier]) -> None:
        self._fitted = fitted

    def state(self) -> State:
        """What each has learnt, by ``<its name>/<name>``."""
        return {f"{name}/{key}": v for name, one in self._fitted.items() for key, v in one.state().items()}

    def predict_proba(self, samples: Samples) -> FloatArray:
        """The mean of the class probabilities ``(samples, classes)`` of a batch."""
        mean: FloatArray = np.mean([one.predict_proba(samples) for one in self._fitted.values()], axis=0)
        return mean


class Around:
    """Something around a classifier."""

    version = 1

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @property
    def restorable(self) -> bool:
        """As the classifier."""
        return self.classifier.restorable


class OverReplicates(Around):
    """A classifier that gives a sample's measurements, where known, their probabilities' geometric mean."""

    def fit(
        self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime
    ) -> "FittedOverReplicates":
        """Train on the sources."""
        return FittedOverReplicates(self.classifier.fit(sources, n_classes, runtime))

    def restore(
        self, state: State, features: int, n_classes: int, runtime: Runtime
    ) -> "FittedOverReplicates":
        """The trained classifier that gave ``state``."""
        return FittedOverReplicates(self.classifier.restore(state, features, n_classes, runtime))


class FittedOverReplicates:
    """A trained classifier."""

    def __init__(self, fitted: FittedClassifier) -> None:
        self._fitted = fitted

    def state(self) -> State:
        """What the classifier has learnt."""
        return self._fitted.state()

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)``, the same for all measurements of one sample."""
        probability = self._fitted.predict_proba(samples)
        if samples.replicate is None:
            return probability
        return over_replicates(probability, samples.replicate)


class ShuffledLabels(Around):
    """A classifier trained on labels that are shuffled within each source: what nothing but chance can do.

    Ojala & Garriga 2009 (doi 10.1109/ICDM.2009.108), their first test. Every source keeps the size of its
    classes, so that what is left to learn are these sizes.
    """

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> FittedClassifier:
        """Train on the sources with their labels shuffled."""

        def shuffled(source: LabelledSamples) -> LabelledSamples:
            order = torch.randperm(len(source), generator=runtime.generator(f"labels of {source.name}"))
            return replace(source, y=source.y[order.numpy()])

        return self.classifier.fit([shuffled(source) for source in sources], n_classes, runtime)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> FittedClassifier:
        """The trained classifier that gave ``state``."""
        return self.classifier.restore(state, features, n_classes, runtime)
