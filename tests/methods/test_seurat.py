"""Tests of Seurat 3 against Seurat 4.3.0: anchors, scores, weights and corrected data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import calib.methods.seurat
from calib.comparators.seurat.anchors import Anchors, find_anchors, overlap, rescaled, top_features
from calib.comparators.seurat.canonical import principal_scores
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError
from calib.methods.seurat import Node, Seurat, anchor_weights, anchors_between, guide_tree
from calib.runtime import Runtime

GOLDEN = Path(__file__).parents[1] / "golden" / "seurat"
RUNTIME = Runtime(dtype=torch.float64)


def golden_corrector() -> Seurat:
    return Seurat(dims=10, k_anchor=5, k_filter=50, k_score=30, max_features=60, k_weight=30, sd_weight=1)


@pytest.fixture(scope="module")
def batches() -> list[FloatArray]:
    return [pd.read_csv(GOLDEN / f"batch{number}.csv").to_numpy() for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def integrated() -> list[FloatArray]:
    return np.split(pd.read_csv(GOLDEN / "integrated.csv").to_numpy(), [120, 220])


def samples(batches: list[FloatArray]) -> list[Samples]:
    return [Samples(str(number), x) for number, x in enumerate(batches, start=1)]


def test_anchors_and_their_scores_are_seurats(batches: list[FloatArray]) -> None:
    golden = pd.read_csv(GOLDEN / "anchors.csv")
    for i, j in ((0, 1), (0, 2), (1, 2)):
        found = find_anchors(batches[i], batches[j], 10, 5, 50, 30, 60)
        expected = golden[(golden.dataset1 == i + 1) & (golden.dataset2 == j + 1)]
        np.testing.assert_array_equal(found.a + 1, expected.cell1)  # the order is the same too
        np.testing.assert_array_equal(found.b + 1, expected.cell2)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-12)


def test_the_corrected_matrix_is_seurats(batches: list[FloatArray], integrated: list[FloatArray]) -> None:
    """The difference comes from irlba, which finds Seurat's components and stops at 1e-5 (see the next test)."""
    found = golden_corrector().correct(samples(batches), RUNTIME)
    for x, expected in zip(found.values(), integrated, strict=True):
        np.testing.assert_allclose(x, expected, atol=6e-6)
        assert np.median(np.abs(x - expected).max(axis=1)) < 1e-6
    np.testing.assert_array_equal(found["1"], batches[0])


