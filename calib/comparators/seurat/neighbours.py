"""Nearest neighbours between two sets of samples, and the pairs that are so mutually.

What MNN and Seurat's anchors share.
"""

import numpy as np
from numpy.typing import NDArray
from openTSNE.nearest_neighbors import Annoy
from sklearn.neighbors import NearestNeighbors

from calib.data.study import FloatArray

Index = NDArray[np.intp]

EXACT = 20_000
"""Most samples that are searched exactly; among more, neighbours are approximate."""
TREES = 50
"""Random trees of the approximate search (Seurat's number)."""
SEED = 0
"""Of those trees: they are part of the search, so that corrections do not depend on a run's seed."""


def nearest(data: FloatArray, query: FloatArray, k: int) -> tuple[Index, FloatArray]:
    """The ``k`` samples of ``data`` nearest to every sample of ``query``, nearest first.

    Exact up to ``EXACT`` samples of ``data``; from there on by Annoy's random projection trees.

    Args:
        data: ``(samples, dimensions)``.
        query: ``(queries, dimensions)``.
        k: number of neighbours; with fewer samples, all of them.

    Returns:
        Rows of ``data`` and Euclidean distances to them, ``(queries, k)`` each.
    """
    k = min(k, len(data))
    if len(data) <= EXACT:
        distance, index = NearestNeighbors(n_neighbors=k).fit(data).kneighbors(query)
    else:
        trees = Annoy(data, 1, random_state=SEED, knn_kwargs={"n_trees": TREES})
        trees.build()
        index, distance = trees.query(query, k)
    return index, distance


def mutual_pairs(a_to_b: Index, b_to_a: Index) -> tuple[Index, Index]:
    """Pairs of samples of ``a`` and ``b`` that are among each other's neighbours.

    Args:
        a_to_b: neighbours in ``b`` of every sample of ``a`` ``(samples of a, k)``.
        b_to_a: neighbours in ``a`` of every sample of ``b`` ``(samples of b, k)``.

    Returns:
        The pairs' rows in ``a`` and in ``b``: by row in ``a``, then by how near it is to the one in ``b``
        among ``a`` (Seurat's order).
    """
    a, b = np.repeat(np.arange(len(a_to_b)), a_to_b.shape[1]), a_to_b.ravel()
    rank = ranks(b_to_a, b, a)
    mutual = rank < b_to_a.shape[1]
    a, b, rank = a[mutual], b[mutual], rank[mutual]
    order = np.lexsort((rank, a))
    return a[order], b[order]


def ranks(neighbours: Index, rows: Index, wanted: Index) -> Index:
    """Place of ``wanted`` among the neighbours of ``rows``, from 0, for each pair; ``k`` where it is none.

    Args:
        neighbours: ``(samples, k)``.
        rows, wanted: ``(pairs,)`` each.
    """
    k = neighbours.shape[1]
    found = np.full(len(rows), k)
    for rank in range(k):  # a column at a time: all at once would take k times the memory
        found[neighbours[rows, rank] == wanted] = rank
    return found
