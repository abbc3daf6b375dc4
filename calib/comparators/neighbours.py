"""Nearest neighbours between two sets of samples, and pairs that are nearest neighbours of each other.

``calib.methods.mnn``, ``calib.methods.seurat``, ``calib.comparators.clusters`` and
``calib.comparators.seurat.anchors`` use them. The order of the pairs and the approximate search (Annoy, 50
trees) are Seurat's.
"""

import numpy as np
from numpy.typing import NDArray
from openTSNE.nearest_neighbors import Annoy
from sklearn.neighbors import NearestNeighbors

from calib.data.study import FloatArray

Index = NDArray[np.intp]

EXACT = 20_000
"""Largest number of samples that are searched exactly; among more, neighbours are approximate."""
TREES = 50
"""Number of random trees of the approximate search (Seurat's number)."""
ASKED = 50
"""Fewest neighbours that the trees are asked for, the first ``k`` of which count: more are found so."""
SEED = 0
"""Seed of these trees, which is fixed so that corrections do not depend on a run's seed."""


def nearest(data: FloatArray, query: FloatArray, k: int) -> tuple[Index, FloatArray]:
    """Return the ``k`` samples of ``data`` that are nearest to every sample of ``query``, nearest first.

    The search is exact up to ``EXACT`` samples of ``data``. For more it uses Annoy's random projection trees,
    whose time grows hardly faster than the samples; docs/methods.md says how many true neighbours they find.

    Args:
        data: samples to search ``(samples, dimensions)``.
        query: samples whose neighbours are wanted ``(queries, dimensions)``.
        k: number of neighbours, at most the number of samples.

    Returns:
        Rows of ``data`` and Euclidean distances to them, ``(queries, k)`` each.
    """
    if len(data) <= EXACT:
        return exactly_nearest(data, query, k)
    trees = Annoy(data, 1, random_state=SEED, knn_kwargs={"n_trees": TREES})
    trees.build()
    k = min(k, len(data))
    index, distance = trees.query(query, min(max(k, ASKED), len(data)))
    return index[:, :k], distance[:, :k]


def exactly_nearest(data: FloatArray, query: FloatArray, k: int) -> tuple[Index, FloatArray]:
    """Return what ``nearest`` does, searched exactly among any number of samples."""
    neighbours = NearestNeighbors(n_neighbors=min(k, len(data))).fit(data)
    distance, index = neighbours.kneighbors(query)
    return index, distance


def nearest_others(x: FloatArray, k: int) -> Index:
    """Return the ``k`` samples nearest to every sample, without itself ``(samples, k)``, nearest first.

    The search is that of ``nearest``.

    Args:
        x: data ``(samples, dimensions)``.
        k: number of neighbours, fewer than the samples.
    """
    if len(x) <= EXACT:
        others: Index = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
        return others
    index = nearest(x, x, k + 1)[0]
    itself = index == np.arange(len(x))[:, None]
    last = np.argsort(
        itself, axis=1, kind="stable"
    )  # itself goes last; if it is not there, the farthest does
    return np.take_along_axis(index, last, axis=1)[:, :k]


def mutual_pairs(a_to_b: Index, b_to_a: Index) -> tuple[Index, Index]:
    """Return the pairs of samples of ``a`` and ``b`` that are among each other's neighbours.

    Args:
        a_to_b: neighbours in ``b`` of every sample of ``a`` ``(samples of a, k)``.
        b_to_a: neighbours in ``a`` of every sample of ``b`` ``(samples of b, k)``.

    Returns:
        The pairs' rows in ``a`` and in ``b``. They are ordered by the row in ``a``, then by the place of
        this row among the neighbours of the row in ``b`` (Seurat's order).
    """
    a, b = np.repeat(np.arange(len(a_to_b)), a_to_b.shape[1]), a_to_b.ravel()
    rank = ranks(b_to_a, b, a)
    mutual = rank < b_to_a.shape[1]
    a, b, rank = a[mutual], b[mutual], rank[mutual]
    order = np.lexsort((rank, a))
    return a[order], b[order]


def ranks(neighbours: Index, rows: Index, wanted: Index) -> Index:
    """Return, for each pair, the place of ``wanted`` among the neighbours of ``rows``, counted from 0.

    The place is ``k`` if ``wanted`` is not among them.

    Args:
        neighbours: neighbours of every sample ``(samples, k)``.
        rows, wanted: a sample and the sample that is looked for among its neighbours, ``(pairs,)`` each.
    """
    k = neighbours.shape[1]
    found = np.full(len(rows), k)
    for rank in range(k):  # one column at a time, because all at once would take k times the memory
        found[neighbours[rows, rank] == wanted] = rank
    return found
