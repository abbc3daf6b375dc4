"""Surrogate variables of new samples, given those of a training set, for frozen SVA.

``calib.methods.sva.FrozenSVA`` uses it. Parker, Corrada Bravo & Leek 2014 (doi 10.7717/peerj.561), computed
as by Bioconductor's ``sva::fsva``; here the samples are rows.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.comparators.sva.surrogates import Surrogates, centred, decomposed
from calib.errors import CalibError

Array = NDArray[np.floating]


def exact(x: Array, found: Surrogates, new: Array) -> Array:
    """Return surrogate variables of new samples ``(rows, number)``, each decomposed with the training set.

    A new sample changes the training set's matrix of products by a matrix of rank one, so only a small
    matrix has to be decomposed for it. The numbers are those of ``fsva``, which decomposes all data anew.

    Args:
        x: training samples ``(samples, features)``.
        found: surrogate variables of the training samples.
        new: new samples ``(rows, features)``.
    """
    n = len(x)
    weighted = x * found.weights
    vectors, values, directions = decomposed(centred(weighted))
    away = new * found.weights - weighted.mean(axis=0)
    inside = away @ directions
    outside = np.sqrt(np.maximum(np.square(away).sum(axis=1) - np.square(inside).sum(axis=1), 0))
    places = np.column_stack([inside, outside])
    squares = np.diag(np.append(values, 0) ** 2)
    size, number = len(squares), found.number
    # The products of the directions and the known surrogate variables decide the signs.
    common = np.vstack([values[:, None] * (vectors.T @ centred(found.values)), np.zeros((1, number))])
    out = np.empty((len(new), number))
    for i, place in enumerate(places):
        changed = squares + np.outer(place, place) * (n / (n + 1))
        top, axes = eigh(changed, subset_by_index=[size - number, size - 1])
        top, axes = top[::-1], axes[:, ::-1]
        sign = np.sign((axes * common).sum(axis=0))
        out[i] = sign * (place @ axes) * (n / (n + 1)) / np.sqrt(top)
    return out


def fast(x: Array, found: Surrogates, new: Array) -> Array:
    """Return surrogate variables of new samples ``(rows, number)``, along the training set's directions.

    As in ``fsva`` these are centred and scaled to length 1 over the new samples. So the values of the new
    samples depend on each other, and a smaller set gets larger values.

    Args:
        x: training samples ``(samples, features)``.
        found: surrogate variables of the training samples.
        new: new samples ``(rows, features)``.

    Raises:
        CalibError: there is one new sample only.
    """
    if len(new) < 2:
        raise CalibError(
            "Fast fSVA compares a target batch's samples with each other, and there is one only; set "
            "method.corrector.mode=exact."
        )
    vectors, values, directions = decomposed(centred(x * found.weights), found.number)
    sign = np.sign((vectors * centred(found.values)).sum(axis=0))
    places = centred((new * found.weights) @ directions / values * sign)
    deviation = places.std(axis=0, ddof=1) * np.sqrt(len(new))
    return places / np.where(deviation > 0, deviation, 1)
