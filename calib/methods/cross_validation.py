"""The paper's ceiling: D trained and tested inside the target batch, by cross-validation.

It uses target labels, so it is a reference and no method.
"""

import logging
import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, LabelledSamples, LabelledTask, Samples, Subjects
from calib.errors import CalibError, check_flag, check_number
from calib.methods.base import ReferenceMethod
from calib.methods.discriminator import DiscriminatorClassifier
from calib.runtime import Runtime

log = logging.getLogger(__name__)


class CrossValidation(ReferenceMethod):
    """Cross-validation of D within each target batch.

    The prediction of a row is the one from the fold that did not train on it.

    Args:
        classifier: D and how it is trained.
        folds: number of stratified folds.
        fresh_network: a new network for every fold. False does as the released code: one network goes on
            training through all folds, so from the second on it has been trained on rows it is tested on.
        group_by_subject: keep all samples of a subject in one fold.
    """

    def __init__(
        self, classifier: DiscriminatorClassifier, folds: int, fresh_network: bool, group_by_subject: bool
    ) -> None:
        check_number("folds", folds, least=2, whole=True)
        check_flag("fresh_network", fresh_network)
        check_flag("group_by_subject", group_by_subject)
        self.classifier = classifier
        self.folds = folds
        self.fresh_network = fresh_network
        self.group_by_subject = group_by_subject

    @property
    def versions(self) -> list[int]:
        """Versions of the method and of D."""
        return [self.version, self.classifier.version]

    def fit(self, task: LabelledTask, runtime: Runtime) -> "OutOfFold":
        """Cross-validate within each target; the sources are not used.

        Raises:
            CalibError: fewer than two classes have as many samples as there are folds, or subjects are
                asked for but unknown.
        """
        probabilities = {}
        for target in task.targets:
            probability = np.empty((len(target), task.n_classes), runtime.numpy_dtype)
            network = None
            folds = self._folds(target, task.subjects[target.name], runtime.seed)
            for number, (train_rows, test_rows) in enumerate(folds, start=1):
                part = LabelledSamples(target.name, target.x[train_rows], target.y[train_rows])
                what = f"batch {target.name}, fold {number}"
                fitted = self.classifier.fit([part], task.n_classes, runtime, what, network)
                if not self.fresh_network:
                    network = fitted.network
                held_out = Samples(target.name, target.x[test_rows])
                probability[test_rows] = fitted.predict_proba(held_out)
            probabilities[target.name] = probability
        return OutOfFold(probabilities)

    def _folds(
        self, target: LabelledSamples, subject: Subjects | None, seed: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        unit: Subjects = np.arange(len(target.y))
        y = target.y
        if self.group_by_subject:
            if subject is None:
                raise CalibError(
                    f"group_by_subject=true, but the subjects of batch '{target.name}' are unknown; "
                    "set protocol.cv_group_by_subject=false."
                )
            unit = subject
        counts = sorted((len(np.unique(unit[y == c])) for c in np.unique(y)), reverse=True)
        what = "subjects" if self.group_by_subject else "samples"
        if len(counts) < 2:
            raise CalibError(
                f"Batch '{target.name}' has samples of one class only: nothing to cross-validate."
            )
        if counts[1] < self.folds:
            raise CalibError(
                f"Batch '{target.name}' has a class with {counts[1]} {what}, too few for "
                f"{self.folds} folds; set protocol.cv_folds to at most {counts[1]}."
            )
        if counts[-1] < self.folds:
            log.warning(
                "Batch '%s' has %d classes with fewer %s than folds; one alone counts as an error.",
                *(target.name, sum(count < self.folds for count in counts), what),
            )
        kind = StratifiedGroupKFold if self.group_by_subject else StratifiedKFold
        groups = subject if self.group_by_subject else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
            return list(kind(self.folds, shuffle=True, random_state=seed).split(target.x, y, groups))


class OutOfFold:
    """Predictions made by the folds that had not seen the row."""

    def __init__(self, probabilities: Mapping[str, FloatArray]) -> None:
        self._probabilities = probabilities

    def transform(self, samples: Samples) -> Matrix:
        """The data as they are: nothing is calibrated."""
        return samples.x

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Out-of-fold class probabilities ``(samples, classes)`` of a target batch."""
        return self._probabilities[samples.name]
