"""Labels and further samples of a training, checked as scikit-learn checks them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from calib.data.matrix import Matrix
from calib.data.study import IntArray
from calib.estimators.arrays import column_of, names_of

TARGET = "target"
"""The batch of all samples of ``X_target``, where no batches are named."""


def class_indices(labels: Any, x: Matrix, unlabelled: object) -> tuple[NDArray[Any], IntArray]:
    """Return the classes in ascending order, and the class index of each sample, -1 without a label.

    Args:
        labels: a label for each sample ``(samples,)``, missing where None, NaN or ``unlabelled``.
        x: data ``(samples, features)``.
        unlabelled: value that marks a missing label.

    Raises:
        ValueError: there are more or fewer labels than samples, or they are no classes.
    """
    labels = column_or_1d(labels, warn=True)
    check_consistent_length(x, labels)
    has_label = ~(pd.isna(labels) | (labels == unlabelled))
    found = np.full(x.shape[0], -1, np.int64)
    if not has_label.any():
        return np.empty(0, object), found
    known = np.array(labels[has_label].tolist())
    assert_all_finite(known, input_name="y")
    check_classification_targets(known)
    classes, found[has_label] = np.unique(known, return_inverse=True)
    return classes, found


def class_order(classes: NDArray[Any], positive: object) -> IntArray:
    """Return the place of each class in the order that the method takes ``(classes,)``.

    Args:
        classes: the classes in ascending order.
        positive: of two classes the one that becomes the second; None keeps the order.

    Raises:
        ValueError: there are more than two classes, or it is none of them.
    """
    if positive is None:
        return np.arange(len(classes))
    known = [str(label) for label in classes]
    if str(positive) not in known or len(known) != 2:
        raise ValueError(f"positive={positive} is not one of two classes; there are {', '.join(known)}.")
    return np.where(np.array(known) == str(positive), 1, 0)


def with_targets(
    x: Matrix, index: IntArray, names: list[Any], data: Any, more: Matrix, batch: Any
) -> tuple[Matrix, IntArray, list[Any]]:
    """Return samples, class indices and names with further samples that have no labels.

    Args:
        x, index: data and class indices of the samples.
        names: their batches, subjects and replicates, None where unknown.
        data, more: the further samples as given, and their values.
        batch: name of each one's batch, or None.

    Raises:
        ValueError: they are of a batch of ``x``, or subjects or replicates are given.
    """
    rows = more.shape[0]
    first = names[0] if names[0] is not None else np.full(x.shape[0], "source")
    second = names_of(column_of(data, batch, "batch_target"), rows, "batch_target")
    second = np.full(rows, TARGET) if second is None else second
    if shared := set(first) & set(second):
        raise ValueError(
            f"batch_target names '{min(shared)}', which is a batch of X; give unlabelled samples of that "
            "batch in X."
        )
    for what, values in zip(("subject", "replicate"), names[1:], strict=True):
        if values is not None:
            raise ValueError(f"{what} of the samples of X_target is unknown; give all samples in X.")
    stack = sparse.vstack([x, more], "csr") if sparse.issparse(x) else np.concatenate([x, more])
    return stack, np.concatenate([index, np.full(rows, -1)]), [np.concatenate([first, second]), None, None]
