"""What so many labelled subjects can show: the smallest gain, and plates and classes that are too small."""

import numpy as np
import pandas as pd

from calib.data.cautions import counted, listed
from calib.evaluation.ranks import normal_quantile
from calib.plates.answer import Finding
from calib.plates.checks.seen import Checked, Seen, has, subject_keys

DISCORDANT = 0.15
"""Share of subjects that just one of two methods answers rightly, a usual one between similar methods."""

GAIN = 0.05
"""Gain in accuracy whose number of subjects is stated."""

SMALL_PLATE, SMALL_CLASS = 50, 10
"""Samples of a plate, and subjects of a class, below which they are named."""

POWER, ERROR = 0.8, 0.05
"""Chance to find a gain that there is, and to find one that there is not."""


def check(seen: Seen) -> Checked:
    """Return what the labelled subjects can show: ``quantity``, ``value``, a row each."""
    study = seen.study
    keys = {batch.name: subject_keys(batch) for batch in seen.labelled}
    every = np.concatenate([np.zeros(0, np.str_), *keys.values()])
    subjects = len(np.unique(every))
    labels = np.concatenate([np.zeros(0, np.int64), *(b.y for b in seen.labelled if b.y is not None)])
    of_class = [len(np.unique(every[labels == number])) for number in range(len(study.classes))]
    least, need = smallest_gain(subjects), subjects_for(GAIN)
    table = pd.DataFrame(
        [
            ("labelled plates", len(seen.labelled)),
            ("labelled subjects", subjects),
            ("smallest gain", least),
            (f"subjects for a gain of {GAIN}", need),
            *((f"subjects of {name}", count) for name, count in zip(study.classes, of_class, strict=True)),
        ],
        columns=["quantity", "value"],
    )
    unit = "subject" if all(batch.subject is not None for batch in seen.labelled) else "sample"
    found = []
    if len(seen.labelled) < 2:
        found.append(
            Finding(
                "few_labelled_plates",
                True,
                f"{'One plate only has' if seen.labelled else 'No plate has'} labels, and a method is chosen "
                "by leaving out one labelled plate of two or more.",
                "Label the samples of another plate, or take the answers without any measure of their worth.",
            )
        )
    elif not least <= GAIN:
        known = counted(subjects, f"labelled {unit}")
        shown = (
            f"{known} cannot show that one method is better than another"
            if np.isnan(least)
            else f"{known} can show differences of {least:.2f} or more in accuracy between two methods"
        )
        found.append(
            Finding(
                "few_subjects",
                False,
                f"{shown[0].upper()}{shown[1:]}; a gain of {GAIN:.2f} needs about {need:,}.",
                "Do not read smaller differences between methods as gains, or label more samples.",
            )
        )
    small = [f"'{b.name}' ({len(b)})" for b in study.batches.values() if len(b) < SMALL_PLATE]
    if small:
        found.append(
            Finding(
                "small_plates",
                False,
                f"{counted(len(small), 'plate')} of {len(study.batches)} "
                f"{has(len(small))} fewer than {SMALL_PLATE} samples: "
                f"{', '.join(small[:5])}{f' and {len(small) - 5} more' if len(small) > 5 else ''}.",
                "Compare pooled_logistic, which calibrates a small plate only in part, since the scale of a "
                "handful of samples is mostly chance.",
            )
        )
    few = [name for name, count in zip(study.classes, of_class, strict=True) if count < SMALL_CLASS]
    if few and seen.labelled:
        numbers = [f"{of_class[list(study.classes).index(name)]}" for name in few]
        found.append(
            Finding(
                "small_class",
                False,
                f"{'A class has' if len(few) == 1 else f'{len(few)} classes have'} fewer than {SMALL_CLASS} "
                f"labelled {unit}s: {listed(few, 5)} ({', '.join(numbers[:5])}).",
                "Take numbers about such a class as rough, or join it with another (dataset.classes).",
            )
        )
    return Checked(table, found)


def subjects_for(gain: float, discordant: float = DISCORDANT) -> int:
    """Return how many subjects a paired comparison needs to show a gain in accuracy.

    It is the number for McNemar's test with a power of .8 at a two-sided .05 (Connor 1987,
    doi 10.2307/2531961): (1.96 sqrt(d) + 0.84 sqrt(d - g^2))^2 / g^2.

    Args:
        gain: difference of two accuracies, at most ``discordant``.
        discordant: share of subjects that just one of the two methods answers rightly.
    """
    level, power = normal_quantile(1 - ERROR / 2), normal_quantile(POWER)
    root = level * np.sqrt(discordant) + power * np.sqrt(max(discordant - gain**2, 0))
    return int(np.ceil((root / gain) ** 2))


def smallest_gain(subjects: int, discordant: float = DISCORDANT) -> float:
    """Return the smallest gain that so many subjects can show, NaN where there is none.

    It solves the equation of ``subjects_for`` for the gain, a quadratic one.
    """
    if subjects < subjects_for(discordant, discordant):
        return float("nan")
    level, power = normal_quantile(1 - ERROR / 2), normal_quantile(POWER)
    needed, both = level**2 * discordant, subjects + power**2
    half = level * np.sqrt(discordant * subjects)
    return float((half + np.sqrt(half**2 - both * (needed - power**2 * discordant))) / both)
