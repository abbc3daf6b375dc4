"""Tests of trust in calls on further plates: simulated plates whose truth is known, and cases by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from calib.data.study import FloatArray, IntArray
from calib.errors import CalibError
from calib.evaluation.trust import temperature, tempered
from calib.plates.answer import Judged, LeftOut
from calib.plates.limits import NEVER, answered_from, calibrating_temperature, in_set_from, members
from calib.plates.slope import slope
from calib.plates.trust import calls_of, trust
from calib.plates.units import Units, unit_probability, units_of

Rng = np.random.Generator


def plate(rng: Rng, n: int, classes: int = 2, sharpness: float = 2.0) -> tuple[FloatArray, IntArray]:
    """Draw labels from probabilities, and return the probabilities made ``sharpness`` times more sure."""
    odds = rng.normal(0, 2, (n, classes))
    truth = softmax(odds, axis=1)
    y = (rng.random((n, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    return softmax(sharpness * odds, axis=1), y


def plates(rng: Rng, count: int, n: int, classes: int = 2, sharpness: float = 2.0) -> dict[str, Judged]:
    return {f"plate {i}": Judged(*plate(rng, n, classes, sharpness)) for i in range(count)}


def units(p: Sequence[float], y: Sequence[int]) -> Units:
    """Return units of two classes by their probability of the second."""
    return Units(np.column_stack([1 - np.array(p), p]), np.array(y), np.ones(len(y), bool))


def names(count: int) -> list[str]:
    return [f"class {i}" for i in range(count)]


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (4, 4)])
def test_sets_and_answers_keep_the_stated_shares_on_further_plates(count: int, classes: int) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(40):
        found = trust(plates(rng, count, 50, classes), names(classes), error=0.15, miss=0.1)
        p, y = plate(rng, 3000, classes)
        calibrated = tempered(p, found.temperature)
        inside = members(calibrated, found.threshold)[np.arange(len(y)), y].mean()
        some = calibrated.max(axis=1) >= found.confidence
        wrong = (p.argmax(axis=1) != y)[some].sum()
        rows.append((inside, found.plates["coverage"].mean(), some.sum(), wrong))
    inside, measured, answered, wrong = np.array(rows).T
    assert 0.88 <= inside.mean() <= 0.94
    assert measured.mean() == pytest.approx(inside.mean(), abs=0.02)
    assert answered.sum() > 0.2 * 3000 * len(rows) / classes
    assert wrong.sum() / answered.sum() <= 0.16


def test_answers_that_are_too_sure_get_a_temperature_above_1_and_a_slope_below() -> None:
    rng = np.random.default_rng(1)
    for sharpness in (0.5, 1.0, 2.0, 4.0):
        left_out = plates(rng, 3, 1500, sharpness=sharpness)
        found = trust(left_out, names(2))
        assert found.temperature == pytest.approx(sharpness, rel=0.15)
        raw = [slope(one.probability, one.y) for one in left_out.values()]
        assert np.mean(raw) == pytest.approx(1 / sharpness, rel=0.15)
        assert found.plates["slope"].mean() == pytest.approx(1, abs=0.15)  # of the calibrated ones


def test_the_slope_is_that_of_a_logistic_regression_and_of_the_temperature() -> None:
    rng = np.random.default_rng(2)
    p, y = plate(rng, 400)
    odds = np.log(p[:, 1] / p[:, 0])
    found = slope(p, y)
    linear = np.column_stack([np.ones(len(y)), odds])  # Newton's steps, from nothing

    at = np.zeros(2)
    for _ in range(50):
        q = 1 / (1 + np.exp(-linear @ at))
        at += np.linalg.solve((linear.T * (q * (1 - q))) @ linear, linear.T @ (y - q))
    assert found == pytest.approx(at[1], rel=1e-5)
    p, y = plate(rng, 400, 5)
    assert slope(p, y) == pytest.approx(1 / temperature(p, y), rel=1e-4)


def test_the_slope_is_undefined_where_no_slope_is_steep_enough() -> None:
    p = np.array([0.1, 0.2, 0.7, 0.8])
    two = np.column_stack([1 - p, p])
    assert np.isnan(slope(two, np.array([0, 0, 1, 1])))  # separated
    assert np.isnan(slope(two, np.array([1, 1, 0, 0])))
    assert np.isnan(slope(two, np.array([1, 1, 1, 1])))
    assert np.isnan(slope(np.full((4, 2), 0.5), np.array([0, 1, 0, 1])))
    assert np.isnan(slope(np.eye(3), np.array([0, 1, 2])))
    assert slope(two, np.array([0, 1, 0, 1])) > 0
    assert slope(two, np.array([1, 0, 1, 0])) < 0


def test_the_confidence_of_answers_by_hand() -> None:
    """Of ten units the surest nine are right: (0 + 1) / (9 + 1)."""
    p = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.6]
    one = units(p, [1] * 9 + [0])
    assert answered_from([one], 1.0, 0.1) == pytest.approx(0.91)
    assert answered_from([one], 1.0, 0.09) == NEVER
    assert answered_from([one], 1.0, 2 / 11) == 0  # all: (1 + 1) / (10 + 1)
    lucky = units([0.999] * 9 + [0.6] * 91, [1] * 9 + [1, 0] * 45 + [1])
    assert answered_from([lucky], 1.0, 0.1) == NEVER  # a handful of a hundred
    tied = units([0.99] * 10, [1] * 9 + [0])
    assert answered_from([tied], 1.0, 0.1) == NEVER  # units of equal confidence enter together


def test_the_limit_of_the_sets_by_hand() -> None:
    """The ``miss`` quantile of the true class's probability, with one unit more at 0."""
    p = [0.05 + 0.1 * i for i in range(9)]
    one = units(p, [1] * 9)
    assert in_set_from([one], 1.0, 0.1) == pytest.approx(0.05)  # 9 of 10
    assert in_set_from([one], 1.0, 0.2) == pytest.approx(0.15)  # 8 of 10
    assert in_set_from([one], 1.0, 0.09) == 0
    sure = units([0.9] * 900, [1] * 900)  # a plate of 900 weighs as much as one of 9
    assert in_set_from([one, sure], 1.0, 0.21) == pytest.approx(0.35)
    assert members(np.array([[0.6, 0.4], [0.95, 0.05], [0.9, 0.1]]), 0.1).tolist() == [
        [True, True],
        [True, False],
        [True, True],
    ]
    assert members(np.full((1, 3), 1 / 3), 0.9).sum() == 1  # the call, even below the limit


