"""Anchors between two batches: mutual nearest neighbours of a canonical embedding, filtered and scored.

Stuart et al. 2019 (doi 10.1016/j.cell.2019.05.031), as Seurat 4.3.0 does it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from calib.comparators.seurat.canonical import canonical_pair, most_dims, varying, z_scores
from calib.comparators.seurat.neighbours import Index, mutual_pairs, nearest, ranks
from calib.data.study import FloatArray

PER_DIMENSION = 100
"""Most features that one dimension brings to the filter."""
QUANTILES = (0.01, 0.90)
"""Shared neighbours that become score 0 and 1."""


@dataclass(frozen=True)
class Anchors:
    """Pairs of samples of two batches that are taken for the same kind.

    Attributes:
        a, b: rows in the two batches ``(anchors,)``.
        score: from 0 to 1, how well the surroundings agree ``(anchors,)``.
    """

    a: Index
    b: Index
    score: FloatArray

    def __len__(self) -> int:
        return len(self.a)


def find_anchors(
    a: FloatArray, b: FloatArray, dims: int, k_anchor: int, k_filter: int, k_score: int, max_features: int
) -> Anchors:
    """Anchors between two batches ``(samples, features)``.

    Wherever a batch has fewer samples than neighbours are asked for, all of them are neighbours.

    Args:
        dims: canonical dimensions; at most as many as the smaller batch and the features allow.
        k_anchor: neighbours among which a mutual one is looked for.
        k_filter: an anchor stays if, in the data, its second sample is among so many nearest of the first;
            all stay where a batch has fewer samples.
        k_score: neighbours in either batch whose overlap is the score.
        max_features: features that the filter looks at.
    """
    used = varying([a, b])
    z_a, z_b = z_scores(a[:, used]), z_scores(b[:, used])
    u, v = canonical_pair(z_a, z_b, min(dims, most_dims([z_a, z_b])))
    e_a, e_b = normalize(u), normalize(v)
    k = max(k_anchor, k_score)
    ab, ba = nearest(e_b, e_a, k)[0], nearest(e_a, e_b, k)[0]
    pair_a, pair_b = mutual_pairs(ab[:, :k_anchor], ba[:, :k_anchor])
    if min(len(a), len(b)) >= k_filter:
        seen = np.flatnonzero(used)[top_features(z_a.T @ u + z_b.T @ v, max_features)]
        in_data = nearest(normalize(b[:, seen]), normalize(a[:, seen]), k_filter)[0]
        close = ranks(in_data, pair_a, pair_b) < in_data.shape[1]
        pair_a, pair_b = pair_a[close], pair_b[close]
    aa, bb = nearest(e_a, e_a, k_score)[0], nearest(e_b, e_b, k_score)[0]
    shared = overlap(aa, ba[:, :k_score], pair_a, pair_b) + overlap(ab[:, :k_score], bb, pair_a, pair_b)
    return Anchors(pair_a, pair_b, rescaled(shared))


def top_features(loadings: FloatArray, most: int) -> Index:
    """Features with the largest and smallest loadings, the same number of each dimension.

    Args:
        loadings: ``(features, dims)``.
        most: the number is as large as it can be with fewer than so many features in all (or, where that
            is more, than twice the dimensions).
    """
    features, dims = loadings.shape
    order = np.argsort(-loadings, axis=0, kind="stable")

    def chosen(each: int) -> Index:
        if each == 1:
            return np.unique(np.abs(loadings).argmax(axis=0))
        half = round(each / 2)
        return np.unique(np.concatenate([order[:half], order[-half:]]))

    choices = [chosen(min(each, features)) for each in range(1, PER_DIMENSION + 1)]
    return max((c for c in choices if len(c) < max(2 * dims, most)), key=len)


def overlap(a: Index, b: Index, rows_a: Index, rows_b: Index) -> FloatArray:
    """Number of common neighbours of each pair ``(pairs,)``.

    Args:
        a, b: neighbours ``(samples, k)`` in the same batch.
        rows_a, rows_b: the pairs' rows.
    """
    size = 1 + max(a.max(), b.max())
    members = (
        sparse.csr_array((np.ones(x.size), x.ravel(), np.arange(0, x.size + 1, x.shape[1])), (len(x), size))
        for x in (a, b)
    )
    of_a, of_b = members
    return np.asarray(of_a[rows_a].multiply(of_b[rows_b]).sum(axis=1)).ravel()


def rescaled(shared: FloatArray) -> FloatArray:
    """Scores from 0 to 1 between the ``QUANTILES``; all 1 where these are the same."""
    if len(shared) == 0:
        return shared
    low, high = np.quantile(shared, QUANTILES)
    return np.clip((shared - low) / (high - low), 0, 1) if high > low else np.ones_like(shared)