@pytest.mark.parametrize(("reference", "query"), [([0], 1), ([0, 1], 2)])
def test_it_is_seurats_to_a_millionth_with_components_as_rough_as_irlbas(
    reference: list[int],
    query: int,
    batches: list[FloatArray],
    integrated: list[FloatArray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is enough to mix less than 2e-5 of each of the next ten components into the 9th and 10th."""
    corrector = golden_corrector()
    pairs = ((0, 1), (0, 2), (1, 2))
    anchors = {(i, j): corrector.anchors(batches[i], batches[j]) for i, j in pairs}
    nodes = Node(reference, [integrated[i] for i in reference]), Node([query], [batches[query]])

    def corrected(mixing: FloatArray) -> FloatArray:
        def rough(z: FloatArray, dims: int) -> FloatArray:
            scores = principal_scores(z, dims + 10)
            scores[:, dims - 2 : dims] += scores[:, dims:] @ mixing.reshape(10, 2)
            return scores[:, :dims]

        monkeypatch.setattr(calib.methods.seurat, "principal_scores", rough)
        return corrector.corrected(*nodes, anchors).data[0].ravel()

    plain = corrected(np.zeros(20))
    slopes = np.array([(corrected(1e-6 * unit) - plain) / 1e-6 for unit in np.eye(20)]).T
    mixing = np.linalg.lstsq(slopes, integrated[query].ravel() - plain)[0]
    assert np.abs(mixing).max() < 2e-5
    np.testing.assert_allclose(corrected(mixing), integrated[query].ravel(), atol=1e-6)


def test_overlap_and_score() -> None:
    a, b = np.array([[0, 1, 2], [3, 4, 5]]), np.array([[2, 1, 7], [5, 6, 7], [0, 1, 2]])
    np.testing.assert_array_equal(overlap(a, b, np.array([0, 1, 1, 0]), np.array([0, 1, 0, 2])), [2, 1, 0, 3])
    score = rescaled(np.arange(101.0))
    np.testing.assert_allclose(score[[0, 1, 45, 90, 100]], [0, 0, 44 / 89, 1, 1])
    np.testing.assert_array_equal(rescaled(np.full(3, 4.0)), 1)
    assert len(rescaled(np.empty(0))) == 0


def test_top_features_are_balanced_and_few_enough() -> None:
    loadings = np.array([[3.0, 0], [2, 1], [1, 9], [0, -9], [-1, -1], [-4, 0.5], [0.5, 0.2], [0.4, 0.3]])
    np.testing.assert_array_equal(top_features(loadings, 6), [0, 2, 3, 5])
    assert len(top_features(loadings, 200)) == 8
    rng = np.random.default_rng(0)
    assert 150 < len(top_features(rng.normal(size=(500, 10)), 200)) < 200


def test_weights_by_definition() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 3))
    anchors = Anchors(np.arange(25), rng.integers(0, 12, 25), rng.uniform(0, 1, 25))
    k, sd = 6, 0.7
    found = np.zeros((30, 25))
    calls: Callable = anchor_weights
    for rows, weights in calls(scores, anchors, k, sd):
        found[rows] = weights.toarray()
    anchored = sorted(set(anchors.b.tolist()))
    for i, place in enumerate(scores):
        distance = {j: np.linalg.norm(place - scores[j]) for j in anchored}
        nearest = sorted(anchored, key=lambda j: distance[j])[:k]
        used = [m for j in nearest for m in np.flatnonzero(anchors.b == j)][:k]
        raw = np.zeros(25)
        for m in used:
            close = 1 - distance[int(anchors.b[m])] / distance[nearest[-1]]
            raw[m] = 1 - np.exp(-close * anchors.score[m] / (2 / sd) ** 2)
        np.testing.assert_allclose(found[i], raw / raw.sum(), atol=1e-12)


def test_weights_that_are_all_zero_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, anchors = np.arange(5.0)[:, None], Anchors(np.arange(3), np.array([0, 2, 4]), np.zeros(3))
    monkeypatch.setattr(calib.methods.seurat, "WEIGHTS", 4)  # weights come in several slices
    parts = [weights.toarray() for _, weights in anchor_weights(scores, anchors, 2, 1.0)]
    assert len(parts) == 3
    np.testing.assert_array_equal(np.unique(np.concatenate(parts)), [0, 0.5])
    same = anchor_weights(np.zeros((5, 1)), Anchors(*anchors.__dict__.values()), 3, 1.0)
    assert all(np.isfinite(weights.toarray()).all() for _, weights in same)


def few(count: int) -> Anchors:
    rows = np.arange(count)
    return Anchors(rows, rows[::-1], np.ones(count))


def test_the_guide_tree_merges_the_closest_first() -> None:
    sizes = [50, 100, 80, 60]
    counts = {(0, 1): 9, (0, 2): 1, (0, 3): 20, (1, 2): 40, (1, 3): 0, (2, 3): 3}
    anchors = {pair: few(count) for pair, count in counts.items()}
    assert guide_tree(anchors, sizes) == [(1, 2), (0, 3), (4, 5)]
    assert guide_tree({(0, 1): few(4)}, [9, 9]) == [(0, 1)]


def test_anchors_of_merged_batches_count_on() -> None:
    anchors = {(0, 1): few(2), (0, 2): few(1), (1, 2): few(3)}
    x = [np.zeros((5, 1)), np.zeros((6, 1)), np.zeros((4, 1))]
    found = anchors_between(Node([2, 0], [x[2], x[0]]), Node([1], [x[1]]), anchors)
    np.testing.assert_array_equal(found.a, [4, 5, 2, 1, 0])
    np.testing.assert_array_equal(found.b, [1, 0, 0, 1, 2])


def test_small_batches_constant_features_and_sparse_data(batches: list[FloatArray]) -> None:
    x = [batches[0][:20], batches[1][:7], batches[2][:3]]
    x[1][:, 5] = 2
    corrector = Seurat(30, 5, 200, 30, 200, 100, 1)
    found = corrector.correct(samples(x), RUNTIME)
    again = corrector.correct([Samples(s.name, sparse.csr_array(s.x)) for s in samples(x)], RUNTIME)
    for name, data in zip("123", x, strict=True):
        assert found[name].shape == data.shape
        assert np.isfinite(found[name]).all()
        np.testing.assert_array_equal(found[name], again[name])
    np.testing.assert_array_equal(found["1"], x[0])  # the largest batch is the reference


def test_batches_without_an_anchor_stay_as_they_are(
    batches: list[FloatArray], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calib.methods.seurat, "find_anchors", lambda *_: few(0))
    found = golden_corrector().correct(samples(batches), RUNTIME)
    for x, expected in zip(found.values(), batches, strict=True):
        np.testing.assert_array_equal(x, expected)
    assert sum("no anchor" in record.message for record in caplog.records) == 2


def test_settings_and_batches_that_cannot_be(batches: list[FloatArray]) -> None:
    with pytest.raises(CalibError, match="k_weight=0"):
        Seurat(30, 5, 200, 30, 200, 0, 1)
    with pytest.raises(CalibError, match="sd_weight=0"):
        Seurat(30, 5, 200, 30, 200, 100, 0)
    with pytest.raises(CalibError, match="only '1'"):
        golden_corrector().correct(samples(batches[:1]), RUNTIME)
    with pytest.raises(CalibError, match="'1' and '2' have 0"):
        golden_corrector().correct(samples([batches[0], batches[1][:1]]), RUNTIME)
