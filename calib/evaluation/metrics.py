"""Accuracy, F-score, AUC and MCC (Eqs 5-7) of samples and of subjects."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from calib.data.study import FloatArray, IntArray, Subjects
from calib.data.subjects import units

METRICS = ("accuracy", "f_score", "auc", "auc_hard", "mcc")
"""Names of the metrics that ``score`` computes."""


def score(probability: FloatArray, y: IntArray) -> dict[str, float | None]:
    """Compute the paper's metrics of one target batch.

    With two classes the F-score is that of the positive class (index 1). With more, the F-score is the mean
    over the classes that occur among the true labels or predictions (macro F), and the AUC is the mean of one
    class against the rest over the classes that occur among the true labels. So a class that the target lacks
    counts in neither, unless it is predicted. The MCC of several classes is Gorodkin's. ``auc`` ranks by
    probability. ``auc_hard`` is computed from predicted labels, as in the released code, and so equals
    balanced accuracy for two classes.

    Args:
        probability: class probabilities ``(n, classes)``.
        y: true class indices ``(n,)``.

    Returns:
        The value of each metric, None where it is not defined (AUC and MCC with a single true class).
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef  # seconds, after a training

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
    """Return the AUC, averaged over the true classes if there are more than two, or None with one class."""
    from sklearn.metrics import roc_auc_score

    present = np.unique(y)
    if len(present) < 2:
        return None
    if scores.shape[1] == 2:
        return float(roc_auc_score(y, scores[:, 1]))
    return float(np.mean([roc_auc_score(y == c, scores[:, c]) for c in present]))


def count_classes(y: IntArray, classes: Sequence[str]) -> dict[str, int]:
    """Return the number of samples of every class, in the order of the class index."""
    return dict(zip(classes, np.bincount(y, minlength=len(classes)).tolist(), strict=True))


def unseen_classes(
    counts: Mapping[str, Mapping[str, int]], sources: Sequence[str], targets: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return, for each target, the classes of its samples that no source has, with their number.

    No method can learn these classes. Their samples count as errors in every metric, and reports name them.

    Args:
        counts: batch -> class -> number of samples, of all batches with labels.
    """
    seen = {c for source in sources for c, count in counts[source].items() if count}
    unseen = {t: {c: n for c, n in counts[t].items() if n and c not in seen} for t in targets if t in counts}
    return {target: classes for target, classes in unseen.items() if classes}


def by_subject(probability: FloatArray, y: IntArray, subject: Subjects) -> tuple[FloatArray, IntArray]:
    """Return the median probability of each subject's samples, and each subject's label ``(subjects,)``.

    The samples of each class of a subject count as a subject of their own.
    """
    first, _, medians = median_by_subject(probability, y, subject)
    return medians, y[first]


def median_by_subject(
    probability: FloatArray, y: IntArray | None, subject: Subjects
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the first sample of each subject, its number of samples, and their median probability.

    Subjects are sorted. Where labels are known, the samples of each class of a subject count as a subject of
    their own (``subjects.units``). With more than two classes the medians of the classes need not sum to one;
    only their order is used.
    """
    first, owner = units(subject, y)
    sizes = np.bincount(owner)
    order, ends = np.argsort(owner, kind="stable"), sizes.cumsum()[:-1]
    medians = [np.median(part, axis=0) for part in np.split(probability[order], ends)]
    return first, sizes, np.stack(medians)


def mean_over(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return the mean of each metric over the targets, or None where a target does not have the metric."""

    def mean(values: list[float | None]) -> float | None:
        defined = [value for value in values if value is not None]
        return float(np.mean(defined)) if defined and len(defined) == len(values) else None

    return {metric: mean([s.get(metric) for s in scores.values()]) for metric in METRICS}
