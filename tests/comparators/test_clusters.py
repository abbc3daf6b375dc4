"""Tests of neighbour graphs and of Louvain's method, whose clusters are compared with Seurat's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from calib.comparators.clusters import either_neighbours, louvain, neighbours, shared_neighbours

GOLDEN = Path(__file__).parents[1] / "golden" / "seurat"


@pytest.fixture(scope="module")
def pca():
    return pd.read_csv(GOLDEN / "batch1_pca.csv", index_col=0).to_numpy()


@pytest.fixture(scope="module")
def graph(pca):
    return shared_neighbours(neighbours(pca, 20), prune=1 / 15)


def test_shared_neighbours_are_seurats(graph):
    golden = pd.read_csv(GOLDEN / "batch1_snn.csv")
    expected = sparse.coo_array((golden.w, (golden.i, golden.j)), shape=graph.shape)
    np.testing.assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-12)


def test_clusters_are_seurats(graph):
    golden = pd.read_csv(GOLDEN / "batch1_clusters.csv")["cluster"]
    assert adjusted_rand_score(golden, louvain(graph, resolution=0.6, starts=10, seed=0)) == 1


def test_clusters_are_numbered_by_size_and_repeatable(graph):
    first = louvain(graph, resolution=0.6, starts=3, seed=5)
    assert (np.diff(np.bincount(first)) <= 0).all()
    np.testing.assert_array_equal(first, louvain(graph, resolution=0.6, starts=3, seed=5))


def test_more_starts_never_lower_the_modularity(pca):
    from sknetwork.clustering import get_modularity

    graph = shared_neighbours(neighbours(pca, 10), prune=1 / 15)
    quality = [
        get_modularity(
            sparse.csr_matrix(graph), louvain(graph, resolution=3, starts=starts, seed=1), resolution=3
        )
        for starts in (1, 5, 20)
    ]
    assert quality == sorted(quality)


def test_a_sample_is_its_own_first_neighbour_even_among_duplicates():
    x = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]])
    nearest = neighbours(x, 3)
    np.testing.assert_array_equal(nearest[:, 0], range(5))
    assert all(len(set(row)) == 3 for row in nearest)


def test_few_samples_are_all_neighbours():
    assert neighbours(np.arange(4.0)[:, None], 30).shape == (4, 4)


def test_an_edge_where_either_is_a_neighbour_of_the_other():
    graph = either_neighbours(neighbours(np.array([[0.0], [1.0], [1.5], [9.0]]), 2))
    np.testing.assert_array_equal(graph.toarray(), [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])


def test_samples_without_an_edge_are_clusters_of_their_own():
    assert sorted(louvain(sparse.csr_array(np.eye(4)), 1.0, starts=2, seed=0)) == [0, 1, 2, 3]
