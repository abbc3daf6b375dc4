"""Tests of MetaNeighbor against the original code, and of the pairs and samples chosen with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.comparators.metaneighbor import best_pairs, compared, similarity

GOLDEN = Path(__file__).parents[1] / "golden"


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


def test_below_the_limit_all_samples_are_compared() -> None:
    assert compared(np.repeat([0, 1], 6), np.random.default_rng(0), limit=12).tolist() == list(range(12))


def test_above_the_limit_large_clusters_are_sampled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [50, 3, 20]))
    rows, again = (compared(cluster, np.random.default_rng(0), limit=30) for _ in range(2))
    assert rows.tolist() == again.tolist() == sorted(set(rows.tolist()))
    assert np.bincount(cluster[rows]).tolist() == [13, 3, 13]
    assert "by at most 13 samples of each" in caplog.text
    assert len(compared(cluster, np.random.default_rng(0), limit=1)) == 3  # one of each cluster at least


def test_samples_show_what_the_whole_shows() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 30)) * 3
    x = np.concatenate([rng.normal(centres[k % 2], 1, (60, 30)) for k in range(4)])
    cluster, batch = np.repeat(np.arange(4), 60), np.repeat([0, 1], 120)
    rows = compared(cluster, rng, limit=80)
    whole, part = similarity(x, cluster, batch), similarity(x[rows], cluster[rows], batch[rows])
    np.testing.assert_allclose(part, whole, atol=0.1)
