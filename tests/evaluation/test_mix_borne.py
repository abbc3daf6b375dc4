"""Tests of the warning that a method bears the class mix of a batch badly."""

import numpy as np
import pytest

from calib.evaluation import mix_borne
from calib.evaluation.class_mix import MixEstimate
from calib.evaluation.mix_borne import LOSS, SHARES, UNMEASURED, USUAL, loss, measured, mix_warning
from tests.conftest import METHODS

CLASSES = ["control", "case"]
REFERENCE = np.array([0.45, 0.55])


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what was measured."""
    table = {
        "fragile": np.array([0.20, 0.05, 0.01, 0.10]),
        "robust": np.array([0.01, 0.0, -0.01, 0.02]),
        "uneven": np.array([0.0, 0.0, 0.10, 0.0]),
    }
    monkeypatch.setattr(mix_borne, "measured", lambda: table)


def found(case: float, low: float = 0.0, high: float = 1.0) -> MixEstimate:
    """Return an estimate with this share of cases, and the ends of its interval."""
    return MixEstimate(*(np.array([1 - a, b]) for a, b in ((case, case), (high, low), (low, high))))


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0, 0),
        (0.25, 0.055),  # more cases: halfway between .70 and .90 of them
        (0.35, 0.125),  # fewer cases: halfway between .30 and .10
        (0.45, 0.20),
        (0.9, 0.20),  # beyond what was measured
    ],
)
def test_losses_between_the_shares_are_interpolated_and_the_larger_one_counts(
    difference: float, expected: float
) -> None:
    assert loss("fragile", difference) == pytest.approx(expected)


def test_losses_at_the_shares_are_those_of_the_table() -> None:
    assert loss("uneven", SHARES[2] - USUAL) == pytest.approx(0.10)
    assert loss("robust", USUAL - SHARES[0]) == pytest.approx(0.02)  # of more cases
    assert loss("unknown", 0.4) is None


def test_a_method_that_loses_is_warned_of_in_one_sentence() -> None:
    text = mix_warning("Target '3'", "fragile", found(0.1, 0.02, 0.2), REFERENCE, CLASSES)
    assert "Target '3' seems to have" in text
    assert "and the sources" in text
    assert f"fragile lost {0.20:.2f} of balanced accuracy" in text
    assert "method=pooled_logistic" in text
    assert text.endswith(".")
    assert text.count("\n") == 0
    interval = {"case": "10% 'case' (95 % interval 2% to 20%), and the sources 55%",
                "control": "90% 'control' (95 % interval 80% to 98%), and the sources 45%"}  # fmt: skip
    assert any(said in text for said in interval.values())


def test_nothing_is_said_where_nothing_is_lost() -> None:
    estimate = found(0.1, 0.05, 0.15)
    assert mix_warning("Target '3'", "robust", estimate, REFERENCE, CLASSES) == ""
    assert mix_warning("Target '3'", "fragile", found(0.55, 0.45, 0.65), REFERENCE, CLASSES) == ""


def test_of_a_method_that_was_not_measured_the_difference_decides() -> None:
    far, near = USUAL - UNMEASURED - 0.05, USUAL - UNMEASURED + 0.05
    text = mix_warning("Target '3'", "unknown", found(far, far, far), REFERENCE, CLASSES)
    assert "what unknown loses by such a mix was not measured" in text
    assert mix_warning("Target '3'", "unknown", found(near, near, near), REFERENCE, CLASSES) == ""


def test_a_class_that_cannot_be_told_has_the_share_of_the_sources() -> None:
    estimate = MixEstimate(np.array([0.6, 0.0, 0.4]), np.array([0.5, 0.0, 0.0]), np.array([0.7, 0.1, 1.0]))
    reference, classes = np.array([0.3, 0.3, 0.4]), ["a", "b", "c"]
    text = mix_warning("Target '3'", "fragile", estimate, reference, classes)
    assert "'a'" in text
    assert "'c'" not in text


def test_the_shipped_table_has_methods_of_the_configuration() -> None:
    table = measured()
    assert table
    assert set(table) <= set(METHODS)
    for losses in table.values():
        assert losses.shape == (len(SHARES),)
        assert np.isfinite(losses).all()
        assert (np.abs(losses) < 0.5).all()


def test_the_shipped_table_is_a_reason_to_warn_of_standardising_each_batch() -> None:
    assert measured()["standardise_logistic"].max() > LOSS
