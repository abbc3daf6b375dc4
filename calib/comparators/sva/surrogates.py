"""Surrogate variables of labelled samples: directions in which samples differ that classes do not explain.

``calib.methods.sva`` uses them. Leek & Storey 2007 (doi 10.1371/journal.pgen.0030161) and 2008
(doi 10.1073/pnas.0808709105), computed as by Bioconductor's ``sva``; here the samples are rows. The number
of surrogate variables comes from ``number.py``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import fdtrc

from calib.comparators.sva.lfdr import local_fdr
from calib.errors import CalibError

Array = NDArray[np.floating]
Classes = NDArray[np.integer]

ROUNDS = 5
"""Number of rounds of the re-weighting, as in ``sva``."""
AFFECTED = 0.1
"""Local false discovery rate below which a feature is part of a surrogate variable in ``two_step``."""


@dataclass(frozen=True)
class Surrogates:
    """The surrogate variables of a set of samples.

    Attributes:
        values: the surrogate variables ``(samples, number)``, columns of length 1.
        unwanted: probability that a feature depends on the surrogate variables ``(features,)``.
        wanted: probability that a feature depends on the classes, given the surrogate variables
            ``(features,)``; only ``irw`` computes it.
        used: whether a feature is part of each variable ``(features, number)``; only from ``two_step``.
    """

    values: Array
    unwanted: Array
    wanted: Array | None = None
    used: NDArray[np.bool_] | None = None

    @property
    def number(self) -> int:
        """Return the number of surrogate variables."""
        return self.values.shape[1]

    @property
    def weights(self) -> Array:
        """Return the weights of the features ``(features,)``: how far each depends on the variables alone."""
        return self.unwanted if self.wanted is None else self.unwanted * (1 - self.wanted)

    def extended(self, x: Array) -> tuple[Array, Array]:
        """Return the same variables of these and other samples, up to their signs, and their axes.

        Args:
            x: data ``(rows, features)``, with the samples of ``values`` first.

        Returns:
            The variables ``(rows, number)``, and ``(features, number)``: the variables are the products of
            the centred data with these.
        """
        if self.used is None:
            vectors, values, directions = decomposed(centred(x * self.weights), self.number)
            return vectors, self.weights[:, None] * directions / values
        return _likest(x, self.used, self.values)


def irw(x: Array, y: Classes, number: int) -> Surrogates:
    """Return the iteratively re-weighted estimate (Leek & Storey 2008).

    Features that depend on the classes get a smaller weight.

    Args:
        x: data ``(samples, features)``.
        y: class indices ``(samples,)``.
        number: number of surrogate variables, at least 1.

    Raises:
        CalibError: there are too few samples, or no feature depends on the surrogate variables.
    """
    model, null = model_matrix(y), np.ones((len(x), 1))
    _check_number(x, model, number)
    found = _some(leading(residuals(x, model), number))
    for _ in range(ROUNDS):
        p = p_values(x, np.hstack([model, found]), np.hstack([null, found]))
        wanted = 1 - local_fdr(p, least=1)  # in sva least is 0, which can make all weights 0
        unwanted = 1 - local_fdr(p_values(x, np.hstack([null, found]), null))
        found = _some(Surrogates(found, unwanted, wanted).extended(x)[0])
    return Surrogates(found, unwanted, wanted)


def two_step(x: Array, y: Classes, number: int) -> Surrogates:
    """Return the estimate in two steps (Leek & Storey 2007).

    The first step finds directions in the residuals, the second one computes each again from the features
    that it affects. As in ``sva``, a direction is left out if it affects fewer features than there are
    samples; if there are more samples than features, a direction is left out if it affects no feature. So
    there may be fewer surrogate variables than ``number``. Arguments and errors are those of ``irw``.
    """
    model, null = model_matrix(y), np.ones((len(x), 1))
    _check_number(x, model, number)
    directions = _some(leading(residuals(x, model), number))
    p = [p_values(x, np.column_stack([null, direction]), null) for direction in directions.T]
    used = np.column_stack([local_fdr(of_direction) < AFFECTED for of_direction in p])
    kept = used.sum(axis=0) >= (len(x) if len(x) <= x.shape[1] else 1)
    used, directions = used[:, kept], directions[:, kept]
    return Surrogates(_likest(x, used, directions)[0], used.any(axis=1).astype(float), used=used)


def _likest(x: Array, used: NDArray[np.bool_], directions: Array) -> tuple[Array, Array]:
    """Return, for each set of features, the singular vector most similar to a direction, and its axis.

    Args:
        x: data ``(rows, features)``.
        used: the sets of features ``(features, number)``.
        directions: directions ``(samples, number)`` of the first rows of ``x``.

    Returns:
        The vectors ``(rows, number)``, and ``(features, number)``: the vectors are the products of the
        centred data with these.
    """
    found = np.empty((len(x), directions.shape[1]))
    axes = np.zeros((x.shape[1], directions.shape[1]))
    for i, direction in enumerate(directions.T):
        part = centred(x[:, used[:, i]])
        vectors, values, along = decomposed(part, len(x) - 1)
        known = vectors[: len(direction)]
        length = np.linalg.norm(centred(known), axis=0)
        likeness = abs(direction @ centred(known)) / np.where(length > 0, length, 1)
        best = likeness.argmax()
        found[:, i], axes[used[:, i], i] = vectors[:, best], along[:, best] / values[best]
    return found, axes


def _some(found: Array) -> Array:
    """Return ``found`` unchanged, or raise CalibError if it has no surrogate variable."""
    if not found.shape[1]:
        raise CalibError(
            "SVA finds no feature that depends on surrogate variables; set method.corrector.number=0 or be."
        )
    return found


def _check_number(x: Array, model: Array, number: int) -> None:
    """Raise CalibError if the samples cannot have so many surrogate variables."""
    most = min(len(x) - model.shape[1] - 1, x.shape[1])
    if number > most:
        raise CalibError(
            f"{number} surrogate variables are more than {len(x)} samples of {x.shape[1]} features and "
            f"{model.shape[1]} classes can have, which is {max(most, 0)}; set method.corrector.number."
        )


def coefficients(x: Array, y: Classes, values: Array) -> Array:
    """Return the effects of surrogate variables on the features, given the classes ``(number, features)``."""
    model = np.hstack([model_matrix(y), values])
    return np.asarray(np.linalg.lstsq(model, x, rcond=None)[0][-values.shape[1] :])


def model_matrix(y: Classes) -> Array:
    """Return an intercept and indicators of all classes that occur but the first ``(samples, classes)``."""
    return np.column_stack([np.ones(len(y)), y[:, None] == np.unique(y)[1:]]).astype(np.float64)


def residuals(x: Array, model: Array) -> Array:
    """Return the residuals of every feature in a linear model ``(samples, features)``."""
    q = np.linalg.qr(model)[0]
    return x - q @ (q.T @ x)


def p_values(x: Array, model: Array, null: Array) -> Array:
    """Return the p-value of the F test of ``model`` against ``null`` for every feature ``(features,)``."""
    freedom, added = len(x) - model.shape[1], model.shape[1] - null.shape[1]
    rest, rest_of_null = (np.square(residuals(x, m)).sum(axis=0) for m in (model, null))
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (rest_of_null - rest) / added / (rest / freedom)
    return np.where(np.ptp(x, axis=0) > 0, fdtrc(added, freedom, np.maximum(f, 0)), 1.0)


def centred(x: Array) -> Array:
    """Return every column minus its mean."""
    return x - x.mean(axis=0)


def leading(x: Array, number: int) -> Array:
    """Return the first left singular vectors ``(samples, number)``, fewer if the matrix has fewer."""
    return decomposed(x, number)[0]


def decomposed(x: Array, number: int | None = None) -> tuple[Array, Array, Array]:
    """Return the first left singular vectors, singular values and right singular vectors of a matrix.

    Only values above rounding errors count. They come from the smaller matrix of products, as in ``sva``.

    Args:
        x: matrix ``(samples, features)``.
        number: largest number of vectors; None returns all.

    Returns:
        Arrays ``(samples, found)``, ``(found,)`` and ``(features, found)``, in falling order of the values.
    """
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    size = len(gram)
    number = size if number is None else min(number, size)
    squares, vectors = linalg.eigh(gram, subset_by_index=[size - number, size - 1])
    there = squares[::-1] > squares[-1] * size * np.finfo(float).eps
    values, vectors = np.sqrt(squares[::-1][there]), vectors[:, ::-1][:, there]
    if len(x) <= x.shape[1]:
        return vectors, values, x.T @ vectors / values
    return x @ vectors / values, values, vectors
