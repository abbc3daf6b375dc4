"""References that know of a target what ``StandardiseMix`` has to estimate: what there is to gain.

They use target labels, so they are not methods.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from calib.data.study import FloatArray, IntArray, LabelledTask, Samples
from calib.errors import check_choice
from calib.methods.base import ReferenceMethod
from calib.methods.corrected import Classifier, FittedClassifier, versions_of
from calib.methods.randomness import uses_seed
from calib.methods.standardise_mix import StandardiseMix
from calib.runtime import Runtime

KNOWN = ("mix", "moments")


class KnownMix(ReferenceMethod):
    """Each batch scaled to the sources' class mix with the help of its labels, then a classifier.

    Args:
        corrector: gives the scale, and takes the mix from here.
        classifier: is trained on the sources.
        knows: ``mix``: the share of each class in the target; ``moments``: mean and variance of each of its
            classes, so that nothing is taken from the sources but the mix.
    """

    def __init__(
        self, corrector: StandardiseMix, classifier: Classifier, knows: Literal["mix", "moments"]
    ) -> None:
        check_choice("knows", knows, KNOWN)
        self.corrector, self.classifier, self.knows = corrector, classifier, knows

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method, its corrector and its classifier."""
        return [self.version, *versions_of(self.corrector), *versions_of(self.classifier)]

    @property
    def uses_seed(self) -> bool:
        """Return whether the classifier uses the seed."""
        return uses_seed(self.classifier)

    def fit(self, task: LabelledTask, runtime: Runtime) -> "FittedKnownMix":
        """Scale all batches, then train on the sources."""
        made, scale = self.corrector.scale(task.sources, runtime)
        for target in task.targets:
            even = self.corrector.even(target, runtime)
            if self.knows == "mix":
                made[target.name] = scale.scaled(even, scale.shares(target), runtime)
            else:
                made[target.name] = _by_moments(even.dense, target.y, scale.model.reference, runtime)
        sources = [replace(source, x=made[source.name]) for source in task.sources]
        return FittedKnownMix(made, self.classifier.fit(sources, task.n_classes, runtime))


class FittedKnownMix:
    """The scaled batches of the task, and the classifier trained on its sources."""

    def __init__(self, batches: Mapping[str, FloatArray], classifier: FittedClassifier) -> None:
        self._batches, self._classifier = batches, classifier

    def transform(self, samples: Samples) -> FloatArray:
        """Return the scaled data ``(samples, features)`` of a batch of the task."""
        return self._batches[samples.name]

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch of the task."""
        return self._classifier.predict_proba(replace(samples, x=self.transform(samples)))


def _by_moments(x: FloatArray, y: IntArray, reference: FloatArray, runtime: Runtime) -> FloatArray:
    """Return a batch less the mean of its classes in the sources' mix, over their standard deviation.

    Of classes that it lacks, the others take the place, in proportion.
    """
    present = [c for c in np.unique(y) if c < len(reference) and reference[c] > 0]
    if not present:  # only classes that no source has
        present, y, reference = [0], np.zeros_like(y), np.ones(1)
    shares = reference[present] / reference[present].sum()
    means = np.array([x[y == c].mean(axis=0) for c in present])
    within = np.array([x[y == c].var(axis=0) for c in present])
    mean = shares @ means
    width = np.sqrt(shares @ (within + np.square(means - mean)))
    varies = np.square(width) > np.finfo(np.float64).eps * np.square(mean)
    made: FloatArray = np.where(varies, x - mean, 0) / np.where(varies, width, 1)
    return made.astype(runtime.numpy_dtype)
