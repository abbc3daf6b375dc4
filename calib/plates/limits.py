"""What labelled plates set for others: a temperature, a confidence to answer from, a limit of the sets.

Every plate has the same weight, and the units of a plate share it. A further plate is a draw of a plate, and
then of its units; so the distributions of the plates are pooled, not their units (Dunn, Wasserman and Ramdas
2023, doi 10.1080/01621459.2022.2060112, "CDF pooling").
"""

from collections.abc import Sequence

import numpy as np

from calib.data.study import FloatArray
from calib.evaluation.trust import temperature, tempered
from calib.plates.units import Units

NEVER = 2.0
"""Confidence from which on there is an answer, where no threshold keeps the stated error."""

FEWEST = 0.1
"""Least share of units that a threshold answers: of many thresholds some has a lucky handful above it."""

ROUNDING = 1e-9
"""By how much sums of weights may miss a share."""


def calibrating_temperature(plates: Sequence[Units]) -> float:
    """Return the temperature that calibrates the answers of these plates.

    It has the most likely value of ``calib.evaluation.trust.temperature`` for softened labels. Of n units,
    each counts with 1 / (n + 2) as a unit of any class (Platt 1999, Probabilistic outputs for support vector
    machines, section 2.2). Without that a few plates whose answers are all right would make every further
    answer certain. Units of classes that no other plate has do not count, since the left-out model could not
    know them.
    """
    known = [plate.learnt for plate in plates]
    probability = np.concatenate([plate.probability[some] for plate, some in zip(plates, known, strict=True)])
    y = np.concatenate([plate.y[some] for plate, some in zip(plates, known, strict=True)])
    if len(y) == 0:
        return 1.0
    weight = np.concatenate([np.full(some.sum(), 1 / max(some.sum(), 1)) for some in known])
    classes = probability.shape[1]
    soft = 1 / (len(y) + 2)
    share = np.full((len(y), classes), soft / classes) + (1 - soft) * np.eye(classes)[y]
    return temperature(
        np.repeat(probability, classes, axis=0),
        np.tile(np.arange(classes), len(y)),
        (share * weight[:, None]).ravel(),
    )


def answered_from(plates: Sequence[Units], heat: float, error: float) -> float:
    """Return the least calibrated confidence that is answered, so that few of the answers are wrong.

    Among the units above a threshold the share of errors is estimated with plates of equal weight, and with
    one more unit that is wrong: (n share + 1) / (n + 1), where n is the effective number of units (Kish).
    The result is the lowest threshold at which this is at most ``error`` and at least ``FEWEST`` of the units
    are answered, plates of equal weight. The wrong unit stands for the one
    to come, and makes up for most of what choosing the lowest of many thresholds gains. In simulations of
    two to six exchangeable plates and ``error=.1``, 9 % to 10 % of a further plate's answers are wrong where
    half of its units and more are answered, and up to 13 % where a fifth is. For a single plate nothing is
    promised.

    Args:
        plates: units of labelled plates.
        heat: temperature of their probabilities.
        error: stated share of errors among the answered.

    Returns:
        0 where all units may be answered, ``NEVER`` where no threshold keeps the error.
    """
    confidence, right, weight = _confidences(plates, heat)
    order = np.argsort(-confidence, kind="stable")
    confidence, right, weight = confidence[order], right[order], weight[order]
    share = np.cumsum(weight * ~right) / np.cumsum(weight)
    count = np.cumsum(weight) ** 2 / np.cumsum(weight**2)
    last = np.append(confidence[1:] != confidence[:-1], True)  # units of equal confidence enter together
    many = np.cumsum(weight) / weight.sum() >= FEWEST - ROUNDING
    kept = np.flatnonzero(last & many & ((count * share + 1) / (count + 1) <= error + ROUNDING))
    if len(kept) == 0:
        return NEVER
    return 0.0 if kept[-1] == len(confidence) - 1 else float(confidence[kept[-1]])


def in_set_from(plates: Sequence[Units], heat: float, miss: float) -> float:
    """Return the calibrated probability from which on a class is in the set of a unit (split conformal).

    The score of a unit is the probability of its true class (LAC: Sadinle, Lei and Wasserman 2019,
    doi 10.1080/01621459.2017.1395341), and the limit its ``miss`` quantile. A plate of n units has mass
    1 / (n + 1) at a limit of 0, its unit to come. So the limit is never above that of split conformal
    prediction on the units of all plates, where plates have the same size.

    The limit is one for all classes. One for each would keep the stated share in each, but the rarer class
    of a plate often has fewer than 1 / miss units, which makes its limit 0, so that it is in every set.
    MAPIE has this score for exchangeable units, not for plates; it would be a dependency for ten lines.

    Args:
        plates: units of labelled plates.
        heat: temperature of their probabilities.
        miss: stated share of units whose set misses the true class.

    Returns:
        0 where the plates have too few units, so that every class is in every set.
    """
    values: list[FloatArray] = [np.zeros(0)]
    weights: list[FloatArray] = [np.zeros(0)]
    plates = [plate for plate in plates if plate.learnt.any()]
    for plate in plates:
        some = plate.learnt
        own = tempered(plate.probability[some], heat)[np.arange(some.sum()), plate.y[some]]
        values.append(own)
        weights.append(np.full(len(own), 1 / (len(own) + 1) / len(plates)))
    value, weight = np.concatenate(values), np.concatenate(weights)
    order = np.argsort(-value, kind="stable")
    enough = np.flatnonzero(np.cumsum(weight[order]) >= 1 - miss - ROUNDING)
    return float(value[order][enough[0]]) if len(enough) else 0.0


def members(probability: FloatArray, limit: float) -> np.typing.NDArray[np.bool_]:
    """Return which classes are in the set of each unit ``(n, classes)``: the call, and all from the limit on.

    The call is in it even below the limit, so no set is empty.
    """
    inside = probability >= limit
    inside[np.arange(len(probability)), probability.argmax(axis=1)] = True
    return inside


def _confidences(
    plates: Sequence[Units], heat: float
) -> tuple[FloatArray, np.typing.NDArray[np.bool_], FloatArray]:
    """Return the calibrated confidence of all units, whether their calls are right, and their weights."""
    some = [plate for plate in plates if plate.learnt.any()]
    calibrated = [tempered(plate.probability, heat)[plate.learnt] for plate in some]
    right = [own.argmax(axis=1) == plate.y[plate.learnt] for own, plate in zip(calibrated, some, strict=True)]
    weights = [np.full(len(own), 1 / len(own)) for own in calibrated]
    if not some:
        return np.ones(1), np.zeros(1, bool), np.ones(1)
    return (
        np.concatenate([own.max(axis=1) for own in calibrated]),
        np.concatenate(right),
        np.concatenate(weights),
    )
