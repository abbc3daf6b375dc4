"""How much methods lose where a batch has another class mix than their sources, and a warning of it.

``mix_borne.csv`` has what was measured on MI and CHD, or on MI alone for methods that take long
(docs/class-mix.md): the balanced accuracy at 50 % cases less that at another share, mean over target plates
and studies. ``scripts/mixes.py`` writes it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from calib.data.study import FloatArray
from calib.evaluation.class_mix import MixEstimate

TABLE = "mix_borne.csv"

SHARES = (0.1, 0.3, 0.7, 0.9)
"""Shares of cases at which the loss was measured; the sources have about 55 %."""

USUAL = 0.55

LOSS = 0.03
"""Loss of balanced accuracy above which there is a warning."""

ADVISED = ("pooled_logistic", "joint_plus_mix")
"""Methods that are named to whoever is warned."""

UNMEASURED = 0.25
"""Difference of a share above which there is a warning for methods that were not measured."""


@cache
def measured() -> Mapping[str, FloatArray]:
    """Return the loss of each method at each of ``SHARES`` ``(4,)``."""
    with files(__package__).joinpath(TABLE).open(encoding="utf-8") as file:
        table = pd.read_csv(file, index_col="method")
    return {str(method): row.to_numpy(float) for method, row in table.iterrows()}


def loss(method: str, difference: float) -> float | None:
    """Return the loss of balanced accuracy where a class's share differs so much from the sources'.

    Returns:
        The larger one of fewer and of more cases, between the shares that were measured; None for a method
        that was not measured.
    """
    known = measured().get(method)
    if known is None:
        return None
    fewer, more = ((1, 0), (2, 3))  # places of .3 and .1, and of .7 and .9
    sides = (
        np.interp(difference, [0, *(abs(SHARES[at] - USUAL) for at in side)], [0, *known[list(side)]])
        for side in (fewer, more)
    )
    return float(max(sides))


def mix_warning(
    batch: str, method: str, found: MixEstimate, reference: FloatArray, classes: Sequence[str]
) -> str:
    """Return one sentence if a method loses by a batch's estimated mix, or "".

    Args:
        batch: how the sentence calls the batch.
        method: name of the method.
        found: the estimate.
        reference: mean share of each class in the sources ``(classes,)``.
        classes: names of the classes.
    """
    apart = np.abs(found.shares - reference)
    worst = len(apart) - 1 if len(apart) == 2 else int(apart.argmax())
    difference = float(apart[worst])
    lost = loss(method, difference)
    if difference <= UNMEASURED if lost is None else lost <= LOSS:
        return ""
    said = (
        f"what {method} loses by such a mix was not measured"
        if lost is None
        else f"with such a mix, {method} lost {lost:.2f} of balanced accuracy where it was measured"
    )
    return (
        f"{batch} seems to have {found.shares[worst]:.0%} '{classes[worst]}' (95 % interval "
        f"{found.low[worst]:.0%} to {found.high[worst]:.0%}), and the sources {reference[worst]:.0%}; "
        f"{said}, so compare with method={' or '.join(one for one in ADVISED if one != method)}."
    )
