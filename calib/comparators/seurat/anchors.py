"""Anchors between two batches: mutual nearest neighbours in a canonical embedding, filtered and scored.

``calib.methods.seurat`` uses them. Stuart et al. 2019 (doi 10.1016/j.cell.2019.05.031), computed as by
Seurat 4.3.0.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from calib.comparators.neighbours import Index, mutual_pairs, nearest, ranks
from calib.comparators.seurat.canonical import canonical_pair, most_dims, varying, z_scores
from calib.data.study import FloatArray

PER_DIMENSION = 100
"""Largest number of features that one dimension adds to the filter."""
QUANTILES = (0.01, 0.90)
"""Quantiles of the number of shared neighbours that get the scores 0 and 1."""


@dataclass(frozen=True)
class Anchors:
    """Pairs of samples of two batches that are taken to be of the same kind.

    Attributes:
        a, b: rows in the two batches ``(anchors,)``.
        score: how well the samples' neighbourhoods agree, from 0 to 1 ``(anchors,)``.
    """

    a: Index
    b: Index
    score: FloatArray

    def __len__(self) -> int:
        return len(self.a)


def find_anchors(
    a: FloatArray, b: FloatArray, dims: int, k_anchor: int, k_filter: int, k_score: int, max_features: int
) -> Anchors:
    """Return the anchors between two batches ``(samples, features)``.

    If a batch has fewer samples than a number of neighbours, all of them are neighbours.

    Args:
        a, b: data of the two batches ``(samples, features)``.
        dims: canonical dimensions; at most as many as the smaller batch and the features allow.
        k_anchor: number of neighbours among which mutual ones are looked for.
        k_filter: an anchor is kept if, in the data, its second sample is among so many nearest neighbours of
            the first; all anchors are kept if a batch has fewer samples.
        k_score: number of neighbours in either batch whose overlap is the score.
        max_features: number of features that the filter uses.
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
    """Return the features with the largest and smallest loadings, the same number for each dimension.

    This number is the largest for which there are fewer features in all than ``most``, or than twice the
    dimensions if that is more.

    Args:
        loadings: loadings of the features ``(features, dims)``.
        most: the bound on the number of features.
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
    """Return the number of common neighbours of each pair ``(pairs,)``.

    Args:
        a, b: neighbours ``(samples, k)``, both in the same batch.
        rows_a, rows_b: rows of the pairs in ``a`` and ``b``.
    """
    size = 1 + max(a.max(), b.max())
    members = (
        sparse.csr_array((np.ones(x.size), x.ravel(), np.arange(0, x.size + 1, x.shape[1])), (len(x), size))
        for x in (a, b)
    )
    of_a, of_b = members
    return np.asarray(of_a[rows_a].multiply(of_b[rows_b]).sum(axis=1)).ravel()


def rescaled(shared: FloatArray) -> FloatArray:
    """Return scores from 0 to 1 between the ``QUANTILES``, or 1 for all pairs if these are equal."""
    if len(shared) == 0:
        return shared
    low, high = np.quantile(shared, QUANTILES)
    return np.clip((shared - low) / (high - low), 0, 1) if high > low else np.ones_like(shared)
