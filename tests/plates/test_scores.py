"""Scores of left-out plates, the floor, and the choice with its price."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, matthews_corrcoef, roc_auc_score

from calib.plates.answer import BALANCED, METRICS, Judged
from calib.plates.choice import all_scores, choose, method_table, next_plate, plate_table
from calib.plates.compare import Result
from calib.plates.methods import Compared
from calib.plates.scores import PlateScores, floor, scored


def judged(rng: np.random.Generator, strength: float, subjects: int = 40, classes: int = 2) -> Judged:
    """Return answers whose log odds for the true class are raised by ``strength``."""
    y = np.arange(subjects) % classes
    logits = rng.normal(size=(subjects, classes)) + strength * np.eye(classes)[y]
    p = np.exp(logits)
    return Judged(p / p.sum(axis=1, keepdims=True), y, np.arange(subjects))


def test_metrics_are_those_of_scikit_learn() -> None:
    one = judged(np.random.default_rng(0), 1.0)
    called = one.probability.argmax(axis=1)
    values = scored({"a": one}).plates["a"].values
    assert set(values) == set(METRICS)
    assert values[BALANCED] == pytest.approx(balanced_accuracy_score(one.y, called))
    assert values["auc"] == pytest.approx(roc_auc_score(one.y, one.probability[:, 1]))
    assert values["mcc"] == pytest.approx(matthews_corrcoef(one.y, called))
    assert values["brier"] == pytest.approx(2 * brier_score_loss(one.y, one.probability[:, 1]))
    assert values["sensitivity"] == pytest.approx((called[one.y == 1] == 1).mean())
    assert values["specificity"] == pytest.approx((called[one.y == 0] == 0).mean())


def test_a_number_over_plates_is_the_mean_of_plates() -> None:
    rng = np.random.default_rng(1)
    scores = scored({"a": judged(rng, 1.0, 200), "b": judged(rng, 1.0, 20)})
    expected = scores.expected(BALANCED)
    assert expected.value == pytest.approx(np.mean([one.values[BALANCED] for one in scores.plates.values()]))
    assert expected.low < expected.value < expected.high


def test_intervals_cover_and_paired_differences_are_narrower() -> None:
    rng = np.random.default_rng(2)
    truth = scored({"a": judged(rng, 1.0, 20_000)}).means[BALANCED]
    inside = []
    for _ in range(60):
        found = scored({name: judged(rng, 1.0, 40) for name in "ab"}).expected(BALANCED)
        inside.append(found.low <= truth <= found.high)
    assert 0.88 <= np.mean(inside) <= 1
    one = {name: judged(rng, 1.0, 60) for name in "ab"}
    near = {name: Judged(j.probability * 0.9 + 0.05, j.y, j.subject) for name, j in one.items()}
    apart = scored(one).minus(scored(near))
    assert apart.high - apart.low < 0.01  # the same answers


def test_more_than_two_classes_have_no_sensitivity() -> None:
    values = scored({"a": judged(np.random.default_rng(3), 1.0, 60, classes=4)}).means
    assert np.isnan(values["sensitivity"])
    assert 0.25 < values[BALANCED] < 1
    assert np.isfinite(values["slope"])


def test_the_floor_rises_with_methods_and_falls_with_subjects() -> None:
    rng = np.random.default_rng(4)

    def level(methods: int, subjects: int) -> float:
        answers = [{"a": judged(rng, 0.0, subjects)} for _ in range(methods)]
        return floor(answers, np.random.default_rng(0), 400)

    assert 0.5 < level(1, 200) < level(10, 200) < level(10, 20) < 1


def test_samples_of_a_subject_are_shuffled_together() -> None:
    y = np.repeat([0, 1] * 5, 20)
    p = np.eye(2)[y] * 0.8 + 0.1
    alone = floor([{"a": Judged(p, y)}], np.random.default_rng(0), 400)
    together = floor([{"a": Judged(p, y, np.repeat(np.arange(10), 20))}], np.random.default_rng(0), 400)
    assert together > alone + 0.1


def results(rng: np.random.Generator, *strengths: float, plates: str = "abc") -> list[Result]:
    """Return results of no calibration and of methods with these strengths."""
    found = []
    for number, strength in enumerate(strengths):
        answers = {plate: judged(rng, strength) for plate in plates}
        name = "none" if number == 0 else f"method_{number}"
        found.append(Result(Compared(name, name.capitalize(), ()), {}, answers, answers, 1.0))
    return found


def test_the_best_is_chosen_and_its_price_is_nested() -> None:
    rng = np.random.default_rng(5)
    found = results(rng, 0.5, 4.0, 1.0)
    scores = all_scores(found)
    choice = choose(found, scores, np.random.default_rng(0))
    assert choice.method == "method_1"
    assert list(choice.by_plate["method"]) == ["method_1"] * 3
    assert choice.nested.value == pytest.approx(scores["method_1"].means[BALANCED])
    assert choice.gain.low > 0
    assert choice.above_floor


def test_choosing_among_equal_methods_costs_what_nesting_says() -> None:
    rng = np.random.default_rng(6)
    best, nested = [], []
    for _ in range(12):
        found = results(rng, *[1.0] * 6)
        scores = all_scores(found)
        choice = choose(found, scores, np.random.default_rng(0))
        best.append(max(one.means[BALANCED] for one in scores.values()))
        nested.append(choice.nested.value)
    truth = scored({"a": judged(rng, 1.0, 20_000)}).means[BALANCED]
    assert np.mean(best) > truth + 0.01  # the winner's curse
    assert abs(np.mean(nested) - truth) < 0.02


def test_nothing_is_above_chance_where_nothing_is() -> None:
    above = []
    for seed in range(12):
        found = results(np.random.default_rng(seed), *[0.0] * 4)
        above.append(choose(found, all_scores(found), np.random.default_rng(0)).above_floor)
    assert np.mean(above) < 0.3


def test_two_plates_say_so_and_a_tie_takes_the_plainer() -> None:
    found = results(np.random.default_rng(7), 1.0, 1.0, plates="ab")
    found[1] = Result(found[1].compared, {}, found[0].samples, found[0].units, 1.0)
    choice = choose(found, all_scores(found), np.random.default_rng(0))
    assert choice.method == "none"
    assert choice.caveats[0].startswith("Two labelled plates")
    assert choice.caveats[-1].startswith("No calibration is the best here")
    assert choice.next_plate.high - choice.next_plate.low > 0.2


def test_a_further_plate_has_the_prediction_interval_of_t() -> None:
    none = {BALANCED: np.zeros(20)}
    plates = {str(i): PlateScores({BALANCED: value}, none) for i, value in enumerate([0.7, 0.8, 0.9])}
    found = next_plate(plates)
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8 - 4.302653 * 0.1 * np.sqrt(4 / 3), abs=1e-5)
    assert found.high == 1.0


def test_tables_have_a_row_for_every_method() -> None:
    found = [*results(np.random.default_rng(8), 0.5, 2.0)]
    found.append(Result(Compared("x", "X", ()), {}, {}, {}, np.nan, "it needs counts"))
    scores = all_scores(found)
    table = method_table(found, scores)
    assert list(table["method"]) == ["method_1", "none", "x"]
    assert np.isnan(table["gain"][1])
    assert table["gain"][0] > 0
    assert table["refusal"][2] == "it needs counts"
    plates = plate_table(found, scores)
    assert len(plates) == 6
    assert isinstance(plates, pd.DataFrame)


def test_answers_that_are_all_right_are_not_certain() -> None:
    y = np.arange(40) % 2
    right = {name: Judged(np.eye(2)[y] * 0.98 + 0.01, y, np.arange(40)) for name in "abc"}
    scores = scored(right)
    expected = scores.expected(BALANCED)
    assert expected.value == 1.0
    assert 0.93 < expected.low < 0.99  # by the rule of three about 1 - 3 / 60 for each class
    assert 0.75 < next_plate(scores.plates).low < 0.95
    assert scores.minus(scores).high == 0.0
