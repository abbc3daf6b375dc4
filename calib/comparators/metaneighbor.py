"""Similarity of clusters of different batches: MetaNeighbor without supervision.

Crow et al. 2018 (doi 10.1038/s41467-018-03282-0), as BERMUDA uses it; original code
https://github.com/maggiecrow/MetaNeighbor.
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
"""Most samples that are compared, each with each other."""


def compared(cluster: Index, rng: np.random.Generator, limit: int = LIMIT) -> Index:
    """Rows whose similarity is looked at, ascending: all, or above ``limit`` only some of the large clusters.

    As many of every cluster, or all of it, as keep the whole within ``limit``, but at least one.

    Args:
        cluster: cluster of each sample ``(samples,)``, 0 to clusters - 1.
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
    """How well one cluster is told from the rest of its batch by its resemblance to another cluster.

    Samples are compared by rank correlation. Every sample votes for a cluster with its share of the
    correlation ranks; entry (i, k) is the area under the ROC curve of the votes for cluster k, telling
    cluster i from the rest of its batch, averaged with (k, i).

    Args:
        x: ``(samples, features)``.
        cluster: cluster of each sample ``(samples,)``, 0 to clusters - 1, each within one batch.
        batch: batch of each sample ``(samples,)``.

    Returns:
        ``(clusters, clusters)``, symmetric, from 0 to 1. The only cluster of its batch cannot be told
        from anything: its entries come from the other direction alone, and are NaN where there is none.
    """
    votes = _votes(x, cluster)
    auc = np.full((votes.shape[1],) * 2, np.nan)
    for i in range(len(auc)):
        members = cluster == i
        own = batch == batch[members][0]
        positive, negative = members.sum(), own.sum() - members.sum()
        if negative:
            ranks = rankdata(votes[own], axis=0)
            auc[i] = (ranks[members[own]].mean(axis=0) - (positive + 1) / 2) / negative
    both = np.stack([auc, auc.T])
    known = ~np.isnan(both)
    with np.errstate(invalid="ignore"):
        return np.where(known, both, 0).sum(axis=0) / known.sum(axis=0)


def _votes(x: FloatArray, cluster: Index) -> Array:
    """Share ``(samples, clusters)`` of a sample's correlation ranks that each cluster holds."""
    ranked = rankdata(x, axis=1)
    ranked -= ranked.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranked, axis=1, keepdims=True)
    varying = length[:, 0] > 0
    ranked /= np.where(length > 0, length, 1)
    correlation = ranked @ ranked.T
    np.fill_diagonal(correlation, 1)
    defined = np.outer(varying, varying)
    correlation[defined] = rankdata(correlation[defined])  # all entries jointly; undefined ones become 0
    correlation[~defined] = 0
    weight = correlation
    weight /= max(weight.max(), 1)
    total = np.where(varying, weight.sum(axis=0), 1)  # a constant sample has no correlation, so no vote
    return (weight @ np.eye(cluster.max() + 1)[cluster]) / total[:, None]


def best_pairs(similar: Array, batch_of: Index, threshold: float) -> list[tuple[int, int]]:
    """Pairs of clusters of different batches, one the most similar to the other in its batch.

    Args:
        similar: ``(clusters, clusters)``; NaN counts as not similar.
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
