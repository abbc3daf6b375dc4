"""Tests of predictive values and net benefit, against numbers worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import expit

from calib.errors import CalibError
from calib.plates.units import Units
from calib.plates.value import VALUES, net_benefit, values


def units(p: Sequence[float], y: Sequence[int]) -> Units:
    """Return units of two classes by their probability of the second."""
    return Units(np.column_stack([1 - np.array(p), p]), np.array(y), np.ones(len(y), bool))


def counted(tp: int, fn: int, tn: int, fp: int) -> Units:
    """Return the units of a table of two by two."""
    return units([0.9] * tp + [0.1] * fn + [0.1] * tn + [0.9] * fp, [1] * (tp + fn) + [0] * (tn + fp))


def test_predictive_values_by_hand() -> None:
    """Sensitivity .8 and specificity .9: at a prevalence of 1 %, 8 true positives come with 99 false ones."""
    found = values([counted(8, 2, 9, 1), counted(80, 20, 90, 10)], [0.01, 0.5])
    assert found["prevalence"].tolist() == [0.01, 0.5]
    np.testing.assert_allclose(found["sensitivity"], 0.8)
    np.testing.assert_allclose(found["specificity"], 0.9)
    np.testing.assert_allclose(found["ppv"], [0.008 / (0.008 + 0.099), 0.4 / 0.45])
    np.testing.assert_allclose(found["npv"], [0.891 / (0.891 + 0.002), 0.45 / 0.55])
    for name in VALUES:
        assert (found[f"{name}_low"] < found[name]).all()
        assert (found[name] < found[f"{name}_high"]).all()


def test_plates_weigh_equally_and_lend_their_own_prevalence() -> None:
    found = values([counted(10, 0, 10, 0), counted(30, 30, 90, 10)]).iloc[0]
    assert found["sensitivity"] == pytest.approx(0.75)
    assert found["specificity"] == pytest.approx(0.95)
    assert found["prevalence"] == pytest.approx((1 / 2 + 60 / 160) / 2)


def test_the_interval_of_one_plate_is_the_logit_interval() -> None:
    """Mercaldo 2007, Eq. 8: the variance of logit PPV is (1 - se) / (se n1) + sp / ((1 - sp) n0)."""
    found = values([counted(8000, 2000, 9000, 1000)], [0.1]).iloc[0]
    error = np.sqrt(0.2 / 0.8 / 10000 + 0.9 / 0.1 / 10000)
    centre = np.log(0.1 * 0.8 / (0.9 * 0.1))
    np.testing.assert_allclose(
        found[["ppv_low", "ppv_high"]].astype(float),
        expit(centre + np.array([-1.96, 1.96]) * error),
        rtol=1e-3,
    )


@pytest.mark.parametrize("apart", [0.0, 0.7])
def test_intervals_have_the_truth_as_often_as_stated(apart: float) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    moves = rng.normal(0, apart, 100_000)
    se, sp = expit(1.5 + moves).mean(), expit(1.5 - moves).mean()
    truth = {"sensitivity": se, "ppv": 0.2 * se / (0.2 * se + 0.8 * (1 - sp))}
    hits = dict.fromkeys(truth, 0)
    for _ in range(300):
        plates = []
        for move in rng.normal(0, apart, 4):
            positive = rng.random(80) < np.where(y == 1, expit(1.5 + move), 1 - expit(1.5 - move))
            plates.append(Units(np.eye(2)[positive.astype(int)], y, np.ones(80, bool)))
        found = values(plates, [0.2]).iloc[0]
        for name, number in truth.items():
            hits[name] += found[f"{name}_low"] <= number <= found[f"{name}_high"]
    for name, count in hits.items():
        assert 0.9 <= count / 300 <= 1, name


def test_plates_that_differ_have_longer_intervals() -> None:
    alike = values([counted(16, 4, 16, 4)] * 3).iloc[0]
    unlike = values([counted(20, 0, 16, 4), counted(16, 4, 16, 4), counted(12, 8, 16, 4)]).iloc[0]
    assert unlike["sensitivity"] == pytest.approx(alike["sensitivity"])
    assert unlike["sensitivity_low"] < alike["sensitivity_low"] - 0.1
    assert unlike["specificity_low"] == pytest.approx(alike["specificity_low"])


def test_shares_of_1_have_intervals_and_missing_classes_have_none() -> None:
    found = values([counted(20, 0, 20, 0)] * 2, [0.1]).iloc[0]
    for name in VALUES:
        assert found[name] == found[f"{name}_high"] == 1
        assert 0.3 < found[f"{name}_low"] < 1
    found = values([counted(20, 5, 0, 0)] * 2, [0.1]).iloc[0]
    assert found["sensitivity"] == 0.8
    assert np.isnan([found["specificity"], found["ppv"], found["npv_low"]]).all()
    silent = values([counted(0, 5, 20, 0)] * 2, [0.1]).iloc[0]
    assert np.isnan(silent["ppv"])  # nobody is called positive
    assert silent["npv"] == pytest.approx(0.9)


def test_net_benefit_by_hand() -> None:
    """Ten people, four of them cases; from a probability of .5 on three cases and one control are treated."""
    p = [0.9, 0.8, 0.6, 0.3, 0.7, 0.4, 0.2, 0.2, 0.1, 0.1]
    plate = units(p, [1] * 4 + [0] * 6)
    found = net_benefit([plate, plate], thresholds=np.array([0.2, 0.5]))
    # at .2: 4 true and 4 false positives, each worth a quarter; at .5: 3 and 1
    np.testing.assert_allclose(found["model"], [0.4 - 0.4 * 0.25, 0.3 - 0.1])
    np.testing.assert_allclose(found["all"], [0.4 - 0.6 * 0.25, 0.4 - 0.6])
    assert found["none"].tolist() == [0, 0]


def test_net_benefit_at_another_prevalence_moves_the_probabilities() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1, 20_000)
    plate = units(truth.tolist(), (rng.random(20_000) < truth).astype(int).tolist())
    rare = net_benefit([plate, plate], 0.1)
    assert (rare["model"] >= np.maximum(rare["all"], 0) - 0.003).all()  # as calibrated ones are everywhere
    assert rare["model"].iloc[0] == pytest.approx(0.1, abs=0.01)


def test_net_benefit_needs_both_classes() -> None:
    assert net_benefit([counted(5, 5, 0, 0)] * 2).empty


def test_a_prevalence_is_a_share() -> None:
    with pytest.raises(CalibError, match="prevalence"):
        values([counted(5, 5, 5, 5)] * 2, [1.0])
