"""Surrogate variables of new samples, given those of a training set, for frozen SVA.

``calib.methods.sva.FrozenSVA`` uses it. Parker, Corrada Bravo & Leek 2014 (doi 10.7717/peerj.561), computed
as by Bioconductor's ``sva::fsva``; here the samples are rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.comparators.sva.surrogates import Surrogates, centred, decomposed
from calib.errors import CalibError

Array = NDArray[np.floating]


FROZEN = {
    "samples": ("one",),
    "weights": ("features",),
    "mean": ("features",),
    "directions": ("features", "rank"),
    "values": ("rank",),
    "common": ("rank", "number"),
}
"""Dimensions of the arrays of ``Frozen``."""


@dataclass(frozen=True)
class Frozen:
    """The decomposition of a training set, by which new samples get surrogate variables.

    Attributes:
        samples: number of training samples ``(1,)``.
        weights: weights of the features ``(features,)``.
        mean: mean of the weighted training samples ``(features,)``.
        directions, values: right singular vectors ``(features, rank)`` and singular values ``(rank,)`` of
            the centred weighted training samples.
        common: products of the left singular vectors and the known surrogate variables, times the singular
            values ``(rank, number)``; they decide the signs.
    """

    samples: Array
    weights: Array
    mean: Array
    directions: Array
    values: Array
    common: Array

    @classmethod
    def of(cls, x: Array, found: Surrogates) -> "Frozen":
        """Return the decomposition of training samples ``(samples, features)`` with these variables."""
        weighted = x * found.weights
        vectors, values, directions = decomposed(centred(weighted))
        common = values[:, None] * (vectors.T @ centred(found.values))
        return cls(np.array([len(x)]), found.weights, weighted.mean(axis=0), directions, values, common)


def exact(training: Frozen, new: Array) -> Array:
    """Return surrogate variables of new samples ``(rows, number)``, each decomposed with the training set.

    A new sample changes the training set's matrix of products by a matrix of rank one, so only a small
    matrix has to be decomposed for it. The numbers are those of ``fsva``, which decomposes all data anew.

    Args:
        training: the decomposed training set.
        new: new samples ``(rows, features)``.
    """
    n = int(training.samples[0])
    away = new * training.weights - training.mean
    inside = away @ training.directions
    outside = np.sqrt(np.maximum(np.square(away).sum(axis=1) - np.square(inside).sum(axis=1), 0))
    places = np.column_stack([inside, outside])
    squares = np.diag(np.append(training.values, 0) ** 2)
    size, number = len(squares), training.common.shape[1]
    common = np.vstack([training.common, np.zeros((1, number))])
    out = np.empty((len(new), number))
    for i, place in enumerate(places):
        changed = squares + np.outer(place, place) * (n / (n + 1))
        top, axes = eigh(changed, subset_by_index=[size - number, size - 1])
        top, axes = top[::-1], axes[:, ::-1]
        sign = np.sign((axes * common).sum(axis=0))
        out[i] = sign * (place @ axes) * (n / (n + 1)) / np.sqrt(top)
    return out


def fast(training: Frozen, new: Array) -> Array:
    """Return surrogate variables of new samples ``(rows, number)``, along the training set's directions.

    As in ``fsva`` these are centred and scaled to length 1 over the new samples. So the values of the new
    samples depend on each other, and a smaller set gets larger values.

    Args:
        training: the decomposed training set.
        new: new samples ``(rows, features)``.

    Raises:
        CalibError: there is one new sample only.
    """
    if len(new) < 2:
        raise CalibError(
            "Fast fSVA compares a target batch's samples with each other, and there is one only; set "
            "method.corrector.mode=exact."
        )
    number = training.common.shape[1]
    directions, values = training.directions[:, :number], training.values[:number]
    sign = np.sign(np.diagonal(training.common))
    places = centred((new * training.weights) @ directions / values * sign)
    deviation = places.std(axis=0, ddof=1) * np.sqrt(len(new))
    return places / np.where(deviation > 0, deviation, 1)
