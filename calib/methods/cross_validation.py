"""The paper's upper bound: D trained and tested within the target batch, by cross-validation.

It uses target labels, so it is a reference and not a method.
"""

from collections.abc import Mapping

import numpy as np

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, LabelledSamples, LabelledTask, Samples
from calib.errors import check_flag, check_number
from calib.methods.base import ReferenceMethod
from calib.methods.discriminator import DiscriminatorClassifier
from calib.methods.folds import BySubject, check_by_subject, stratified_folds
from calib.runtime import Runtime


class CrossValidation(ReferenceMethod):
    """A reference that cross-validates D within each target batch.

    Each row is predicted by the D of the fold that did not train on it.

    Args:
        classifier: D and how it is trained.
        folds: number of stratified folds.
        fresh_network: train a new network for every fold. False does what the released code does: one
            network goes on training through all folds, so from the second fold on it is tested on rows that
            it was trained on.
        group_by_subject: keep all samples of a subject in one fold; ``where_known`` does so only if the
            batch's subjects are known.
    """

    def __init__(
        self,
        classifier: DiscriminatorClassifier,
        folds: int,
        fresh_network: bool,
        group_by_subject: BySubject,
    ) -> None:
        check_number("folds", folds, least=2, whole=True)
        check_flag("fresh_network", fresh_network)
        check_by_subject("group_by_subject", group_by_subject)
        self.classifier = classifier
        self.folds = folds
        self.fresh_network = fresh_network
        self.group_by_subject = group_by_subject

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method and of D."""
        return [self.version, self.classifier.version]

    def fit(self, task: LabelledTask, runtime: Runtime) -> "OutOfFold":
        """Cross-validate within each target; the sources are not used.

        Raises:
            CalibError: fewer than two classes have as many samples as there are folds, or samples are to be
                grouped by subjects that are unknown.
        """
        probabilities = {}
        for target in task.targets:
            probability = np.empty((len(target), task.n_classes), runtime.numpy_dtype)
            network = None
            subject = task.subjects[target.name]
            folds = stratified_folds(target, subject, self.folds, self.group_by_subject, runtime.seed)
            for number, (train_rows, test_rows) in enumerate(folds, start=1):
                part = LabelledSamples(target.name, target.x[train_rows], target.y[train_rows])
                training = f"batch {target.name}, fold {number}"
                fitted = self.classifier.fit([part], task.n_classes, runtime, training, network)
                if not self.fresh_network:
                    network = fitted.network
                held_out = Samples(target.name, target.x[test_rows])
                probability[test_rows] = fitted.predict_proba(held_out)
            probabilities[target.name] = probability
        return OutOfFold(probabilities)


class OutOfFold:
    """Predictions of every row by the fold that did not train on it, and calibrated data if there are any."""

    def __init__(
        self, probabilities: Mapping[str, FloatArray], calibrated: Mapping[str, Matrix] | None = None
    ) -> None:
        self._probabilities = probabilities
        self._calibrated = calibrated or {}

    def transform(self, samples: Samples) -> Matrix:
        """Return the calibrated data of a batch, or its data as they are if nothing is calibrated."""
        return self._calibrated.get(samples.name, samples.x)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the out-of-fold class probabilities ``(samples, classes)`` of a target batch."""
        return self._probabilities[samples.name]
