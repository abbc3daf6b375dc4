"""Tests of the direction that tells a class from all others."""

import numpy as np
import pytest

from calib.data.study import LabelledSamples
from calib.evaluation.class_direction import LARGE, Averaged, ClassDirection, some_of

APART = np.array([2.0, -1, 0, 0, 0])


def drawn(rng: np.random.Generator, samples: int, shift: float = 0) -> Averaged:
    """Return a batch of two classes that lie ``APART`` around 3, shifted in the last feature."""
    y = np.arange(samples) % 2
    x = 3 + (y[:, None] - 0.5) * APART + rng.normal(size=(samples, 5))
    x[:, 4] += shift
    return Averaged(x, y)


@pytest.mark.parametrize("samples", [6, 60])  # fewer samples than features, and more
def test_new_samples_lie_1_apart_around_the_centre(samples: int) -> None:
    rng = np.random.default_rng(0)
    batches = [drawn(rng, samples, shift) for shift in (-5, 5)]
    found = ClassDirection.of(batches, 1, 0.1)
    middle = np.mean([batch.means(1).mean(axis=0) for batch in batches], axis=0)
    assert found.centre == pytest.approx(middle @ found.direction)
    assert found.batches == 2
    ((others, own), apart) = (
        np.mean([b.means(1) @ found.direction for b in batches], axis=0),
        found.separation,
    )
    assert own - others == pytest.approx(1 / apart)  # those that it was made from lie farther apart
    if samples == 60:
        new = drawn(rng, 2000).means(1) @ found.direction
        np.testing.assert_allclose(new - found.centre, [-0.5, 0.5], atol=0.15)
        assert abs(found.direction[4]) < 0.02  # the feature that moves between the batches
        np.testing.assert_allclose(found.widths, 1 / np.linalg.norm(APART), rtol=0.3)


def test_without_two_samples_of_either_side_there_is_no_direction() -> None:
    rng = np.random.default_rng(0)
    one = drawn(rng, 40).of_rows(np.r_[0:40:2, 1])  # one sample of class 1
    two = drawn(rng, 40).of_rows(np.r_[0:40:2, 1, 3])
    assert not ClassDirection.of([one], 1, 0.1).direction.any()
    assert ClassDirection.of([one, two], 1, 0.1).batches == 1


def test_how_far_apart_classes_lie_is_measured_on_other_samples() -> None:
    """A direction through noise tells the samples apart that it was made from, and no others."""
    rng = np.random.default_rng(0)
    noise = [Averaged(rng.normal(size=(40, 200)), np.arange(40) % 2) for _ in range(2)]
    assert ClassDirection.of(noise, 1, 0.1).separation < 0.3


def test_replicates_are_averaged() -> None:
    x = np.array([[1, 2], [3, 6], [9, 9]], "f4")
    found = Averaged.of(
        LabelledSamples("a", x, np.array([1, 0, 0]), replicate=np.array([5, 5, 2])), np.array([1, 0, 0])
    )
    assert (found.x.tolist(), found.y.tolist()) == ([[9, 9], [2, 4]], [0, 1])
    assert Averaged.of(LabelledSamples("a", x, np.zeros(3, int)), None).y.tolist() == [-1, -1, -1]


def test_many_samples_are_drawn_in_proportion() -> None:
    batches = [Averaged(np.arange(size)[:, None] * 1.0, np.zeros(size, int)) for size in (LARGE, 3 * LARGE)]
    assert [len(one.y) for one in some_of(batches)] == [LARGE // 4, 3 * LARGE // 4]
    few = batches[:1]
    assert some_of(few) == few
