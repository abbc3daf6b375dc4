"""Tests of balanced accuracy, MCC and AUC with intervals by subject."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from calib.evaluation.jackknife import METRICS, Metric, over_batches, scored


def simulated(
    rng: np.random.Generator, subjects: int, classes: int, replicates: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, labels and subjects, whose samples err together."""
    label = rng.integers(0, classes, subjects)
    shared = rng.normal(size=(subjects, classes)) + 1.2 * np.eye(classes)[label]
    owner = np.repeat(np.arange(subjects), replicates)
    scores = shared[owner] + rng.normal(scale=0.4, size=(len(owner), classes))
    p = np.exp(scores)
    return p / p.sum(axis=1, keepdims=True), label[owner], owner


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_values_are_those_of_scikit_learn(classes: int) -> None:
    p, y, subject = simulated(np.random.default_rng(classes), 90, classes)
    found = scored(p, y, subject).values
    auc = roc_auc_score(y, p[:, 1]) if classes == 2 else roc_auc_score(y, p, multi_class="ovr")
    expected = (balanced_accuracy_score(y, p.argmax(1)), matthews_corrcoef(y, p.argmax(1)), auc)
    np.testing.assert_allclose([found[metric] for metric in METRICS], expected)


def test_of_two_classes_the_positive_one_is_ranked() -> None:
    """The probability of the other may order equal ones by their rounding."""
    positive, y = np.array([0.3, 0.3, 0.3, 0.4]), np.array([0, 1, 1, 1])
    p = np.stack([1 - positive - 1e-9 * np.arange(4), positive], axis=1)
    assert scored(p, y, None).values["auc"] == pytest.approx(roc_auc_score(y, positive))


def test_classes_that_a_batch_lacks_count_in_no_metric() -> None:
    p, y, _ = simulated(np.random.default_rng(0), 60, 4)
    kept = y != 2
    found = scored(p[kept], y[kept], None).values
    recalls = [np.mean(p[y == c].argmax(1) == c) for c in (0, 1, 3)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_a_class_with_one_sample_leaves_the_others_error() -> None:
    p, y, _ = simulated(np.random.default_rng(0), 40, 3)
    one = np.flatnonzero(y == 2)[0]
    kept = (y != 2) | (np.arange(40) == one)
    found = scored(p[kept], y[kept], None)
    assert all(np.isfinite(found.influences[metric]).all() for metric in METRICS)
    assert all((found.influences[metric] ** 2).sum() > 0 for metric in METRICS)


@pytest.mark.parametrize("replicates", [1, 5])
def test_intervals_cover_what_they_claim(replicates: int) -> None:
    """Check coverage over draws of subjects; the truth is that of very many."""
    rng = np.random.default_rng(1)
    truth = scored(*simulated(rng, 100_000 // replicates, 3, replicates)).values
    covered = dict.fromkeys(METRICS, 0)
    draws = 300
    for _ in range(draws):
        runs = {0: {"b": [scored(*simulated(rng, 80, 3, replicates))]}}
        for metric in METRICS:
            found = over_batches(runs, metric, uses_seed=False).estimate()
            covered[metric] += found.low <= truth[metric] <= found.high
    assert all(0.91 <= count / draws <= 0.985 for count in covered.values()), covered


def test_differences_are_paired() -> None:
    """Check that the interval of a difference is that of the paired differences, not of two independent."""
    rng = np.random.default_rng(2)
    p, y, subject = simulated(rng, 100, 2)
    other = np.clip(p + rng.normal(scale=0.01, size=p.shape), 1e-6, None)
    both = [
        over_batches({0: {"b": [scored(q, y, subject)]}}, "auc", uses_seed=False)
        for q in (p, other / other.sum(axis=1, keepdims=True))
    ]
    apart = both[0].minus(both[1])
    assert apart is not None
    width = apart.estimate().high - apart.estimate().low
    assert width < 0.2 * (both[0].estimate().high - both[0].estimate().low)


def test_seeds_are_paired_and_one_run_stands_for_all_without_a_seed() -> None:
    fixed = Metric(np.array([0.5]), np.zeros((1, 4)), 3, [0], uses_seed=False)
    drawn = Metric(np.array([0.6, 0.8]), np.zeros((2, 4)), 3, [1, 2], uses_seed=True)
    apart = drawn.minus(fixed)
    assert apart is not None
    np.testing.assert_allclose(apart.averages, [0.1, 0.3])
    assert apart.seeds == [1, 2]
    assert fixed.minus(drawn).estimate().value == pytest.approx(-0.2)  # type: ignore[union-attr]
    assert drawn.minus(Metric(np.array([0.6]), np.zeros((1, 4)), 3, [7], uses_seed=True)) is None
