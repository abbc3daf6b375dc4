"""Whether batches mix and classes separate in a space: silhouettes of standardised data."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_score

from calib.data.study import FloatArray

LIMIT = 5000
"""Most rows of a study that are looked at."""


def standardised(z: FloatArray) -> FloatArray:
    """Each dimension with mean 0 and variance 1 over all rows, constant ones 0; float64.

    Spaces of 20 codes and of 200 intensities have other scales; without this neither distances nor the
    maps made from them could be set side by side.
    """
    z = z.astype(np.float64)
    centred = z - z.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 1e-7 * np.abs(z).max(axis=0, initial=0)  # float32 leaves constants a little unequal
    return np.where(varies, centred, 0) / np.where(varies, spread, 1)


def chosen_rows(count: int, seed: int, limit: int = LIMIT) -> NDArray[np.int64]:
    """All rows, or ``limit`` drawn without replacement from all batches together, in ascending order.

    The draw depends on number and seed only, so all methods of a study show the same samples.
    """
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, limit]).permutation(count)[:limit])


def silhouette(x: FloatArray, group: NDArray[np.int64]) -> float:
    """Mean silhouette of the rows, from -1 to 1: above 0 where groups lie apart, about 0 where they mix.

    Args:
        x: ``(rows, dimensions)``.
        group: number of each row's group, negative where unknown; such rows are left out.

    Returns:
        NaN where fewer than two groups are known, or every row has its own.
    """
    x, group = x[group >= 0], group[group >= 0]
    if not 2 <= len(np.unique(group)) < len(group):
        return float("nan")
    return float(silhouette_score(x, group))
