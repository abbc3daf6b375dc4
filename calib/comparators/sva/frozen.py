"""Surrogate variables of samples that were not there when those of a training set were found: frozen SVA.

Parker, Corrada Bravo & Leek 2014 (doi 10.7717/peerj.561), as Bioconductor's ``sva::fsva`` computes them; here
the samples are rows.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.comparators.sva.surrogates import Surrogates, centred, decomposed
from calib.errors import CalibError

Array = NDArray[np.floating]


def exact(x: Array, found: Surrogates, new: Array) -> Array:
    """Surrogate variables of new samples ``(rows, number)``, each decomposed with the training set.

    A new sample changes the training set's matrix of products by one of rank one, so that is all that has to
    be decomposed for it: the same numbers as in ``fsva``, which decomposes all data anew.

    Args:
        x: training samples ``(samples, features)``.
        found: their surrogate variables.
        new: ``(rows, features)``.
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
    # what each direction's samples have in common with the surrogate variables, from which come the signs
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
    """Surrogate variables of new samples ``(rows, number)``: places along the training set's directions.

    As in ``fsva`` these are centred and brought to length 1 over the new samples, which so depend on each
    other; a smaller set gets larger values. Arguments as ``exact``.

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
