"""What is answered as one on a plate: a subject where subjects are known, else a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib.data.study import FloatArray, IntArray, Subjects
from calib.errors import CalibError
from calib.evaluation.metrics import median_by_subject
from calib.plates.answer import LeftOut


@dataclass(frozen=True)
class Units:
    """The answers of a left-out plate, a row a unit.

    Attributes:
        probability: of the classes ``(n, classes)``; rows sum to 1.
        y: true class indices ``(n,)``.
        learnt: whether another labelled plate has the unit's class ``(n,)``. The model that answered could
            not know the others. The model of the final answer can.
    """

    probability: FloatArray
    y: IntArray
    learnt: np.typing.NDArray[np.bool_]


def unit_probability(
    probability: FloatArray, subject: Subjects, y: IntArray | None = None
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return one distribution over the classes for each subject: the median of its samples, made to sum to 1.

    The medians of three classes and more need not sum to 1. They may all be 0, where samples of one subject
    are each sure of another class; the subject then has the mean of its samples.

    Args:
        probability: of the classes ``(samples, classes)``.
        subject: subject of each sample ``(samples,)``.
        y: true class indices ``(samples,)``: the samples of each class of a subject are then a unit of their
            own. None: unknown.

    Returns:
        The first sample of each unit, its number of samples, and its probabilities ``(units, classes)``.
        Units are in the order of subjects and then classes.
    """
    first, sizes, found = median_by_subject(probability.astype(np.float64), y, subject)
    total = found.sum(axis=1, keepdims=True)
    if (total == 0).any():
        for row in np.flatnonzero(total[:, 0] == 0):
            own = subject == subject[first[row]]
            found[row] = probability[own if y is None else own & (y == y[first[row]])].mean(axis=0)
        total = found.sum(axis=1, keepdims=True)
    return first, sizes, found / total


def units_of(left_out: LeftOut, classes: Sequence[str]) -> tuple[str, dict[str, Units]]:
    """Return ``subject`` or ``sample``, and the units of each plate.

    Units are subjects where all plates name theirs.

    Raises:
        CalibError: there are fewer than two plates, or a plate has no sample or a class too many.
    """
    if len(left_out) < 2:
        raise CalibError(
            f"Trust is measured between labelled plates, at least two; there are {len(left_out)}."
        )
    for name, one in left_out.items():
        if len(one.y) == 0 or one.probability.shape != (len(one.y), len(classes)):
            raise CalibError(
                f"Plate '{name}' has probabilities of shape {one.probability.shape}, which must be a row for "
                f"each of its {len(one.y)} samples, at least one, and {len(classes)} columns."
            )
    by_subject = all(one.subject is not None for one in left_out.values())
    found: dict[str, tuple[FloatArray, IntArray]] = {}
    for name, one in left_out.items():
        if by_subject:
            assert one.subject is not None
            first, _, probability = unit_probability(one.probability, one.subject, one.y)
            found[name] = probability, one.y[first]
        else:
            found[name] = one.probability.astype(np.float64), one.y
    has = {name: np.bincount(y, minlength=len(classes)) > 0 for name, (_, y) in found.items()}
    made = {}
    for name, (probability, y) in found.items():
        elsewhere = np.any([own for other, own in has.items() if other != name], axis=0)
        made[name] = Units(probability, y, elsewhere[y])
    return ("subject" if by_subject else "sample"), made
