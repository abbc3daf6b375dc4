"""Stratified folds of a target batch, for the references that see its labels.

``cross_validation.py`` and ``oracle.py`` use them.
"""

import logging
import warnings
from typing import Literal

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from calib.data.study import IntArray, LabelledSamples, Subjects
from calib.errors import CalibError, check_choice

log = logging.getLogger(__name__)

BySubject = bool | Literal["where_known"]


def check_by_subject(key: str, value: object) -> None:
    """Raise CalibError unless ``value`` is true, false or ``where_known``."""
    check_choice(key, value, (True, False, "where_known"))


def stratified_folds(
    target: LabelledSamples, subject: Subjects | None, folds: int, by_subject: BySubject, seed: int
) -> list[tuple[IntArray, IntArray]]:
    """Return the training rows and the test rows of each fold.

    Args:
        target: a batch with labels.
        subject: subject of each sample, or None if the subjects are unknown.
        folds: number of folds.
        by_subject: keep all samples of a subject in one fold; ``where_known`` does so only if the subjects
            are known.
        seed: seed of the random order.

    Raises:
        CalibError: fewer than two classes have as many samples (subjects) as there are folds, or
            ``by_subject`` is true and the subjects are unknown.
    """
    grouped = by_subject
    if by_subject == "where_known" and not (grouped := subject is not None):
        log.warning(
            "The subjects of batch '%s' are unknown: one's samples may be in several folds.", target.name
        )
    unit: Subjects = np.arange(len(target.y))
    y = target.y
    if grouped:
        if subject is None:
            raise CalibError(
                f"group_by_subject=true, but the subjects of batch '{target.name}' are unknown; "
                "set protocol.cv_group_by_subject=false."
            )
        unit = subject
    counts = sorted((len(np.unique(unit[y == c])) for c in np.unique(y)), reverse=True)
    units = "subjects" if grouped else "samples"
    if len(counts) < 2:
        raise CalibError(f"Batch '{target.name}' has samples of one class only: nothing to cross-validate.")
    if counts[1] < folds:
        raise CalibError(
            f"Batch '{target.name}' has a class with {counts[1]} {units}, too few for "
            f"{folds} folds; set protocol.cv_folds to at most {counts[1]}."
        )
    if counts[-1] < folds:
        log.warning(
            "Batch '%s' has %d classes with fewer %s than folds; one alone counts as an error.",
            *(target.name, sum(count < folds for count in counts), units),
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    groups = subject if grouped else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        return list(kind(folds, shuffle=True, random_state=seed).split(target.x, y, groups))
