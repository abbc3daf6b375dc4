"""What the target's own labels are worth: a classifier trained on the sources and part of the target.

It uses target labels, so it is a reference and no method: where it is no better than a method, better
calibration would not help that method either. In the words of Ben-David et al. 2010
(doi 10.1007/s10994-009-5152-4): the joint hypothesis, whose error bounds what adaptation can reach.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calib.data.study import FloatArray, IntArray, LabelledSamples, LabelledTask, Samples
from calib.errors import check_number
from calib.methods.base import Corrector, ReferenceMethod
from calib.methods.corrected import Classifier, correct, versions_of
from calib.methods.cross_validation import OutOfFold
from calib.methods.folds import stratified_folds
from calib.runtime import Runtime


class Oracle(ReferenceMethod):
    """A corrector without labels, then a classifier trained on the sources and the target's other folds.

    The prediction of a row is the one from the fold that did not train on it. Of several targets, each is
    judged without the labels of the others.

    Args:
        corrector: sees all batches.
        classifier: fresh for every fold.
        folds: number of stratified folds of the target, by subject where subjects are known.
    """

    def __init__(self, corrector: Corrector, classifier: Classifier, folds: int) -> None:
        check_number("folds", folds, least=2, whole=True)
        self.corrector = corrector
        self.classifier = classifier
        self.folds = folds

    @property
    def versions(self) -> list[int]:
        """Versions of the method, its corrector and its classifier."""
        return [self.version, *versions_of(self.corrector), *versions_of(self.classifier)]

    def fit(self, task: LabelledTask, runtime: Runtime) -> OutOfFold:
        """Correct all batches, then train once for each target and fold.

        Raises:
            CalibError: fewer than two classes have as many samples (subjects) as there are folds.
        """
        corrected = correct(self.corrector, task, runtime)
        sources, targets = (
            [replace(batch, x=corrected[batch.name]) for batch in batches]
            for batches in (task.sources, task.targets)
        )
        probabilities = {}
        for target in targets:
            subject = task.subjects[target.name]
            probability = np.empty((len(target), task.n_classes), runtime.numpy_dtype)
            folds = stratified_folds(target, subject, self.folds, "where_known", runtime.seed)
            for number, rows in enumerate(folds, start=1):
                what = f"batch {target.name}, fold {number}"
                probability[rows[1]] = self._judged(sources, target, rows, task.n_classes, runtime, what)
            probabilities[target.name] = probability
        return OutOfFold(probabilities, corrected)

    def _judged(
        self,
        sources: Sequence[LabelledSamples],
        target: LabelledSamples,
        rows: tuple[IntArray, IntArray],
        n_classes: int,
        runtime: Runtime,
        what: str,
    ) -> FloatArray:
        """Probabilities of the second rows of a target by a classifier that has seen the first."""
        train, test = rows
        seen, known = LabelledSamples(target.name, target.x[train], target.y[train]), len(runtime.history)
        fitted = self.classifier.fit([*sources, seen], n_classes, runtime)
        for line in runtime.history[known:]:
            line["training"] = f"{what}: {line['training']}"
        return fitted.predict_proba(Samples(target.name, target.x[test]))