def test_plates_weigh_equally_in_the_temperature() -> None:
    rng = np.random.default_rng(3)
    one, many = (Units(*plate(rng, n, 2, s), np.ones(n, bool)) for n, s in ((1000, 1.0), (1000, 4.0)))
    twice = Units(*(np.concatenate([part] * 20) for part in (many.probability, many.y, many.learnt)))
    assert calibrating_temperature([one, twice]) == pytest.approx(
        calibrating_temperature([one, many]), rel=0.02
    )


def test_right_answers_do_not_make_every_answer_certain() -> None:
    sure = units([0.9, 0.1] * 10, [1, 0] * 10)
    heat = calibrating_temperature([sure, sure])
    assert 0.95 < tempered(sure.probability, heat).max() < 0.995
    assert temperature(sure.probability, sure.y) < 0.05  # without the softened labels


def test_a_plate_is_measured_by_what_the_others_have_set() -> None:
    left_out = plates(np.random.default_rng(4), 3, 60)
    before = trust(left_out, names(2)).plates
    other = replace(left_out["plate 0"], y=1 - left_out["plate 0"].y)
    after = trust({**left_out, "plate 0": other}, names(2)).plates
    others = trust({name: left_out[name] for name in ("plate 1", "plate 2")}, names(2))
    own = tempered(left_out["plate 0"].probability, others.temperature)
    assert before.loc[0, "answered"] == (own.max(axis=1) >= others.confidence).mean()
    assert after.loc[0, "answered"] == before.loc[0, "answered"]
    assert after.loc[1, "answered"] != before.loc[1, "answered"]


def test_units_are_subjects_where_all_plates_have_them() -> None:
    p = np.array([0.1, 0.3, 0.2, 0.9, 0.8])
    one = Judged(np.column_stack([1 - p, p]), np.array([0, 0, 0, 1, 1]), np.array(["a", "a", "a", "b", "b"]))
    unit, found = units_of({"1": one, "2": one}, names(2))
    assert unit == "subject"
    np.testing.assert_allclose(found["1"].probability[:, 1], [0.2, 0.85])
    assert found["1"].y.tolist() == [0, 1]
    unit, found = units_of({"1": one, "2": replace(one, subject=None)}, names(2))
    assert (unit, len(found["1"].y)) == ("sample", 5)


def test_medians_of_classes_sum_to_1() -> None:
    p = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    first, sizes, found = unit_probability(p, np.array(["b", "b", "b", "a", "a", "a"]))
    assert (first.tolist(), sizes.tolist()) == ([3, 0], [3, 3])
    np.testing.assert_allclose(found[0], 1 / 3)  # all medians are 0
    np.testing.assert_allclose(found[1], np.array([0.2, 0.2, 0.1]) / 0.5)


