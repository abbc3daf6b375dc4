"""How many values of a plate are there, rather than missing or zero, by subject, feature and class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from calib.data.study import Batch, FloatArray, IntArray
from calib.plates.checks.seen import subject_keys


@dataclass(frozen=True)
class Present:
    """How many values of a plate are there, its subjects as units.

    Attributes:
        labels: label of each unit ``(units,)``, or None.
        share: share of each unit's values that are there ``(units,)``.
        found: number of units with a value of each feature ``(features,)``.
        excess, variance: of each class and feature, the sum of its units' shares less what is expected of
            units that are exchangeable, and the variance of that ``(classes, features)``.
    """

    labels: IntArray | None
    share: FloatArray
    found: FloatArray
    excess: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, batch: Batch, there: Any, classes: int) -> "Present":
        """Return it for a plate, given which values are there, as an array or a sparse matrix of 0 and 1."""
        _, first, owner = np.unique(subject_keys(batch), return_index=True, return_inverse=True)
        count = np.bincount(owner)
        n = len(count)
        weights = sparse.csr_array((1 / count[owner], (owner, np.arange(len(owner)))), shape=(n, len(owner)))
        shares = weights @ (there if sparse.issparse(there) else there.astype(np.float32))
        labels = None if batch.y is None else batch.y[first]
        mean = np.asarray(shares.sum(axis=0)).ravel() / n
        square = np.asarray((shares * shares).sum(axis=0)).ravel() / n
        spread = np.maximum(square - mean**2, 0) * n / max(n - 1, 1)
        inside = np.zeros((classes, n)) if labels is None else np.arange(classes)[:, None] == labels
        sizes = inside.sum(axis=1)[:, None]
        one = (shares > 0).astype(np.float32)
        return cls(
            labels,
            np.asarray(shares.mean(axis=1)).ravel(),
            np.asarray(one.sum(axis=0)).ravel(),
            np.asarray(inside.astype(np.float64) @ shares) - sizes * mean,
            sizes * (n - sizes) / n * spread,
        )
