"""Surrogate variables: directions in which samples differ for no reason that the classes explain.

Leek & Storey 2007 (doi 10.1371/journal.pgen.0030161) and 2008 (doi 10.1073/pnas.0808709105), as
Bioconductor's ``sva`` computes them; here the samples are rows.
How many there are: ``calib.comparators.sva.number``.
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
"""Rounds of the re-weighting, as in ``sva``."""
AFFECTED = 0.1
"""Features with a smaller local false discovery rate make up a surrogate variable in ``two_step``."""


@dataclass(frozen=True)
class Surrogates:
    """Surrogate variables of a set of samples.

    Attributes:
        values: ``(samples, number)``, columns of length 1.
        unwanted: probability that a feature depends on them ``(features,)``.
        wanted: probability that, given them, it depends on the classes ``(features,)``; only from ``irw``.
        used: features that make up each of them ``(features, number)``; only from ``two_step``.
    """

    values: Array
    unwanted: Array
    wanted: Array | None = None
    used: NDArray[np.bool_] | None = None

    @property
    def number(self) -> int:
        """How many there are."""
        return self.values.shape[1]

    @property
    def weights(self) -> Array:
        """How far a feature speaks of the surrogate variables alone ``(features,)``."""
        return self.unwanted if self.wanted is None else self.unwanted * (1 - self.wanted)

    def extended(self, x: Array) -> Array:
        """The same variables of these and other samples ``(rows, number)``, up to their signs.

        Args:
            x: ``(rows, features)``, the samples of ``values`` first.
        """
        if self.used is None:
            return leading(centred(x * self.weights), self.number)
        return _likest(x, self.used, self.values)


def irw(x: Array, y: Classes, number: int) -> Surrogates:
    """Iteratively re-weighted estimate (Leek & Storey 2008): features that depend on the classes count less.

    Args:
        x: ``(samples, features)``.
        y: class indices ``(samples,)``.
        number: of surrogate variables, at least 1.

    Raises:
        CalibError: there are too few samples, or no feature depends on the surrogate variables.
    """
    model, null = model_matrix(y), np.ones((len(x), 1))
    _check_number(x, model, number)
    found = _some(leading(residuals(x, model), number))
    for _ in range(ROUNDS):
        p = p_values(x, np.hstack([model, found]), np.hstack([null, found]))
        wanted = 1 - local_fdr(p, least=1)  # in sva none, and then all weights are 0
        unwanted = 1 - local_fdr(p_values(x, np.hstack([null, found]), null))
        found = _some(Surrogates(found, unwanted, wanted).extended(x))
    return Surrogates(found, unwanted, wanted)


def two_step(x: Array, y: Classes, number: int) -> Surrogates:
    """Estimate in two steps (Leek & Storey 2007): residual directions, rebuilt from the features they affect.

    A direction is left out if it affects fewer features than there are samples, as in ``sva``; where there
    are more samples than features, if it affects none. So there may be fewer than ``number``.

    The arguments are those of ``irw``, and so are the errors.
    """
    model, null = model_matrix(y), np.ones((len(x), 1))
    _check_number(x, model, number)
    directions = _some(leading(residuals(x, model), number))
    p = [p_values(x, np.column_stack([null, one]), null) for one in directions.T]
    used = np.column_stack([local_fdr(one) < AFFECTED for one in p])
    kept = used.sum(axis=0) >= (len(x) if len(x) <= x.shape[1] else 1)
    used, directions = used[:, kept], directions[:, kept]
    return Surrogates(_likest(x, used, directions), used.any(axis=1).astype(float), used=used)


def _likest(x: Array, used: NDArray[np.bool_], directions: Array) -> Array:
    """Of each set of features the singular vector that is likest to a direction, ``(rows, number)``.

    Args:
        directions: ``(samples, number)``, known for the first rows of ``x``.
    """
    found = np.empty((len(x), directions.shape[1]))
    for i, direction in enumerate(directions.T):
        part = centred(x[:, used[:, i]])
        vectors = leading(part, len(x) - 1)
        known = vectors[: len(direction)]
        length = np.linalg.norm(centred(known), axis=0)
        likeness = abs(direction @ centred(known)) / np.where(length > 0, length, 1)
        found[:, i] = vectors[:, likeness.argmax()]
    return found


def _some(found: Array) -> Array:
    """The surrogate variables, of which there has to be one."""
    if not found.shape[1]:
        raise CalibError(
            "SVA finds no feature that depends on surrogate variables; set method.corrector.number=0 or be."
        )
    return found


def _check_number(x: Array, model: Array, number: int) -> None:
    most = min(len(x) - model.shape[1] - 1, x.shape[1])
    if number > most:
        raise CalibError(
            f"{number} surrogate variables are more than {len(x)} samples of {x.shape[1]} features and "
            f"{model.shape[1]} classes can have, which is {max(most, 0)}; set method.corrector.number."
        )


def coefficients(x: Array, y: Classes, values: Array) -> Array:
    """Effects of surrogate variables on the features, given the classes ``(number, features)``."""
    model = np.hstack([model_matrix(y), values])
    return np.asarray(np.linalg.lstsq(model, x, rcond=None)[0][-values.shape[1] :])


def model_matrix(y: Classes) -> Array:
    """An intercept and an indicator of every class that occurs but the first ``(samples, classes)``."""
    return np.column_stack([np.ones(len(y)), y[:, None] == np.unique(y)[1:]]).astype(np.float64)


def residuals(x: Array, model: Array) -> Array:
    """What a linear model leaves of every feature ``(samples, features)``."""
    q = np.linalg.qr(model)[0]
    return x - q @ (q.T @ x)


def p_values(x: Array, model: Array, null: Array) -> Array:
    """P-value of the F test of ``model`` against ``null``, feature by feature ``(features,)``."""
    freedom, added = len(x) - model.shape[1], model.shape[1] - null.shape[1]
    rest, rest_of_null = (np.square(residuals(x, m)).sum(axis=0) for m in (model, null))
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (rest_of_null - rest) / added / (rest / freedom)
    return np.where(np.ptp(x, axis=0) > 0, fdtrc(added, freedom, np.maximum(f, 0)), 1.0)


def centred(x: Array) -> Array:
    """Every column less its mean."""
    return x - x.mean(axis=0)


def leading(x: Array, number: int) -> Array:
    """The first left singular vectors ``(samples, number)`` of a matrix, as far as its shape has them."""
    return decomposed(x, number)[0]


def decomposed(x: Array, number: int | None = None) -> tuple[Array, Array, Array]:
    """The first left singular vectors, singular values and right singular vectors of a matrix.

    Those of values above rounding only; by way of the smaller matrix of products, as ``sva``.

    Args:
        x: ``(samples, features)``.
        number: how many at most; None: all.

    Returns:
        ``(samples, found), (found,), (features, found)``, in falling order.
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
