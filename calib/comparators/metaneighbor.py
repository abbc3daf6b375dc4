"""MetaNeighbor, which measures the similarity of clusters of different batches without labels.

``calib.methods.bermuda`` uses it to pair clusters. Crow et al. 2018 (doi 10.1038/s41467-018-03282-0), as
BERMUDA uses it; original code https://github.com/maggiecrow/MetaNeighbor.
"""

import logging
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from calib.data.study import FloatArray

log = logging.getLogger(__name__)

Array = NDArray[np.floating]
Index = NDArray[np.integer]

LIMIT = 7000
"""Largest number of samples that are compared with each other."""
ROWS = 256
"""Rows of a matrix that are mirrored at a time."""


def compared(cluster: Index, rng: np.random.Generator, limit: int = LIMIT) -> Index:
    """Return the rows to compare, in ascending order: all rows, or random ones if there are too many.

    Above ``limit`` samples the same number of rows is drawn of every cluster, or all of a smaller cluster.
    This number is the largest that keeps the total within ``limit``, but at least one.

    Args:
        cluster: cluster of each sample ``(samples,)``, 0 to clusters - 1.
        rng: source of the random rows.
        limit: largest number of rows.
    """
    if len(cluster) <= limit:
        return np.arange(len(cluster))
    sizes = np.bincount(cluster)
    counts = range(1, int(sizes.max()) + 1)
    most = max(1, bisect_right(counts, limit, key=lambda count: int(np.minimum(sizes, count).sum())))
    members = (np.flatnonzero(cluster == k) for k in range(len(sizes)))
    chosen = [rows if len(rows) <= most else rng.choice(rows, most, replace=False) for rows in members]
    log.info("Clusters are compared by at most %d samples of each, drawn at random.", most)
    return np.sort(np.concatenate(chosen))


def similarity(x: FloatArray, cluster: Index, batch: Index) -> Array:
    """Return how well each cluster is separated from the rest of its batch by its similarity to another one.

    Samples are compared by rank correlation. Every sample votes for a cluster with its share of the
    correlation ranks. Entry (i, k) is the area under the ROC curve of the votes for cluster k, which separate
    cluster i from the rest of its batch, averaged with entry (k, i).

    Args:
        x: data ``(samples, features)``.
        cluster: cluster of each sample ``(samples,)``, 0 to clusters - 1, each within one batch.
        batch: batch of each sample ``(samples,)``.

    Returns:
        A symmetric matrix ``(clusters, clusters)``, from 0 to 1. A cluster that is alone in its batch cannot
        be separated from anything: its entries come from the other direction alone, and are NaN if that is
        missing too.
    """
    votes = _votes(x, cluster)
    auc = np.full((votes.shape[1],) * 2, np.nan)
    for name in np.unique(batch):
        own = batch == name
        ranks = rankdata(votes[own], axis=0)
        for i in np.unique(cluster[own]):
            members = cluster[own] == i
            positive, negative = members.sum(), (~members).sum()
            if negative:
                auc[i] = (ranks[members].mean(axis=0) - (positive + 1) / 2) / negative
    both = np.stack([auc, auc.T])
    known = ~np.isnan(both)
    with np.errstate(invalid="ignore"):
        return np.where(known, both, 0).sum(axis=0) / known.sum(axis=0)


def _votes(x: FloatArray, cluster: Index) -> Array:
    """Return each cluster's share ``(samples, clusters)`` of every sample's correlation ranks."""
    ranked = rankdata(x, axis=1)
    ranked -= ranked.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranked, axis=1, keepdims=True)
    varying = length[:, 0] > 0
    ranked /= np.where(length > 0, length, 1)
    correlation = ranked @ ranked.T
    if varying.all():
        weight = _symmetric_ranks(correlation)
    else:  # undefined correlations have rank 0
        defined, weight = np.ix_(varying, varying), np.zeros_like(correlation)
        weight[defined] = _symmetric_ranks(correlation[defined])
    weight /= max(weight.max(), 1)
    total = np.where(varying, weight.sum(axis=0), 1)  # a constant sample has no correlation and no vote
    return (weight @ np.eye(cluster.max() + 1)[cluster]) / total[:, None]


def _symmetric_ranks(correlation: Array) -> Array:
    """Return the ranks of a symmetric matrix's entries among all of them, with 1 on its diagonal.

    They are those of ``scipy.stats.rankdata``, but only one triangle is sorted: an entry above the diagonal
    counts twice. Equal entries share the mean of their ranks.
    """
    n = len(correlation)
    above = ~np.tri(n, dtype=bool)
    value = correlation[above]
    order = np.argsort(value)
    value = value[order]
    first = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]])) if len(value) else order
    times, level = np.diff(first, append=len(value)), value[first]
    before, count = 2 * first + n * (level > 1), 2 * times + n * (level == 1)  # with the diagonal
    triangle = np.empty(len(value))
    triangle[order] = np.repeat(before + (count + 1) / 2, times)
    ranks = np.zeros((n, n))
    ranks[above] = triangle
    for start in range(0, n, ROWS):  # by blocks, which fit the processor's cache
        rows, later = slice(start, start + ROWS), slice(start + ROWS, None)
        ranks[later, rows] = ranks[rows, later].T
        ranks[rows, rows] += ranks[rows, rows].T.copy()
    smaller, equal = np.searchsorted(value, 1, "left"), np.searchsorted(value, 1, "right")
    np.fill_diagonal(ranks, 2 * smaller + (2 * (equal - smaller) + n + 1) / 2)
    return ranks


def best_pairs(similar: Array, batch_of: Index, threshold: float) -> list[tuple[int, int]]:
    """Return the most similar pairs of clusters of different batches.

    In each pair one cluster is, within its batch, the most similar one to the other cluster.

    Args:
        similar: similarity ``(clusters, clusters)``; NaN counts as 0.
        batch_of: batch of each cluster ``(clusters,)``.
        threshold: smallest similarity of a pair.
    """
    similar = np.nan_to_num(similar)
    chosen = set()
    for i, own in enumerate(batch_of):
        for other in np.unique(batch_of):
            if other != own:
                k = int(np.argmax(np.where(batch_of == other, similar[i], -1)))
                if similar[i, k] >= threshold:
                    chosen.add((min(i, k), max(i, k)))
    return sorted(chosen)
