"""Controls of equal dimension: as many principal components as a calibration leaves, before the same D.

Harmony, CCA, BERMUDA and DESC leave 16 to 128 dimensions, and a classifier has less to learn from. The
difference to uncorrected data mixes that with the worth of the calibration.
"""

from collections.abc import Sequence
from typing import Any

from calib.methods.desc import suggested_dims
from calib.report.groups import CLASSIFIERS, CONVERGED, Group

CONTROL = "pca"
"""Method whose corrected data are principal components."""

SETTINGS = {"harmony": "components", "cca": "dims", "bermuda": "code", "desc": "dims", CONTROL: "dimensions"}
"""Method that leaves fewer dimensions -> the setting of its corrector that says how many."""


def dimensions(group: Group) -> int | None:
    """Return the number of dimensions that a method leaves; None if it leaves all features."""
    if group.method not in SETTINGS:
        return None
    value: Any = group.jobs[0].run.config.method.corrector[SETTINGS[group.method]]
    samples = sum(len(batch) for batch in group.study.batches.values())
    if group.method == "desc":
        value = (value or suggested_dims(samples))[-1]
    return min(int(value), samples, len(group.study.features))


def equal_control(group: Group, groups: Sequence[Group]) -> Group | None:
    """Return the group of as many principal components before the same classifier; None if none is recorded.

    No batch of these is scaled by itself, since that would be a calibration.
    """
    if group.method == CONTROL or (count := dimensions(group)) is None:
        return None
    for other in groups:
        if other.method == CONTROL and other.runs and dimensions(other) == count:
            corrector = other.jobs[0].run.config.method.corrector
            if corrector.batch_scale == "none" and classifier_words(other) == classifier_words(group):
                return other
    return None


def classifier_words(group: Group) -> frozenset[str]:
    """Return the words of a group's variant that choose its classifier or how that is trained."""
    return frozenset(group.variant.split()) & {*CLASSIFIERS, CONVERGED}
