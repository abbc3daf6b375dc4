"""Dynamic time warping of a batch's canonical weights onto those of another batch, guided by metagenes.

``calib.methods.cca`` uses it. Butler et al. 2018 (doi 10.1038/nbt.4096), computed as by ``AlignSubspace`` of
Seurat 2.3. A metagene is the sum of the features that follow a canonical direction best, weighted by their
loadings.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from calib.data.study import FloatArray

CANDIDATES = 2000
"""Number of features, those of the largest loadings, whose correlation is computed."""
FEATURES = 30
"""Number of features of a metagene."""
RANGE = (0.025, 0.975)
"""Quantiles of a metagene that are scaled to 0 and 1."""
SHIFTS = np.arange(99, 900) / 1000
"""Quantiles at which two metagenes may be made equal; the one with the smallest gap is chosen."""
LONGEST = 4000
"""Largest number of samples of a batch that are warped; others are interpolated between these."""
DIAGONAL, LEFT, UP = range(3)


def align(
    weights: FloatArray, z: FloatArray, onto: FloatArray, z_onto: FloatArray
) -> NDArray[np.floating] | None:
    """Return one canonical direction of a batch on the scale of the reference batch.

    Args:
        weights: weights of the batch's samples ``(samples,)``.
        z: z-scored data of the batch ``(samples, features)``.
        onto, z_onto: weights and z-scored data of the reference batch.

    Returns:
        For each sample ``(samples,)`` the mean weight of the reference's samples that it is warped to; None
        if no feature has the same direction in both batches.
    """
    used = shared_features(weights, z, onto, z_onto)
    if len(used) == 0:
        return None
    order, order_onto = thinned(np.argsort(weights, kind="stable")), thinned(np.argsort(onto, kind="stable"))
    own = reference_range((z[:, used] @ (z[:, used].T @ weights))[order])
    other = reference_range((z_onto[:, used] @ (z_onto[:, used].T @ onto))[order_onto])
    gap = np.quantile(own, SHIFTS) - np.quantile(other, SHIFTS)
    i, j = warp(own, other + gap[np.abs(gap).argmin()])
    mapped = np.bincount(i, onto[order_onto][j]) / np.bincount(i)
    if len(order) == len(weights):
        aligned = np.empty(len(weights))
        aligned[order] = mapped
        return aligned
    return np.interp(weights, weights[order], mapped)


def shared_features(
    weights: FloatArray, z: FloatArray, onto: FloatArray, z_onto: FloatArray
) -> NDArray[np.intp]:
    """Return the ``FEATURES`` features that follow the direction best, judged in the worse of the batches."""
    best = strongest(z.T @ weights, z_onto.T @ onto, CANDIDATES)
    own, other = biweight(weights, z[:, best]), biweight(onto, z_onto[:, best])
    order = strongest(own, other, len(best))
    order = order[np.sign(own[order]) == np.sign(other[order])]
    return best[order[:FEATURES]]


def strongest(a: FloatArray, b: FloatArray, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` features, ordered by the lower one of their two ranks by absolute value.

    The feature with the highest lower rank comes first.
    """
    worse = np.minimum(rankdata(np.abs(a)), rankdata(np.abs(b)))
    return np.argsort(-worse, kind="stable")[:most]


def biweight(x: FloatArray, z: FloatArray) -> FloatArray:
    """Return the biweight midcorrelation of ``x (samples,)`` with columns of ``z (samples, features)``."""
    return _biweights(x[:, None])[:, 0] @ _biweights(z)


def _biweights(x: FloatArray) -> FloatArray:
    """Return columns of length 1, centred at the median, with less weight on outliers.

    A constant column becomes 0. If half of a column's values are equal, its median deviation is 0; such a
    column is only centred at its mean.
    """
    centred = x - np.median(x, axis=0)
    mad = np.median(np.abs(centred), axis=0)
    u = centred / (9 * np.where(mad > 0, mad, 1))
    robust = centred * np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0)
    values = np.where(mad > 0, robust, x - x.mean(axis=0))
    length = np.linalg.norm(values, axis=0)
    return values / np.where(length > 0, length, 1)


def reference_range(x: FloatArray) -> FloatArray:
    """Return ``x``, shifted and scaled so that its quantiles ``RANGE`` are 0 and 1."""
    low, high = np.quantile(x, RANGE)
    return (x - low) / ((high - low) or 1.0)


def thinned(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most ``LONGEST`` evenly spaced entries, including the first and the last."""
    places = np.linspace(0, len(order) - 1, min(len(order), LONGEST)).round().astype(int)
    return order[places]


def warp(x: FloatArray, y: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the path of least cost through two series, from their first to their last entries.

    A step moves on by one entry in one series, at the cost of the distance there, or in both, at twice this
    cost (Sakoe & Chiba 1978, the default ``symmetric2`` of R's dtw). Of equally good steps R prefers the one
    in both series, then the one in ``y``.

    Args:
        x, y: the two series ``(n,)`` and ``(m,)``.

    Returns:
        The indices in ``x`` and in ``y`` of the entries that are matched, in order.
    """
    n, m = len(x), len(y)
    step = np.empty((n, m), np.uint8)
    by_place, backwards = step.reshape(-1), y[::-1].copy()  # an anti-diagonal is a slice of either
    last, last_but_one, now = (np.full(n + 1, np.inf) for _ in range(3))  # cost of row i at i + 1; none at 0
    for s in range(n + m - 1):  # one anti-diagonal at a time; its entries do not depend on each other
        start, stop = max(0, s - m + 1), min(n - 1, s) + 1
        distance = np.abs(x[start:stop] - backwards[m - 1 - s + start : m - 1 - s + stop])
        both = last_but_one[start:stop] + 2 * distance
        left, up = last[start + 1 : stop + 1] + distance, last[start:stop] + distance
        one = np.minimum(left, up)
        taken = np.where(both <= one, DIAGONAL, np.where(left <= up, LEFT, UP))
        by_place[start * m + s - start : (stop - 1) * m + s - stop + 2 : max(m - 1, 1)] = taken
        now.fill(np.inf)
        now[start + 1 : stop + 1] = np.minimum(both, one) if s else distance
        last, last_but_one, now = now, last, last_but_one
    row, column = n - 1, m - 1
    path = [(row, column)]
    while row or column:
        taken = step[row, column]
        row, column = row - (taken != LEFT), column - (taken != UP)
        path.append((row, column))
    found = np.array(path[::-1])
    return found[:, 0], found[:, 1]
