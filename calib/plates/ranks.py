"""Ranks of features within a plate, block by block, and what is computed from them: AUC and correlation."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray

NUMBERS = 2**22
"""Most numbers of a block of columns that is made dense at once: 32 MB."""


def column_blocks(x: Matrix) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the columns of a plate in blocks: their positions, and their values ``(samples, columns)``."""
    samples, features = x.shape
    step = max(NUMBERS // max(samples, 1), 1)
    columns = x if isinstance(x, np.ndarray) else x.tocsc()
    for start in range(0, features, step):
        place = slice(start, min(start + step, features))
        part = columns[:, place]
        yield place, part if isinstance(part, np.ndarray) else part.toarray()


def class_auc(values: FloatArray, y: IntArray, classes: int) -> FloatArray:
    """Return the AUC of every column for each class against all others.

    Args:
        values: ``(n, columns)``.
        y: class index of each row ``(n,)``.
        classes: number of classes.

    Returns:
        ``(classes, columns)``: the share of pairs of a row of the class and another row in which the class
        has the larger value, ties being half. NaN for classes that no row has, or all.
    """
    ranks = rankdata(values, axis=0)
    own = np.bincount(y, minlength=classes).astype(float)[:, None]
    sums = np.eye(classes)[y].T @ ranks
    pairs = own * (len(y) - own)
    found: FloatArray = np.where(pairs > 0, (sums - own * (own + 1) / 2) / np.maximum(pairs, 1), np.nan)
    return found


def macro_auc(probability: FloatArray, y: IntArray) -> float:
    """Return the AUC of probabilities ``(n, classes)``, mean over the classes that occur; NaN with one.

    With two classes it is that of the second.
    """
    classes = probability.shape[1]
    if classes == 2:
        return float(class_auc(probability[:, 1:], y, 2)[1, 0])
    own = np.diagonal(class_auc(probability, y, classes))
    return float(np.nanmean(own)) if np.isfinite(own).any() else np.nan


def centred_ranks(values: FloatArray) -> FloatArray:
    """Return the ranks of each column with mean 0 and length 1 ``(n, columns)``; 0 for constant columns.

    The product of two of them is Spearman's correlation.
    """
    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    scaled: FloatArray = ranks / np.where(length > 0, length, 1)
    return scaled
