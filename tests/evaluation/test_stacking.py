"""Tests of weights that are learnt from left-out batches."""

import numpy as np
import pytest

from calib.data.study import LabelledSamples
from calib.evaluation.stacking import COLDEST, HOTTEST, LeftOut, Mixture, learnt

CLASSES = 2


def answers(y: np.ndarray, right: float, seed: int, sure: float = 0.8) -> np.ndarray:
    """Return probabilities that name the class of so many samples, always as surely."""
    rng = np.random.default_rng(seed)
    named = np.where(rng.random(len(y)) < right, y, 1 - y)
    return np.where(np.arange(CLASSES) == named[:, None], sure, 1 - sure)


def left_out(*parts: np.ndarray, y: np.ndarray, replicate: np.ndarray | None = None) -> LeftOut:
    batch = LabelledSamples("b", np.zeros((len(y), 1)), y, replicate=replicate)
    made = LeftOut.of(np.array(parts), batch, np.arange(CLASSES))
    assert made is not None
    return made


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(0).integers(0, CLASSES, 2000)


def test_what_answers_better_has_more_weight(y: np.ndarray) -> None:
    one = left_out(answers(y, 0.9, 1), answers(y, 0.5, 2), y=y)
    free, held = (learnt([one], prior).weights for prior in (0, 1e6))
    assert free[0] > 0.9
    np.testing.assert_allclose(held, 0.5, atol=1e-3)
    assert free.sum() == pytest.approx(1)


def test_weights_are_those_of_the_highest_posterior(y: np.ndarray) -> None:
    parts = [answers(y, right, seed) for seed, right in enumerate((0.85, 0.8, 0.6))]
    one, prior = left_out(*parts, y=y), 0.3
    found = learnt([one], prior)
    even = [p ** (1 / t) for p, t in zip(parts, found.temperatures, strict=True)]
    true = np.array([(p / p.sum(axis=1, keepdims=True))[np.arange(len(y)), y] for p in even])

    def posterior(weights: np.ndarray) -> float:
        return float(one.weight @ np.log(weights @ true) + prior / 3 * np.log(weights).sum())

    best = posterior(found.weights)
    rng = np.random.default_rng(3)
    for _ in range(200):
        other = np.maximum(found.weights + rng.normal(scale=0.02, size=3), 1e-6)
        assert posterior(other / other.sum()) <= best + 1e-6


def test_classes_and_subjects_count_alike() -> None:
    y = np.array([0, 0, 0, 0, 0, 1])
    one = left_out(answers(y, 1, 0), y=y, replicate=np.array([0, 0, 0, 1, 2, 3]))
    np.testing.assert_allclose(one.weight, np.array([1 / 3, 1 / 3, 1 / 3, 1, 1, 3]) / 6)


def test_classes_that_could_not_be_known_are_left_out() -> None:
    batch = LabelledSamples("b", np.zeros((3, 1)), np.array([0, 1, 2]))
    made = LeftOut.of(np.full((1, 3, 3), 1 / 3), batch, np.array([0, 1]))
    assert made is not None
    assert made.y.tolist() == [0, 1]
    assert LeftOut.of(np.full((1, 3, 3), 1 / 3), batch, np.array([5])) is None


def test_answers_become_as_sure_as_they_are_right(y: np.ndarray) -> None:
    one = answers(y, 0.8, 1, sure=0.99)
    mixture = learnt([left_out(one, y=y)], 0)
    assert mixture.of(one[None]).max() == pytest.approx(0.8, abs=0.02)


def test_temperatures_have_bounds() -> None:
    y = np.array([0, 1] * 20)
    certain = learnt([left_out(answers(y, 1, 0), y=y)], 0)
    vain = learnt([left_out(answers(y, 0, 0, sure=0.9), y=y)], 0)
    assert certain.temperatures[0] == COLDEST
    assert vain.temperatures[0] == HOTTEST


def test_the_plain_mean_of_some() -> None:
    mixture = Mixture.even(np.array([True, False, True, True]))
    given = np.random.default_rng(0).dirichlet(np.ones(3), (4, 5))
    np.testing.assert_allclose(mixture.of(given), given[[0, 2, 3]].mean(axis=0))


def test_a_factor_takes_weight_from_some() -> None:
    mixture = Mixture(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.3, 0.2]), 1.5)
    kept = np.array([True, False, True])
    found = mixture.weighing(np.array([0.5, 0.0, 1.0]), kept)
    np.testing.assert_allclose(found.weights, np.array([0.25, 0.2]) / 0.45)
    assert found.temperatures.tolist() == [1, 3]
    assert found.temperature == 1.5


def test_a_mixture_is_kept_as_arrays() -> None:
    mixture = Mixture(np.array([1.0, 2.0]), np.array([0.4, 0.6]), 1.5)
    again = Mixture.restored(mixture.arrays(), 2)
    given = np.random.default_rng(0).dirichlet(np.ones(3), (2, 5))
    np.testing.assert_array_equal(again.of(given), mixture.of(given))
    with pytest.raises(ValueError, match="cannot reshape"):
        Mixture.restored(mixture.arrays(), 3)
    for wrong in ({"weights": np.array([-1.0, 2.0])}, {"temperature": np.array([0.0])}):
        with pytest.raises(ValueError, match="no positive number"):
            Mixture.restored(mixture.arrays() | wrong, 2)