def test_odd_plates_have_numbers_and_sentences() -> None:
    rng = np.random.default_rng(6)
    p, y = plate(rng, 50, 13)
    some = y < 11
    left_out: LeftOut = {
        "whole": Judged(p, y),
        "lacks two": Judged(p[some], y[some]),
        "one class": Judged(p[y == 2], y[y == 2]),
        "tiny": Judged(p[:1], y[:1]),
    }
    found = trust(left_out, names(13))
    said = " ".join(found.caveats)
    for part in ("'tiny'", "'one class'", "'class 11', 'class 12'", "1 in 5"):
        assert part in said
    assert np.isnan(found.plates.loc[2, "slope"])
    assert found.plates["coverage"].between(0, 1).all()
    assert found.values.empty
    assert found.benefit.empty
    assert list(found.plates) == [
        *("plate", "units", "slope", "brier", "answered", "error", "coverage", "set_size")
    ]


def test_two_tiny_plates_set_nothing_and_say_so() -> None:
    one = Judged(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    found = trust({"1": one, "2": one}, names(2))
    assert found.confidence > 1
    assert found.threshold == 0
    assert found.plates["answered"].tolist() == [0, 0]
    assert found.plates["set_size"].tolist() == [2, 2]
    said = " ".join(found.caveats)
    for part in ("Only two plates", "no sample gets an answer", "every set has all classes"):
        assert part in said
    calls = calls_of(np.array([[0.9, 0.1]]), found, names(2))
    assert calls.loc[0, "answer"] == "abstained"
    assert calls.loc[0, "set"] == "class 0 or class 1"


def test_answers_by_chance_are_said_to_be_so() -> None:
    rng = np.random.default_rng(11)
    left_out = {str(i): Judged(plate(rng, 200)[0], rng.integers(0, 2, 200)) for i in range(3)}
    found = trust(left_out, names(2))
    assert found.confidence > 1
    assert any("hardly better than chance" in one for one in found.caveats)


def test_a_plate_that_is_far_off_is_named() -> None:
    rng = np.random.default_rng(10)
    left_out = plates(rng, 4, 300)
    assert not any("far off" in one for one in trust(left_out, names(2)).caveats)
    odd = replace(
        left_out["plate 2"],
        y=np.where(rng.random(300) < 0.3, 1 - left_out["plate 2"].y, left_out["plate 2"].y),
    )
    found = [one for one in trust({**left_out, "plate 2": odd}, names(2)).caveats if "far off" in one]
    assert len(found) == 1
    assert found[0].startswith("On plate 'plate 2' ")


def test_calls_of_a_plate_without_labels() -> None:
    found = replace(
        trust(plates(np.random.default_rng(7), 3, 60, 3), names(3)),
        temperature=2.0,
        confidence=0.6,
        threshold=0.3,
    )
    raw = np.array([[0.96, 0.02, 0.02], [0.1, 0.4, 0.5], [0.25, 0.75, 0.0]])
    calls = calls_of(raw, found, names(3))
    assert calls["call"].tolist() == ["class 0", "class 2", "class 1"]
    assert calls["answer"].tolist() == ["class 0", "abstained", "class 1"]
    assert calls["set"].tolist() == ["class 0", "class 2 or class 1", "class 1 or class 0"]
    p = np.sqrt(raw[0]) / np.sqrt(raw[0]).sum()
    np.testing.assert_allclose(calls.loc[0, [f"calibrated_{name}" for name in names(3)]].astype(float), p)
    np.testing.assert_allclose(calls[[f"p_{name}" for name in names(3)]], raw)
    assert len(calls_of(np.zeros((0, 3)), found, names(3))) == 0


def test_reliability_counts_all_units() -> None:
    found = trust(plates(np.random.default_rng(8), 3, 200), names(2)).reliability
    assert found["count"].sum() == 600
    assert found["confidence"].is_monotonic_increasing
    gaps = (found["accuracy"] - found["confidence"]).abs()
    assert np.average(gaps, weights=found["count"]) < 0.06


def test_wrong_use_is_refused() -> None:
    left_out = plates(np.random.default_rng(9), 2, 10)
    with pytest.raises(CalibError, match="at least two"):
        trust({"1": left_out["plate 0"]}, names(2))
    with pytest.raises(CalibError, match="error=1"):
        trust(left_out, names(2), error=1)
    with pytest.raises(CalibError, match="3 columns"):
        trust(left_out, names(3))
    with pytest.raises(CalibError, match="prevalence"):
        trust(left_out, names(2), prevalences=[0.0])
