"""Clusters of samples without labels, by neighbour graphs and Louvain's method.

``calib.methods.bermuda`` clusters every batch on a graph of shared neighbours, as Seurat does.
``calib.methods.desc`` clusters all samples on a graph of neighbours, as scanpy does. Louvain's method is
Blondel et al. 2008 (doi 10.1088/1742-5468/2008/10/P10008).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from calib.comparators.neighbours import nearest_others
from calib.data.study import FloatArray

TOLERANCE = 1e-7
"""Smallest gain of modularity for which Louvain's method continues."""


def neighbours(x: FloatArray, k: int) -> NDArray[np.intp]:
    """Return the ``k`` nearest samples of every sample, itself first, as indices ``(samples, k)``.

    If there are fewer than ``k`` samples, all of them are neighbours. Among many samples the search is
    approximate (``calib.comparators.neighbours``).
    """
    k = min(k, len(x))
    itself = np.arange(len(x))[:, None]
    if k < 2:
        return itself
    return np.hstack([itself, nearest_others(x, k - 1)])


def shared_neighbours(nearest: NDArray[np.intp], prune: float) -> sparse.csr_array:
    """Return a graph of the Jaccard index of every two samples' neighbourhoods (Seurat's ``FindNeighbors``).

    Args:
        nearest: neighbours of every sample, itself included ``(samples, k)``.
        prune: smaller weights become 0.

    Returns:
        A symmetric matrix ``(samples, samples)``, with 1 on the diagonal.
    """
    n, k = nearest.shape
    member = sparse.csr_array((np.ones(n * k), nearest.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    graph = sparse.csr_array(member @ member.T)
    graph.data /= 2 * k - graph.data
    graph.data[graph.data < prune] = 0
    graph.eliminate_zeros()
    return graph


def either_neighbours(nearest: NDArray[np.intp]) -> sparse.csr_array:
    """Return a graph with an edge of weight 1 between two samples if either is a neighbour of the other.

    scanpy gives this graph to Louvain's method: by default it leaves out the weights of its neighbour graph.

    Args:
        nearest: neighbours of every sample ``(samples, k)``; the sample itself does not count.

    Returns:
        A symmetric matrix ``(samples, samples)``, with 0 on the diagonal.
    """
    n, k = nearest.shape
    edge = (nearest != np.arange(n)[:, None]).ravel().astype(float)
    directed = sparse.csr_array((edge, nearest.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    graph = sparse.csr_array(directed.maximum(directed.T))
    graph.eliminate_zeros()
    return graph


def louvain(graph: sparse.csr_array, resolution: float, starts: int, seed: int) -> NDArray[np.intp]:
    """Return the clusters of largest modularity, numbered from the largest cluster down.

    Blondel et al. 2008 (doi 10.1088/1742-5468/2008/10/P10008).

    Args:
        graph: symmetric weights ``(samples, samples)``; the diagonal is left out.
        resolution: resolution of the modularity; a larger one gives more and smaller clusters.
        starts: number of random orders of the samples; the clusters of the best order are returned.
        seed: seed of the random orders.

    Returns:
        The cluster of every sample ``(samples,)``, from 0.
    """
    graph = sparse.csr_matrix(graph - sparse.diags_array(graph.diagonal()))
    graph.eliminate_zeros()
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    if graph.nnz == 0:
        return np.arange(graph.shape[0])
    from sknetwork.clustering import Louvain, get_modularity  # not for a plan of runs

    best, found = -np.inf, np.zeros(graph.shape[0], np.intp)
    for start in np.random.SeedSequence(seed).generate_state(starts):
        method = Louvain(
            resolution, "newman", TOLERANCE, TOLERANCE, shuffle_nodes=True, random_state=int(start)
        )
        labels = method.fit_predict(graph)
        modularity = get_modularity(graph, labels, resolution=resolution)
        if modularity > best:
            best, found = modularity, labels
    return found.astype(np.intp)
