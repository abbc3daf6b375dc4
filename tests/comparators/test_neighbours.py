"""Tests of nearest and mutual nearest neighbours against their definitions."""

import numpy as np
import pytest

import calib.comparators.neighbours
from calib.comparators.neighbours import mutual_pairs, nearest, nearest_others, ranks


def test_mutual_pairs_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(17, 3)), rng.normal(size=(23, 3)) + 0.3
    k = 4
    distance = np.linalg.norm(a[:, None] - b, axis=2)
    expected = {
        (i, j)
        for i in range(len(a))
        for j in range(len(b))
        if (distance[i] < distance[i, j]).sum() < k and (distance[:, j] < distance[i, j]).sum() < k
    }
    found = list(zip(*mutual_pairs(nearest(b, a, k)[0], nearest(a, b, k)[0]), strict=True))
    assert len(found) == len(set(found)) > k
    assert set(found) == expected
    assert [i for i, _ in found] == sorted(i for i, _ in found)


def test_more_neighbours_than_samples_are_all_samples() -> None:
    index, distance = nearest(np.array([[0.0], [3.0], [1.0]]), np.array([[0.9]]), 30)
    np.testing.assert_array_equal(index, [[2, 0, 1]])
    np.testing.assert_allclose(distance, [[0.1, 0.9, 2.1]])


def test_ranks() -> None:
    table = np.array([[4, 2, 7], [0, 1, 2]])
    np.testing.assert_array_equal(ranks(table, np.array([0, 0, 1, 1]), np.array([7, 5, 0, 1])), [2, 3, 0, 1])


def test_many_samples_are_searched_approximately_but_always_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    data, query = rng.normal(size=(2000, 10)), rng.normal(size=(300, 10))
    exact = nearest(data, query, 20)[0]
    monkeypatch.setattr(calib.comparators.neighbours, "EXACT", 100)
    (index, distance), again = nearest(data, query, 20), nearest(data, query, 20)
    np.testing.assert_array_equal(index, again[0])
    np.testing.assert_allclose(distance, np.linalg.norm(data[index] - query[:, None], axis=2), rtol=1e-5)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, index, strict=True)]) > 0.99


def test_a_sample_is_not_its_own_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(size=(600, 5))
    x[7] = x[8]  # samples at distance 0 of each other
    exact = nearest_others(x, 9)
    monkeypatch.setattr(calib.comparators.neighbours, "EXACT", 100)
    found = nearest_others(x, 9)
    assert found.shape == (600, 9)
    assert not (found == np.arange(600)[:, None]).any()
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]) > 0.99
