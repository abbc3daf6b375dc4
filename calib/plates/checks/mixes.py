"""The class mix of each plate: counted where it has labels, estimated with an interval where it has none."""

from dataclasses import replace

import numpy as np
import pandas as pd

from calib.data.study import Study
from calib.data.transform import unit_of
from calib.plates.answer import Finding
from calib.plates.checks.seen import Checked, Seen, units_of
from calib.runs.mixes import later_mix, model_of

TOLD = 0.2
"""Separation of a class from the others, on left-out samples, below which its mix cannot be told."""

COLUMNS = ("plate", "labelled", "class", "share", "low", "high")


def check(seen: Seen) -> Checked:
    """Return a row a plate and class: ``plate``, ``labelled``, ``class``, ``share``, ``low``, ``high``.

    Counted shares are of subjects where these are known, and have no interval. That of a class that cannot
    be told from the others reaches from 0 to 1.
    """
    study = seen.study
    rows: list[tuple[object, ...]] = []
    shares = []
    for batch in seen.labelled:
        assert batch.y is not None
        pairs = np.unique(np.stack([units_of(batch), batch.y]), axis=1)[1]
        share = np.bincount(pairs, minlength=len(study.classes)) / len(pairs)
        shares.append(share)
        rows += [
            (batch.name, True, name, float(value), np.nan, np.nan)
            for name, value in zip(study.classes, share, strict=True)
        ]
    blank = [batch for batch in study.batches.values() if batch.y is None]
    found = []
    if blank and shares:
        small = _of_features(seen)
        model, unit = model_of(small, [batch.name for batch in seen.labelled]), unit_of(study)
        for batch in blank:
            if (mix := later_mix(model, small.batches[batch.name], unit)) is None:
                continue
            known = model.separations >= TOLD
            mix = replace(mix, low=np.where(known, mix.low, 0), high=np.where(known, mix.high, 1))
            numbers = list(zip(study.classes, mix.shares, mix.low, mix.high, strict=True))
            rows += [(batch.name, False, name, float(s), float(a), float(b)) for name, s, a, b in numbers]
            least, most = np.min(shares, axis=0), np.max(shares, axis=0)
            beyond = np.maximum(mix.low - most, least - mix.high)
            c = int(np.argmax(beyond))
            if beyond[c] > 0:
                found.append(
                    Finding(
                        "mix_unlike",
                        False,
                        f"On plate '{batch.name}', which has no labels, the share of '{study.classes[c]}' is "
                        f"estimated at {mix.shares[c]:.0%} (95 % interval {mix.low[c]:.0%} to "
                        f"{mix.high[c]:.0%}), and on the labelled plates it is {_range(least[c], most[c])}.",
                        "Choose a method that estimates the mix, such as standardise_mix_logistic: most "
                        "others take a different mix for a plate effect.",
                    )
                )
    return Checked(pd.DataFrame(rows, columns=list(COLUMNS)), found)


def _of_features(seen: Seen) -> Study:
    """Return the study with the features whose values are compared, and its own unit."""
    study, chosen = seen.study, seen.features
    if len(chosen) == len(study.features):
        return study
    batches = {name: replace(batch, x=batch.x[:, chosen]) for name, batch in study.batches.items()}
    names = [study.features[i] for i in chosen]
    return replace(study, batches=batches, features=names, unit=unit_of(study))


def _range(low: float, high: float) -> str:
    """Return a range of shares."""
    return f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"
