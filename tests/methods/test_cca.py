"""Tests of CCA: canonical directions and warping against Seurat 2.3 and against their definitions."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import calib.comparators.seurat.warping
from calib.comparators.seurat.canonical import canonical_many, canonical_pair, principal_scores, z_scores
from calib.comparators.seurat.warping import align, biweight, reference_range, thinned, warp
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError
from calib.methods.cca import CCA
from calib.runtime import Runtime

GOLDEN = Path(__file__).parents[1] / "golden" / "seurat"
RUNTIME = Runtime(dtype=torch.float64)


def golden_batches() -> list[FloatArray]:
    return [pd.read_csv(GOLDEN / f"batch{number}.csv").to_numpy() for number in (1, 2, 3)]


def standardised(z: FloatArray) -> FloatArray:
    """Return the samples as columns, each with mean 0 and variance 1."""
    return (z.T - z.mean(axis=1)) / z.std(axis=1, ddof=1)


def test_two_batches_as_seurat() -> None:
    a, b, _ = golden_batches()
    found = np.vstack(canonical_pair(z_scores(a), z_scores(b), 10))
    expected = pd.read_csv(GOLDEN / "cca_1_2_embeddings.csv", index_col=0).to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)  # the signs agree as well


def test_two_batches_by_definition_with_more_features_than_samples() -> None:
    rng = np.random.default_rng(0)
    a, b = z_scores(rng.normal(size=(9, 30))), z_scores(rng.normal(size=(14, 30)))
    u, v = canonical_pair(a, b, 4)
    left, size, _ = np.linalg.svd(standardised(a).T @ standardised(b))
    np.testing.assert_allclose(np.abs(left[:, :4].T @ u), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(u.T @ standardised(a).T @ standardised(b) @ v, np.diag(size[:4]), atol=1e-9)


def test_many_batches_reach_a_maximum_no_random_direction_reaches() -> None:
    z = [z_scores(x) for x in golden_batches()]
    found = canonical_many(z, 3)
    x = [standardised(one) for one in z]

    def total(w: list[FloatArray]) -> float:
        profile = [one @ weights for one, weights in zip(x, w, strict=True)]
        return sum(profile[i] @ profile[j] for i in range(3) for j in range(i))

    rng = np.random.default_rng(0)
    starts = [[v / np.linalg.norm(v) for v in (rng.normal(size=len(one)) for one in z)] for _ in range(20)]
    for w in starts:  # many more iterations from random starts do not reach a higher value
        for _ in range(200):
            for i in range(3):
                v = x[i].T @ sum(x[j] @ w[j] for j in range(3) if j != i)
                w[i] = v / np.linalg.norm(v)
    best = max(map(total, starts))
    assert total([one[:, 0] for one in found]) > 0.999 * best
    for one in found:
        np.testing.assert_allclose(one.T @ one, np.eye(3), atol=1e-12)


def test_principal_scores_are_those_of_the_singular_vectors() -> None:
    z = z_scores(np.random.default_rng(0).normal(size=(20, 6)))
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_scores(z, 3)), np.abs(u * s)[:, :3], atol=1e-10)


def test_warping_costs_as_little_as_the_definition_says() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=9), rng.normal(size=13)

    @cache
    def least(i: int, j: int) -> float:
        here = abs(x[i] - y[j])
        if i == j == 0:
            return here
        ways = [least(i - 1, j - 1) + 2 * here] if i and j else []
        ways += [least(i - 1, j) + here] if i else []
        ways += [least(i, j - 1) + here] if j else []
        return min(ways)

    i, j = warp(x, y)
    assert (i[0], j[0], i[-1], j[-1]) == (0, 0, 8, 12)
    steps = np.diff(i) + np.diff(j)
    assert set(np.diff(i)) <= {0, 1}
    assert set(np.diff(j)) <= {0, 1}
    assert steps.min() >= 1
    distance = np.abs(x[i] - y[j])
    np.testing.assert_allclose(distance[0] + (steps * distance[1:]).sum(), least(8, 12))
    np.testing.assert_array_equal(warp(x, x)[0], np.arange(9))
    assert [len(part) for part in warp(x[:1], y)] == [13, 13]


def test_biweight_midcorrelation_by_definition() -> None:
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=40), rng.normal(size=(40, 3))
    z[5, 0] = 50  # an outlier
    z[:30, 1] = 1  # the median deviation is 0
    z[:, 2] = 7

    def prepared(v: FloatArray) -> FloatArray:
        mad = np.median(np.abs(v - np.median(v)))
        if mad == 0:
            return (v - v.mean()) / np.sqrt(((v - v.mean()) ** 2).sum())
        u = (v - np.median(v)) / (9 * mad)
        w = (v - np.median(v)) * (1 - u**2) ** 2 * (np.abs(u) < 1)
        return w / np.sqrt((w**2).sum())

    found = biweight(x, z)
    np.testing.assert_allclose(found[:2], [prepared(x) @ prepared(z[:, 0]), prepared(x) @ prepared(z[:, 1])])
    assert found[2] == 0


def latent(size: int, power: float, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return places of samples on a line, their weights on a bent scale, and features along the line."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 1, size)
    features = np.outer(place, [1, -2, 1.5, 0.8]) + 0.05 * rng.normal(size=(size, 4))
    return place, place**power - 0.3, z_scores(features)


@pytest.mark.parametrize("longest", [4000, 60])
def test_alignment_undoes_a_bent_scale(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.comparators.seurat.warping, "LONGEST", longest)
    place, weights, z = latent(150, 3.0, 0)
    place_onto, onto, z_onto = latent(200, 1.0, 1)
    found = align(weights, z, onto, z_onto)
    assert found is not None
    expected = np.interp(place, np.sort(place_onto), np.sort(onto))
    assert np.abs(weights - expected).mean() > 0.15
    assert np.abs(found - expected).mean() < 0.05
    assert (np.diff(found[np.argsort(weights)]) >= 0).all()


def test_nothing_is_aligned_where_no_feature_agrees() -> None:
    _, weights, z = latent(50, 1.0, 0)
    assert align(weights, z, weights, -z) is None


def test_thinning_keeps_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.comparators.seurat.warping, "LONGEST", 4)
    np.testing.assert_array_equal(thinned(np.arange(10)), [0, 3, 6, 9])
    np.testing.assert_array_equal(thinned(np.arange(3)), [0, 1, 2])


def test_the_reference_range() -> None:
    x = reference_range(np.arange(1001.0))
    np.testing.assert_allclose(x[[25, 975]], [0, 1])
    assert (reference_range(np.ones(3)) == 0).all()


@pytest.mark.parametrize("count", [2, 3])
def test_the_corrector(count: int) -> None:
    batches = [Samples(str(i), x) for i, x in enumerate(golden_batches()[:count])]
    batches[1].x[:, 4] = 1  # this feature does not vary
    found = CCA(20, True).correct(batches, RUNTIME)
    plain = CCA(20, False).correct(batches, RUNTIME)
    assert [x.shape for x in found.values()] == [(len(batch), 20) for batch in batches]
    for values in (found, plain):
        whole = np.concatenate(list(values.values()))
        np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(whole.std(axis=0, ddof=1), 1)

    cells = pd.read_csv(GOLDEN / "cells.csv")

    def apart(values: Mapping[str, FloatArray]) -> float:
        """Return the largest distance of a type's means in two batches, in the directions that separate types."""
        means = [
            [
                x[(cells.cluster[cells.batch == int(name) + 1] == kind).to_numpy(), :2].mean(axis=0)
                for kind in (1, 2, 3)
            ]
            for name, x in values.items()
        ]
        return float(np.ptp(means, axis=0).max())

    assert apart(found) < 0.5 * apart(plain)
    same = CCA(20, False).correct([Samples(b.name, b.x + 5) for b in batches], RUNTIME)
    np.testing.assert_allclose(same["1"], plain["1"], atol=1e-6)


def test_small_batches_have_fewer_directions() -> None:
    x = golden_batches()
    found = CCA(20, True).correct([Samples("a", x[0][:6]), Samples("b", x[1]), Samples("c", x[2])], RUNTIME)
    assert found["b"].shape == (100, 5)


def test_settings_and_batches_that_cannot_be() -> None:
    a, b, _ = (Samples(str(i), x) for i, x in enumerate(golden_batches()))
    with pytest.raises(CalibError, match="dims=0"):
        CCA(0, True)
    with pytest.raises(CalibError, match="warp=1"):
        CCA(20, 1)  # type: ignore[arg-type]
    with pytest.raises(CalibError, match="only '0'"):
        CCA(20, True).correct([a], RUNTIME)
    with pytest.raises(CalibError, match="there are 0"):
        CCA(20, True).correct([a, Samples("b", b.x[:1])], RUNTIME)
