"""A reference that trains a classifier on the sources and on part of the target, with its labels.

It uses target labels, so it is not a method. It shows how much these labels are worth: if it is no better
than a method, better calibration would not help that method either. Ben-David et al. 2010
(doi 10.1007/s10994-009-5152-4) call it the joint hypothesis, whose error bounds what adaptation can reach.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calib.data.study import FloatArray, IntArray, LabelledSamples, LabelledTask, Samples
from calib.errors import check_number
from calib.methods.base import Corrector, ReferenceMethod
from calib.methods.corrected import Classifier, versions_of
from calib.methods.correction import correct
from calib.methods.cross_validation import OutOfFold
from calib.methods.folds import stratified_folds
from calib.runtime import Runtime


class Oracle(ReferenceMethod):
    """A corrector without labels, then a classifier trained on the sources and the target's other folds.

    Each row is predicted by the classifier of the fold that did not train on it. Each of several targets is
    predicted without the labels of the others.

    Args:
        corrector: sees all batches, but no label.
        classifier: is trained anew for every fold.
        folds: number of stratified folds of the target, by subject if its subjects are known.
    """

    def __init__(self, corrector: Corrector, classifier: Classifier, folds: int) -> None:
        check_number("folds", folds, least=2, whole=True)
        self.corrector = corrector
        self.classifier = classifier
        self.folds = folds

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method, its corrector and its classifier."""
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
                name = f"batch {target.name}, fold {number}"
                probability[rows[1]] = self._predicted(sources, target, rows, task.n_classes, runtime, name)
            probabilities[target.name] = probability
        return OutOfFold(probabilities, corrected)

    def _predicted(
        self,
        sources: Sequence[LabelledSamples],
        target: LabelledSamples,
        rows: tuple[IntArray, IntArray],
        n_classes: int,
        runtime: Runtime,
        name: str,
    ) -> FloatArray:
        """Return the probabilities of a fold's test rows by a classifier that has seen its training rows.

        Args:
            sources: corrected sources.
            target: corrected target.
            rows: training rows and test rows of the fold.
            n_classes: number of classes of the study.
            runtime: seed, device and history.
            name: start of the training's name in the history.
        """
        train, test = rows
        seen, known = LabelledSamples(target.name, target.x[train], target.y[train]), len(runtime.history)
        fitted = self.classifier.fit([*sources, seen], n_classes, runtime)
        for line in runtime.history[known:]:
            line["training"] = f"{name}: {line['training']}"
        return fitted.predict_proba(Samples(target.name, target.x[test]))
