"""Sentences on what the measures of trust cannot mean."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binom

from calib.data.cautions import counted, listed
from calib.evaluation.trust import HIGHEST
from calib.plates.limits import NEVER
from calib.plates.units import Units

FEW = 10
"""Units of a plate below which its numbers are called rough."""

CHANCE_ONLY = HIGHEST / 2
"""Temperature above which the answers are called chance."""

CHANCE = 0.05
"""Probability of a sentence about some plate where all have the stated share of errors."""

OFF = 0.05
"""By how much a measured share may differ from the stated one, mean over plates, without a sentence."""


def caveats(
    unit: str,
    classes: Sequence[str],
    plates: Mapping[str, Units],
    table: pd.DataFrame,
    temperature: float,
    confidence: float,
    threshold: float,
    error: float,
    miss: float,
) -> list[str]:
    """Return what the numbers of ``calib.plates.trust.trust`` cannot mean.

    Args:
        unit: ``subject`` or ``sample``.
        classes: names of the classes.
        plates: units of the left-out plates.
        table: what was measured on each.
        temperature, confidence, threshold: what all plates have set.
        error, miss: the stated shares.
    """
    return [
        *_of_plates(unit, classes, plates),
        *_of_limits(unit, len(plates), temperature, confidence, threshold, error, miss),
        *_of_measures(table, error, miss),
    ]


def _of_plates(unit: str, classes: Sequence[str], plates: Mapping[str, Units]) -> list[str]:
    found = []
    if len(plates) == 2:
        found.append(
            "Only two plates have labels, so what is measured on each was set by the other one alone: the "
            "numbers are rough, and how much plates differ is hardly known."
        )
    if small := [name for name, plate in plates.items() if len(plate.y) < FEW]:
        found.append(f"Fewer than {FEW} {unit}s are on {_plates(small)}, whose numbers are rough.")
    if single := [name for name, plate in plates.items() if len(np.unique(plate.y)) == 1]:
        found.append(f"All {unit}s of {_plates(single)} have the same class, which leaves the slope open.")
    for name, plate in plates.items():
        if not plate.learnt.all():
            lost = [classes[i] for i in np.unique(plate.y[~plate.learnt])]
            found.append(
                f"Plate '{name}' has {counted(int((~plate.learnt).sum()), unit)} of {listed(lost)}, which no "
                "other labelled plate has: without this plate they could not be learnt. They count as errors "
                "in what is measured, and in no limit."
            )
    return found


def _of_limits(
    unit: str,
    plates: int,
    temperature: float,
    confidence: float,
    threshold: float,
    error: float,
    miss: float,
) -> list[str]:
    found = []
    if temperature > CHANCE_ONLY:
        found.append(
            "The answers on left-out plates are hardly better than chance, so calibrated probabilities are "
            "nearly the same for all classes; they say nothing."
        )
    if confidence >= NEVER:
        found.append(
            f"No threshold that answers a tenth of the {unit}s keeps the errors at {error:.0%}, so no {unit} "
            "gets an answer; allow more errors or label more plates."
        )
    if threshold <= 0:
        found.append(
            f"The labelled plates have too few {unit}s, or too many are judged wrongly, for sets that miss "
            f"{miss:.0%}: every set has all classes."
        )
    if miss < 1 / (plates + 1):
        found.append(
            f"The sets keep the stated share on average over plates like the {plates} labelled ones. For one "
            f"further plate nothing below 1 in {plates + 1} could be promised without assumptions."
        )
    return found


def _of_measures(table: pd.DataFrame, error: float, miss: float) -> list[str]:
    found = []
    coverage = table["coverage"].mean()
    if coverage < 1 - miss - OFF:
        found.append(
            f"On left-out plates the sets have the true class for {coverage:.0%}, not for the stated "
            f"{1 - miss:.0%}: plates differ more than the limit allows for."
        )
    answers = (table["answered"] * table["units"]).round()
    wrongs = (table["error"] * answers).fillna(0).round()
    share = wrongs.sum() / max(answers.sum(), 1)
    if share > error + OFF and binom.sf(wrongs.sum() - 1, answers.sum(), error) < CHANCE:
        found.append(
            f"On left-out plates {share:.0%} of the answers are wrong, not the stated {error:.0%}: plates "
            "differ more than the threshold allows for."
        )
    for plate, count, wrong in zip(table["plate"], answers, wrongs, strict=True):
        if binom.sf(wrong - 1, count, error) < CHANCE / len(table):
            found.append(
                f"On plate '{plate}' {wrong:.0f} of {count:.0f} answers are wrong ({wrong / count:.0%}), "
                f"more than the stated {error:.0%} and than chance explains: a further one may be as far off."
            )
    return found


def _plates(names: Sequence[str]) -> str:
    return f"{'plate' if len(names) == 1 else 'plates'} {listed(names)}"
