"""The squared MMD between groups of a few hundred rows, in NumPy: what looks at data needs no training."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist, pdist

from calib.data.study import FloatArray


def median_distance(rows: FloatArray) -> float:
    """Return the median distance of all pairs of rows ``(n, features)``, 1 where it is 0.

    Of an even number of pairs it is the smaller middle one, as in ``calib.mmd.median_distance``.
    """
    distances = pdist(rows)
    middle = (len(distances) - 1) // 2
    return float(np.partition(distances, middle)[middle]) or 1.0


def unbiased_mmd2(groups: Sequence[FloatArray], widths: Sequence[float]) -> FloatArray:
    """Return the unbiased squared MMD between all pairs of groups ``(groups, groups)``.

    It is what ``calib.mmd.mmd2_matrix`` gives with ``biased=False``: the U-statistic of Gretton et al. 2012
    (JMLR 13:723), summed over Gaussian kernels.

    Args:
        groups: rows of each group ``(rows_i, features)``, two at least.
        widths: sigma of each kernel, in the unit of the data.
    """
    count = np.array([len(group) for group in groups], dtype=np.float64)
    sums = np.zeros((len(groups), len(groups)))
    for i, one in enumerate(groups):
        for j, other in enumerate(groups[: i + 1]):
            distances2 = cdist(one, other, "sqeuclidean")
            sums[i, j] = sums[j, i] = sum(float(np.exp(distances2 / (-2 * w**2)).sum()) for w in widths)
    within = (sums.diagonal() - count * len(widths)) / (count * (count - 1))  # no row against itself
    found: FloatArray = within[:, None] + within - 2 * sums / np.outer(count, count)
    return found
