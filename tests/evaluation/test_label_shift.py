"""Tests of the estimators of a class mix that take it that batches differ in their mix only."""

from collections.abc import Callable

import numpy as np
import pytest

from calib.data.study import FloatArray, IntArray
from calib.evaluation.label_shift import bbse, mlls

Estimator = Callable[[FloatArray, IntArray, FloatArray], FloatArray]

KINDS = np.array([[60, 25, 10, 5], [10, 30, 50, 10], [5, 5, 20, 70]])
"""Number of samples of each class ``(3, 4)`` that look alike, in 100 of it."""


def samples(counts: list[int], usual: list[int]) -> tuple[FloatArray, IntArray]:
    """Return the probabilities and classes of so many hundreds of each class, judged by the usual mix."""
    table = KINDS[: len(counts)]
    posterior = (np.array(usual)[:, None] * table / (np.array(usual) @ table)).T
    y = np.repeat(np.arange(len(counts)), 100 * np.array(counts))
    kind = np.concatenate(
        [np.repeat(np.tile(np.arange(4), n), np.tile(row, n)) for n, row in zip(counts, table, strict=True)]
    )
    return posterior[kind], y


@pytest.mark.parametrize("estimator", [bbse, mlls])
@pytest.mark.parametrize(
    ("usual", "batch"), [([2, 2], [1, 9]), ([2, 2], [9, 1]), ([2, 3, 1], [1, 1, 2]), ([1, 1, 1], [0, 3, 1])]
)
def test_mixes_are_exact_where_batches_differ_in_nothing_else(
    estimator: Estimator, usual: list[int], batch: list[int]
) -> None:
    known, y = samples(usual, usual)
    found = estimator(known, y, samples(batch, usual)[0])
    np.testing.assert_allclose(found, np.array(batch) / sum(batch), atol=2e-3)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("estimator", [bbse, mlls])
def test_the_same_mix_is_found_again(estimator: Estimator) -> None:
    known, y = samples([2, 3, 1], [2, 3, 1])
    np.testing.assert_allclose(estimator(known, y, known), [2 / 6, 3 / 6, 1 / 6], atol=1e-6)


@pytest.mark.parametrize("estimator", [bbse, mlls])
def test_a_class_without_known_samples_gets_no_share(estimator: Estimator) -> None:
    known, y = samples([2, 2, 2], [1, 1, 1])
    batch, _ = samples([1, 2, 3], [1, 1, 1])
    two = y < 2
    found = estimator(known[two], y[two], batch)
    assert found[2] == 0
    assert found.shape == (3,)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("estimator", [bbse, mlls])
def test_shares_sum_to_one_and_none_is_negative_whatever_the_batch(estimator: Estimator) -> None:
    rng = np.random.default_rng(0)
    known, y = samples([2, 2, 2], [1, 1, 1])
    for _ in range(5):
        batch = rng.dirichlet([0.3, 0.3, 0.3], 40)
        found = estimator(known, y, batch)
        assert found.sum() == pytest.approx(1)
        assert (found >= 0).all()


def test_a_batch_of_answers_that_no_known_sample_got_has_equal_shares() -> None:
    """Check what remains if the classifier never answers with what it answers for the batch."""
    known, y = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1])
    np.testing.assert_array_equal(bbse(known, y, np.array([[0.0, 0.0, 1.0]])), [0.5, 0.5, 0])


@pytest.mark.parametrize("estimator", [bbse, mlls])
def test_certain_answers_are_counted(estimator: Estimator) -> None:
    known, y = np.eye(2)[[0, 1, 1]], np.array([0, 1, 1])
    np.testing.assert_allclose(estimator(known, y, np.eye(2)[[0, 0, 0, 1]]), [0.75, 0.25], atol=1e-6)
