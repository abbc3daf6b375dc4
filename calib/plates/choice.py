"""The choice of a method on the labelled plates, and what the choice itself costs."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from calib.data.cautions import listed
from calib.plates.answer import BALANCED, METRICS, Choice, Expected, LeftOut
from calib.plates.compare import Result
from calib.plates.scores import MethodScores, PlateScores, floor, ranged, scored

RULE = (
    "The method with the highest balanced accuracy, mean over the labelled plates, each judged by a model of "
    "the other plates; of equal ones the plainer."
)

TWO = (
    "Two labelled plates: the method that judges one plate was trained on a single plate, and one plate "
    "alone has chosen it. The model for the blank plates learns from both, so it may do better. How far a "
    "further plate may be off cannot be told from two."
)

FEW = 5
"""Number of labelled plates below which the interval for a further plate is mostly the small number's."""

Scores = Mapping[str, MethodScores]
"""Name of a method -> its scores, no calibration first."""


def all_scores(results: Sequence[Result]) -> dict[str, MethodScores]:
    """Return the scores of the methods that have answers, by unit."""
    return {one.compared.name: scored(one.units) for one in results if not one.refusal}


def choose(
    results: Sequence[Result], scores: Scores, rng: np.random.Generator, unjudged: Sequence[str] = ()
) -> Choice:
    """Return the chosen method with the price of its choice.

    The price is found by nesting: for each plate the other plates choose a method, which is then judged on
    this plate. The labels of this plate have trained the models that the choice compares, as they have in
    every cross-validation, but its own scores take no part in it.

    Args:
        results: answers of the methods, no calibration first, from plain to involved.
        scores: their scores.
        rng: source of the shuffled labels of the floor.
        unjudged: labelled plates that could not be judged.
    """
    labels = {one.compared.name: one.compared.label for one in results}
    summaries = {one.compared.name: one.compared.summary for one in results}
    best = _best(scores, lambda one: one.means[BALANCED])
    plates = list(scores[best].plates)
    none = results[0].compared.name if results[0].compared.name in scores else ""
    nested: dict[str, PlateScores] = {}
    rows = []
    for plate in plates:
        others = [name for name in plates if name != plate]
        own = _best(scores, lambda one, others=others: _mean_of(one, others))  # type: ignore[misc]
        nested[plate] = scores[own].plates[plate]
        rows.append(
            {
                "plate": plate,
                "method": own,
                "label": labels[own],
                BALANCED: nested[plate].values[BALANCED],
                "none": scores[none].plates[plate].values[BALANCED] if none else np.nan,
            }
        )
    left_out: list[LeftOut] = [one.units for one in results if not one.refusal]
    level = floor(left_out, rng)
    expected = MethodScores(nested).expected(BALANCED)
    gain = MethodScores(nested).minus(scores[none]) if none else Expected(np.nan, np.nan, np.nan)
    return Choice(
        method=best,
        label=labels[best],
        rule=RULE,
        nested=expected,
        next_plate=next_plate(nested),
        gain=gain,
        by_plate=pd.DataFrame(rows),
        floor=level,
        above_floor=scores[best].means[BALANCED] > level,
        caveats=_caveats(len(plates), none, best if len(scores) > 1 else "", unjudged),
        summary=summaries[best],
    )


def _best(scores: Scores, value: Callable[[MethodScores], float]) -> str:
    """Return the first of the methods with the highest value."""
    values = {name: value(one) for name, one in scores.items()}
    highest = max(values.values())
    return next(name for name, found in values.items() if found == highest)


def _mean_of(one: MethodScores, plates: Sequence[str]) -> float:
    """Return a method's mean balanced accuracy on some plates."""
    return float(np.mean([one.plates[plate].values[BALANCED] for plate in plates]))


def next_plate(nested: Mapping[str, PlateScores]) -> Expected:
    """Return the mean balanced accuracy with a 95 % interval for a single further plate.

    It is the prediction interval of Student's t from the plates' own spread (Hahn and Meeker 1991,
    Statistical Intervals, section 4.7), which takes plates for draws of one kind. The spread is at least what
    other subjects on the same plates would make. Two plates have one degree of freedom, with which it says
    next to nothing.
    """
    values = np.array([one.values[BALANCED] for one in nested.values()])
    count, mean = len(values), float(values.mean())
    if count < 2:
        return Expected(mean, np.nan, np.nan)
    within = np.mean([one.error(BALANCED) ** 2 for one in nested.values()])
    spread = float(np.sqrt(max(values.var(ddof=1), within)))
    return ranged(mean, spread * float(np.sqrt(1 + 1 / count)), count - 1, (0.0, 1.0))


def _caveats(plates: int, none: str, best: str, unjudged: Sequence[str]) -> list[str]:
    """Return what the numbers of the choice cannot mean; ``best`` is "" where nothing was compared."""
    found = []
    if unjudged:
        found.append(
            f"Not judged: {listed(unjudged)}, since a plate of one class, or one without which one class "
            "is left to learn, cannot tell methods apart. They take part in every training."
        )
    if plates == 2:
        found.append(TWO)
    elif plates < FEW:
        found.append(
            f"{plates} labelled plates: the interval for a further plate is wide mostly because they are few."
        )
    if not none:
        found.append("No calibration could not be run, so the gain over it is unknown.")
    elif best == none:
        found.append("No calibration is the best here: calibrating these plates gains nothing.")
    return found


def method_table(results: Sequence[Result], scores: Scores) -> pd.DataFrame:
    """Return a row a method, the best first (``Answer.methods``)."""
    none = scores.get(results[0].compared.name)
    rows = []
    for one in results:
        name = one.compared.name
        row: dict[str, object] = {"method": name, "label": one.compared.label, "seconds": one.seconds}
        own = scores.get(name)
        for metric in METRICS:
            row |= _columns(metric, own.expected(metric) if own else None)
        gain = own.minus(none) if own and none and own is not none else None
        rows.append(row | _columns("gain", gain) | {"refusal": one.refusal})
    table = pd.DataFrame(rows)
    return table.sort_values(BALANCED, ascending=False, kind="stable", ignore_index=True)


def plate_table(results: Sequence[Result], scores: Scores) -> pd.DataFrame:
    """Return a row a method and labelled plate (``Answer.by_plate``)."""
    labels = {one.compared.name: one.compared.label for one in results}
    return pd.DataFrame(
        [
            {"method": name, "label": labels[name], "plate": plate, **values.values}
            for name, own in scores.items()
            for plate, values in own.plates.items()
        ]
    )


def _columns(name: str, found: Expected | None) -> dict[str, float]:
    """Return a number and the ends of its interval as columns; NaN without one."""
    values = (found.value, found.low, found.high) if found else (np.nan,) * 3
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
