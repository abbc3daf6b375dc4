"""Accuracy, F-score, AUC and MCC (Eqs 5-7), for samples and for subjects."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from calib.data.study import FloatArray, IntArray

METRICS = ("accuracy", "f_score", "auc", "auc_hard", "mcc")


def score(probability: FloatArray, y: IntArray) -> dict[str, float | None]:
    """The paper's metrics of one target batch.

    With two classes the F-score is that of the positive class (index 1); with more it is the mean over
    the classes that occur among the true labels or predictions, and the AUC is the mean of one class
    against the rest over the classes that occur. ``auc`` ranks by probability; ``auc_hard`` is computed
    from predicted labels, as the released code does, and so equals balanced accuracy for two classes.

    Args:
        probability: ``(n, classes)``.
        y: true class indices ``(n,)``.

    Returns:
        One value a metric, None where it is not defined (AUC and MCC with a single true class).
    """
    predicted = probability.argmax(axis=1)
    classes = probability.shape[1]
    hard = np.eye(classes)[predicted]
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "f_score": float(
            f1_score(y, predicted, average="binary" if classes == 2 else "macro", zero_division=0)
        ),
        "auc": _auc(probability, y),
        "auc_hard": _auc(hard, y),
        "mcc": float(matthews_corrcoef(y, predicted)) if len(np.unique(y)) > 1 else None,
    }


def _auc(scores: NDArray[np.floating], y: IntArray) -> float | None:
    present = np.unique(y)
    if len(present) < 2:
        return None
    if scores.shape[1] == 2:
        return float(roc_auc_score(y, scores[:, 1]))
    return float(np.mean([roc_auc_score(y == c, scores[:, c]) for c in present]))


def by_subject(probability: FloatArray, y: IntArray, subject: IntArray) -> tuple[FloatArray, IntArray]:
    """Median probability of each subject's samples, and the subject's label ``(subjects,)``.

    With more than two classes the medians of the classes need not sum to one; only their order counts.
    """
    _, first, owner = np.unique(subject, return_index=True, return_inverse=True)
    medians = [np.median(probability[owner == i], axis=0) for i in range(len(first))]
    return np.stack(medians), y[first]


def mean_over(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean of each metric over the targets; None where a target has none."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known and len(known) == len(values) else None

    return {metric: mean([s.get(metric) for s in scores.values()]) for metric in METRICS}
