"""How far the calls of a method may be believed, from its answers on left-out labelled plates.

Every number of a plate is measured with what the other plates have set, and the values for plates without
labels are set by all of them (``calib.plates.limits``). The plate that is measured was among the sources of
the models that answered the others, so the two are not wholly independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from calib.data.study import FloatArray
from calib.errors import CalibError
from calib.evaluation.trust import brier, reliability, tempered
from calib.plates.answer import LeftOut, Trust
from calib.plates.limits import answered_from, calibrating_temperature, in_set_from, members
from calib.plates.slope import slope
from calib.plates.trust_caveats import caveats
from calib.plates.units import Units, units_of
from calib.plates.value import check_prevalences, net_benefit, values
from calib.records.predictions_file import CALIBRATED, PROBABILITY
from calib.runs.outcome import ABSTAINED

BINS = 10
"""Bins of equal width of the reliability table."""

BETWEEN = " or "
"""Stands between the classes of a set."""


def trust(
    left_out: LeftOut,
    classes: Sequence[str],
    error: float = 0.1,
    miss: float = 0.1,
    prevalences: Sequence[float] = (),
) -> Trust:
    """Return how far the calls of a method may be believed.

    Args:
        left_out: answers for each labelled plate by a model that did not know its labels.
        classes: names of the classes; of two, the second is the positive one.
        error: stated share of errors among the units that get an answer.
        miss: stated share of units whose set of classes misses the true one.
        prevalences: shares of the positive class for the predictive values; the net benefit is that at the
            first. None: the plates' own. Not used with more than two classes.

    Returns:
        The slope, Brier score, shares and sets of a plate are of probabilities that are calibrated with the
        other plates' temperature.

    Raises:
        CalibError: there are fewer than two plates, or a number is not between 0 and 1.
    """
    for name, number in (("error", error), ("miss", miss)):
        if not 0 < number < 1:
            raise CalibError(f"{name}={number:g} is no share of units; give a number between 0 and 1.")
    check_prevalences(prevalences)
    unit, plates = units_of(left_out, classes)
    rows, calibrated = [], {}
    for name, own in plates.items():
        others = [plate for other, plate in plates.items() if other != name]
        found = _Limits.by(others, error, miss)
        calibrated[name] = Units(tempered(own.probability, found.temperature), own.y, own.learnt)
        rows.append({"plate": name, **_measured(calibrated[name], found)})
    final = _Limits.by(list(plates.values()), error, miss)
    table = pd.DataFrame(rows)
    judged = list(calibrated.values())
    binary = len(classes) == 2
    return Trust(
        unit=unit,
        temperature=final.temperature,
        error=error,
        confidence=final.confidence,
        miss=miss,
        threshold=final.threshold,
        plates=table,
        reliability=_reliability(judged),
        values=values(judged, prevalences) if binary else pd.DataFrame(),
        benefit=net_benefit(judged, prevalences[0] if prevalences else None) if binary else pd.DataFrame(),
        caveats=caveats(
            unit, classes, plates, table, final.temperature, final.confidence, final.threshold, error, miss
        ),
    )


def calls_of(probability: FloatArray, trust: Trust, classes: Sequence[str]) -> pd.DataFrame:
    """Return what is said of units without labels.

    Args:
        probability: raw probabilities of the classes ``(n, classes)``. Where ``trust.unit`` is ``subject``
            the limits were set by subjects and are for subjects (``calib.plates.units.unit_probability``).
        trust: what the labelled plates have set.
        classes: names of the classes.

    Returns:
        A row a unit: ``call`` (the most probable class), ``answer`` (the call, or ``abstained``), ``set``
        (its classes between " or ", the most probable first), ``p_<class>`` (raw), ``calibrated_<class>``.
    """
    raw = probability.astype(np.float64)
    p = tempered(raw, trust.temperature)
    best = raw.argmax(axis=1)
    names = np.array(list(classes), dtype=object)
    inside = members(p, trust.threshold)
    order = np.argsort(-p, axis=1, kind="stable")
    sets = [
        BETWEEN.join(names[place] for place in places if some[place])
        for places, some in zip(order, inside, strict=True)
    ]
    answered = p.max(axis=1) >= trust.confidence
    columns: Mapping[str, object] = {
        "call": names[best],
        "answer": np.where(answered, names[best], ABSTAINED),
        "set": sets,
        **{f"{PROBABILITY}{name}": raw[:, i] for i, name in enumerate(classes)},
        **{f"{CALIBRATED}{name}": p[:, i] for i, name in enumerate(classes)},
    }
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class _Limits:
    """What plates have set: temperature, confidence of an answer, and limit of the sets."""

    temperature: float
    confidence: float
    threshold: float

    @classmethod
    def by(cls, plates: Sequence[Units], error: float, miss: float) -> "_Limits":
        """Return what these plates set."""
        heat = calibrating_temperature(plates)
        return cls(heat, answered_from(plates, heat, error), in_set_from(plates, heat, miss))


def _measured(own: Units, found: _Limits) -> dict[str, float]:
    """Return the numbers of a plate with calibrated probabilities, and what the others have set."""
    right = own.probability.argmax(axis=1) == own.y
    answered = own.probability.max(axis=1) >= found.confidence
    inside = members(own.probability, found.threshold)
    return {
        "units": len(own.y),
        "slope": slope(own.probability, own.y),
        "brier": brier(own.probability, own.y),
        "answered": float(answered.mean()),
        "error": float(1 - right[answered].mean()) if answered.any() else np.nan,
        "coverage": float(inside[np.arange(len(own.y)), own.y].mean()),
        "set_size": float(inside.sum(axis=1).mean()),
    }


def _reliability(plates: Sequence[Units]) -> pd.DataFrame:
    """Return confidence, accuracy and count in bins that have units, over all plates."""
    found = reliability(
        np.concatenate([one.probability for one in plates]), np.concatenate([one.y for one in plates]), BINS
    )
    table = pd.DataFrame({"confidence": found.confidence, "accuracy": found.accuracy, "count": found.count})
    return table[table["count"] > 0].reset_index(drop=True)
