"""The paper's ceiling: D trained and tested inside the target batch, by cross-validation.

It uses target labels, so it is a reference and no method.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from calib.data.study import FloatArray, IntArray, LabelledSamples, LabelledTask, Samples
from calib.errors import CalibError
from calib.methods.base import ReferenceMethod
from calib.methods.discriminator import DiscriminatorClassifier
from calib.protocol import Protocol
from calib.runtime import Runtime


class CrossValidation(ReferenceMethod):
    """Cross-validation of D within each target batch.

    The prediction of a row is the one from the fold that did not train on it.
    ``protocol.cv_fresh_network=False`` does as the released code: one network goes on training through
    all folds, so from the second fold on it has been trained on the rows it is tested on.
    """

    def __init__(self, classifier: DiscriminatorClassifier, protocol: Protocol) -> None:
        self.classifier = classifier
        self.protocol = protocol

    def fit(self, task: LabelledTask, runtime: Runtime) -> "OutOfFold":
        """Cross-validate within each target; the sources are not used.

        Raises:
            CalibError: a class has fewer rows than folds, or subjects are asked for but unknown.
        """
        probabilities = {}
        for target in task.targets:
            probability = np.empty((len(target.x), task.n_classes), runtime.numpy_dtype)
            network = None
            folds = self._folds(target, task.subjects[target.name], runtime.seed)
            for number, (train_rows, test_rows) in enumerate(folds, start=1):
                part = LabelledSamples(target.name, target.x[train_rows], target.y[train_rows])
                what = f"batch {target.name}, fold {number}"
                fitted = self.classifier.fit([part], task.n_classes, runtime, what, network)
                if not self.protocol.cv_fresh_network:
                    network = fitted.network
                held_out = Samples(target.name, target.x[test_rows])
                probability[test_rows] = fitted.predict_proba(held_out)
            probabilities[target.name] = probability
        return OutOfFold(probabilities)

    def _folds(
        self, target: LabelledSamples, subject: IntArray | None, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        count = self.protocol.cv_folds
        smallest = np.bincount(target.y)[np.unique(target.y)].min()
        if smallest < count:
            raise CalibError(
                f"Batch '{target.name}' has a class with {smallest} samples, too few for "
                f"{count} folds; set protocol.cv_folds to at most {smallest}."
            )
        if not self.protocol.cv_group_by_subject:
            split = StratifiedKFold(count, shuffle=True, random_state=seed)
            return split.split(target.x, target.y)
        if subject is None:
            raise CalibError(
                f"protocol.cv_group_by_subject=true, but the subjects of batch '{target.name}' are "
                "unknown; set it to false."
            )
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        return grouped.split(target.x, target.y, subject)


class OutOfFold:
    """Predictions made by the folds that had not seen the row."""

    def __init__(self, probabilities: Mapping[str, FloatArray]) -> None:
        self._probabilities = probabilities

    def transform(self, samples: Samples) -> FloatArray:
        """The data as they are: nothing is calibrated."""
        return samples.x

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Out-of-fold class probabilities ``(samples, classes)`` of a target batch."""
        return self._probabilities[samples.name]
