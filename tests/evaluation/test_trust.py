"""Tests of trust in predictions, against scikit-learn and cases worked out by hand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from calib.data.study import FloatArray, IntArray
from calib.errors import CalibError
from calib.evaluation.trust import (
    HIGHEST,
    LOWEST,
    accuracy_at,
    area_under_risk,
    brier,
    calibration_error,
    log_loss,
    reliability,
    risk_coverage,
    temperature,
    tempered,
)


def drawn(n: int, classes: int, sharpness: float = 1.0) -> tuple[FloatArray, IntArray]:
    """Draw labels from probabilities, and return the probabilities made ``sharpness`` times more confident."""
    rng = np.random.default_rng(3)
    truth = rng.dirichlet(np.ones(classes), n)
    y = np.array([rng.choice(classes, p=p) for p in truth])
    return tempered(truth, 1 / sharpness), y


def two(p: list[float]) -> FloatArray:
    return np.column_stack([1 - np.array(p), p])


def test_scores_are_those_of_scikit_learn() -> None:
    p, y = drawn(500, 2)
    assert brier(p, y) == pytest.approx(2 * brier_score_loss(y, p[:, 1]))
    assert log_loss(p, y) == pytest.approx(sklearn_log_loss(y, p))
    p, y = drawn(500, 4)
    assert log_loss(p, y) == pytest.approx(sklearn_log_loss(y, p))
    by_class = sum(brier_score_loss(y == k, p[:, k]) for k in range(4))
    assert brier(p, y) == pytest.approx(by_class)


def test_the_reliability_curve_is_that_of_scikit_learn() -> None:
    p, y = drawn(800, 3)
    found = reliability(p, y)
    right = p.argmax(axis=1) == y
    accuracy, confidence = calibration_curve(right, p.max(axis=1), n_bins=15)
    there = found.count > 0
    np.testing.assert_allclose(found.accuracy[there], accuracy)
    np.testing.assert_allclose(found.confidence[there], confidence)
    assert np.isnan(found.accuracy[~there]).all()
    assert found.count.sum() == 800


def test_calibration_error_by_hand() -> None:
    p = two([0.9, 0.9, 0.9, 0.9, 0.4, 0.4])  # confidence .9: 3 of 4 right; .6: 1 of 2 right
    y = np.array([1, 1, 1, 0, 0, 1])
    assert calibration_error(p, y) == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1)
    assert calibration_error(two([1.0, 0.0]), np.array([1, 0])) == 0
    assert calibration_error(two([1.0, 0.0]), np.array([0, 1])) == 1


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_a_temperature_undoes_too_much_and_too_little_confidence(classes: int, sharpness: float) -> None:
    p, y = drawn(6000, classes, sharpness)
    fitted = temperature(p, y)
    assert fitted == pytest.approx(sharpness, rel=0.1)
    calm = tempered(p, fitted)
    assert (calm.argmax(axis=1) == p.argmax(axis=1)).all()
    np.testing.assert_allclose(calm.sum(axis=1), 1)
    assert log_loss(calm, y) <= log_loss(p, y)
    assert calibration_error(calm, y) < 0.03
    around = [log_loss(tempered(p, fitted * factor), y) for factor in (0.98, 1.02)]
    assert log_loss(calm, y) < min(around)


def test_a_temperature_without_a_peak_stops_at_an_end() -> None:
    p = two([0.9, 0.2, 0.7])
    assert LOWEST <= temperature(p, np.array([1, 0, 1])) < 0.05  # below, the likelihood is 1
    assert temperature(p, np.array([0, 1, 0])) == pytest.approx(HIGHEST, rel=1e-3)
    assert np.isfinite(tempered(two([1.0, 0.0]), LOWEST)).all()
    with pytest.raises(CalibError, match="needs samples"):
        temperature(np.empty((0, 2)), np.empty(0, np.int64))


def test_risk_and_coverage_by_hand() -> None:
    p = two([0.9, 0.2, 0.7, 0.6])  # confidences .9 .8 .7 .6: right, right, wrong, right
    y = np.array([1, 0, 0, 1])
    found = risk_coverage(p, y)
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.risk, [0, 0, 1 / 3, 1 / 4])
    assert area_under_risk(p, y) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert accuracy_at(p, y, 0.5) == 1
    assert accuracy_at(p, y, 0.6) == pytest.approx(2 / 3)
    assert accuracy_at(p, y, 1) == pytest.approx(3 / 4)


def test_equal_confidences_are_answered_together() -> None:
    p = two([0.8, 0.8, 0.2, 0.6])
    y = np.array([1, 0, 0, 1])
    orders = [np.array(order) for order in ([0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0])]
    areas = [area_under_risk(p[order], y[order]) for order in orders]
    assert areas == pytest.approx([areas[0]] * 3)
    found = risk_coverage(p, y)
    np.testing.assert_allclose(found.coverage, [0.75, 1])
    assert accuracy_at(p, y, 0.25) == pytest.approx(2 / 3)
