"""The estimators of a class mix that the field uses, which take it that batches differ in their mix only.

They need a classifier's probabilities for samples of known classes that it was not trained on, and for the
batch. Between plates the classifier is off by the batch effect, too, and so are they: docs/class-mix.md.
"""

import numpy as np
from scipy.optimize import nnls

from calib.data.study import FloatArray, IntArray

ROUNDS = 1000
"""Most rounds of expectation-maximisation."""

ALIKE = 1e-9
"""Change of a share below which the rounds end."""


def bbse(known: FloatArray, y: IntArray, batch: FloatArray) -> FloatArray:
    """Estimate a mix from the confusion of predicted classes (BBSE, Lipton et al. 2018, arXiv 1802.03916).

    Args:
        known: probabilities of samples of known classes ``(samples, classes)``.
        y: their classes ``(samples,)``.
        batch: probabilities of the batch's samples ``(samples, classes)``.

    Returns:
        The share of each class ``(classes,)``, none below 0, with the sum 1. A class without known samples
        gets none.
    """
    classes = known.shape[1]
    present = np.unique(y)
    predicted = np.eye(classes)[known.argmax(axis=1)]
    confusion = np.array([predicted[y == c].mean(axis=0) for c in present]).T  # predicted by true class
    found, _ = nnls(confusion, np.eye(classes)[batch.argmax(axis=1)].mean(axis=0))
    return _all_classes(found, present, classes)


def mlls(known: FloatArray, y: IntArray, batch: FloatArray) -> FloatArray:
    """Estimate a mix by maximum likelihood with expectation-maximisation (Saerens et al. 2002).

    The source is doi 10.1162/089976602753284446; the probabilities should be calibrated (Alexandari et al.
    2020, arXiv 1901.06852), for example by ``trust.tempered``.

    Args:
        known, y: as in ``bbse``; the mix of ``y`` is the one that the classifier takes for granted.
        batch: as in ``bbse``.
    """
    classes = known.shape[1]
    present = np.unique(y)
    usual = np.array([(y == c).mean() for c in present])
    ratio = np.maximum(batch[:, present], 1e-12) / usual
    shares = usual
    for _ in range(ROUNDS):
        weights = ratio * shares
        new = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
        moved, shares = np.abs(new - shares).max(), new
        if moved < ALIKE:
            break
    return _all_classes(shares, present, classes)


def _all_classes(found: FloatArray, present: IntArray, classes: int) -> FloatArray:
    """Return shares of all classes ``(classes,)`` with the sum 1, from those of the classes present."""
    shares = np.zeros(classes)
    total = found.sum()
    shares[present] = found / total if total > 0 else 1 / len(present)
    return shares
