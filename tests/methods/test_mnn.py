"""Tests of MNN against its definition written out."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import sparse

import calib.methods.mnn
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError
from calib.methods.mnn import MNN
from calib.runtime import Runtime

RUNTIME = Runtime(dtype=torch.float64)


def plates(sizes: Sequence[int], features: int = 9, shift: float = 0.6) -> list[Samples]:
    """Return batches of two kinds of samples, each batch with its own shift."""
    rng = np.random.default_rng(sum(sizes))
    kinds = rng.gamma(2, 1, (2, features))
    return [
        Samples(
            str(number),
            kinds[rng.integers(0, 2, size)]
            + shift * rng.normal(size=features)
            + 0.2 * rng.normal(size=(size, features)),
        )
        for number, size in enumerate(sizes, start=1)
    ]


def nearest_by_definition(a: FloatArray, b: FloatArray, k: int) -> list[set[int]]:
    """Return the rows of ``b`` that are nearest to every row of ``a``."""
    return [set(np.argsort([np.sum((x - y) ** 2) for y in b])[:k].tolist()) for x in a]


def pairs_by_definition(a: FloatArray, b: FloatArray, k: int) -> list[tuple[int, int]]:
    of_a, of_b = nearest_by_definition(a, b, k), nearest_by_definition(b, a, k)
    return [(i, j) for i in range(len(a)) for j in range(len(b)) if j in of_a[i] and i in of_b[j]]


def corrected_by_definition(reference: FloatArray, x: FloatArray, k: int, sigma: float) -> FloatArray:
    """Return the corrected batch by the definition, with every sum written out."""
    pairs = pairs_by_definition(reference, x, k)
    paired = sorted({j for _, j in pairs})
    vector = {j: np.mean([reference[i] - x[j] for i, other in pairs if other == j], axis=0) for j in paired}
    kernel = lambda p, q: np.exp(-np.sum((p - q) ** 2) / sigma)  # noqa: E731
    density = {j: sum(kernel(x[j], x[other]) for other in paired) for j in paired}
    rows = []
    for sample in x:
        weight = {j: kernel(sample, x[j]) / density[j] for j in paired}
        rows.append(sample + sum(weight[j] * vector[j] for j in paired) / sum(weight.values()))
    return np.array(rows)


@pytest.mark.parametrize(
    ("sizes", "k", "sigma"), [((20, 15), 3, 0.1), ((14, 25), 20, 1.0), ((12, 30, 17), 4, 0.05)]
)
def test_it_is_the_definition(sizes: tuple[int, ...], k: int, sigma: float) -> None:
    batches = plates(sizes)
    x = {b.name: b.dense / np.linalg.norm(b.dense, axis=1, keepdims=True) for b in batches}
    names = list(x)
    couples = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    first, second = max(couples, key=lambda c: len(pairs_by_definition(x[c[0]], x[c[1]], k)))
    if len(x[second]) > len(x[first]):
        first, second = second, first
    expected = {first: x[first]}
    merged = x[first]
    left = [name for name in names if name != first]
    while left:
        name = max(left, key=lambda name: len(pairs_by_definition(merged, x[name], k)))
        assert len(left) < len(names) - 1 or name == second
        expected[name] = corrected_by_definition(merged, x[name], k, sigma)
        merged = np.concatenate([merged, expected[name]])
        left.remove(name)
    found = MNN(k, sigma).correct(batches, RUNTIME)
    assert list(found) == names
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)


def test_a_constant_shift_is_gone() -> None:
    rng = np.random.default_rng(3)
    x = 5 + rng.normal(size=(80, 12))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    moved = x + 0.3 * np.r_[1, -1, np.zeros(10)]
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    found = MNN(20, 0.1).correct([Samples("a", x), Samples("b", moved)], RUNTIME)
    before, after = (np.abs(x.mean(axis=0) - y.mean(axis=0)).max() for y in (moved, found["b"]))
    assert after < 0.2 * before


def test_the_unit_of_a_sample_does_not_matter() -> None:
    batches = plates((20, 15))
    factor = np.random.default_rng(0).uniform(0.1, 10, (15, 1))
    scaled = [batches[0], Samples("2", batches[1].dense * factor)]
    for one, other in zip(
        *(MNN(5, 0.1).correct(b, RUNTIME).values() for b in (batches, scaled)), strict=True
    ):
        np.testing.assert_allclose(one, other)


def test_sparse_batches_single_samples_and_samples_of_zeros() -> None:
    a, b = (np.maximum(batch.dense - 1, 0) for batch in plates((20, 15)))
    b[3] = 0
    batches = [Samples("a", a), Samples("b", b), Samples("c", a[:1] + 0.1)]
    corrector = MNN(20, 0.1)
    dense = corrector.correct(batches, RUNTIME)
    sparsely = corrector.correct([Samples(s.name, sparse.csr_array(s.dense)) for s in batches], RUNTIME)
    for name, x in dense.items():
        assert np.isfinite(x).all()
        np.testing.assert_array_equal(x, sparsely[name])


def test_settings_and_batches_that_cannot_be() -> None:
    with pytest.raises(CalibError, match="k=0"):
        MNN(0, 0.1)
    with pytest.raises(CalibError, match="sigma=0"):
        MNN(20, 0)
    with pytest.raises(CalibError, match="only '1'"):
        MNN(20, 0.1).correct(plates((20,)), RUNTIME)


def test_of_a_large_batch_some_samples_are_searched_and_all_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = plates((300, 240, 200))
    whole = MNN(10, 0.1).correct(batches, RUNTIME)
    monkeypatch.setattr(calib.methods.mnn, "DRAWN", 100)
    (some, learnt), again = MNN(10, 0.1).learn(batches, RUNTIME), MNN(10, 0.1).correct(batches, RUNTIME)
    assert len(learnt["merged"]) == 300
    for batch in batches:
        x = batch.dense / np.linalg.norm(batch.dense, axis=1, keepdims=True)
        np.testing.assert_array_equal(some[batch.name], again[batch.name])
        moved, other = whole[batch.name] - x, some[batch.name] - x
        assert np.linalg.norm(other - moved) <= 0.25 * np.linalg.norm(moved)
