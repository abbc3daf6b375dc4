from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.metaneighbor import best_pairs, similarity

GOLDEN = Path(__file__).parent / "golden"


def test_similarity_is_metaneighbors() -> None:
    x = pd.read_csv(GOLDEN / "metaneighbor" / "input.csv", index_col=0).to_numpy().T
    cells = pd.read_csv(GOLDEN / "metaneighbor" / "cells.csv")
    expected = pd.read_csv(GOLDEN / "metaneighbor" / "auroc_symmetrised.csv", index_col=0)
    got = similarity(x, cells["cluster"].to_numpy() - 1, cells["study"].to_numpy())
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("threshold", ["0.75", "0.85", "0.9"])
def test_pairs_are_bermudas(threshold: str) -> None:
    similar = pd.read_csv(GOLDEN / "bermuda" / "similarity.csv").to_numpy()
    expected = np.loadtxt(GOLDEN / "bermuda" / f"pairs_thr{threshold}.csv", delimiter=",", ndmin=2)
    got = best_pairs(similar, np.array([0, 0, 0, 1, 1, 2, 2]), float(threshold))
    np.testing.assert_array_equal(np.array(got) + 1, expected[:, :2])


def test_the_only_cluster_of_a_batch_is_compared_from_the_other_side() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 30)) * 3
    one = rng.normal(centres[0], 1, (9, 30))
    two = [rng.normal(centre, 1, (9, 30)) for centre in centres]
    x = np.concatenate([one, *two])
    similar = similarity(x, np.repeat([0, 1, 2], 9), np.repeat([0, 1, 1], 9))
    assert similar[0, 1] == 1
    assert similar[0, 2] == 0
    assert best_pairs(similar, np.array([0, 1, 1]), 0.85) == [(0, 1)]


def test_two_batches_of_one_cluster_each_are_no_pair() -> None:
    x = np.random.default_rng(0).normal(size=(12, 5))
    similar = similarity(x, np.repeat([0, 1], 6), np.repeat([0, 1], 6))
    assert np.isnan(similar).all()
    assert best_pairs(similar, np.array([0, 1]), 0.85) == []


def test_a_constant_sample_has_no_vote() -> None:
    x = np.random.default_rng(0).normal(size=(12, 5))
    x[3] = 1
    similar = similarity(x, np.repeat([0, 1, 2, 3], 3), np.repeat([0, 1], 6))
    assert np.isfinite(similar).all()
