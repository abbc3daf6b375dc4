"""Two rules for the number of surrogate variables of a set of samples, as in Bioconductor's ``sva::num.sv``.

``calib.methods.sva`` uses them for ``number=be`` (``by_permutation``, Buja & Eyuboglu 1992) and
``number=leek`` (``analytic``, Leek 2011).
"""

import numpy as np
from numpy.typing import NDArray

from calib.comparators.sva.surrogates import residuals
from calib.errors import CalibError

Array = NDArray[np.floating]

ALPHA = 0.1
"""Largest share of permutations in which a counted component is as strong as in the data."""
DEPTHS = 10
"""Number of sets of features, of growing size, that the analytic rule compares."""
THRESHOLDS = 100
"""Number of thresholds, from 0 to 2, that the analytic rule tries."""


def by_permutation(x: Array, model: Array, permutations: int, rng: np.random.Generator) -> int:
    """Return the number of components of the residuals that are stronger than chance.

    Buja & Eyuboglu 1992; ``be`` in ``sva``.

    Args:
        x: data ``(samples, features)``.
        model: design of the classes ``(samples, columns)``.
        permutations: number of permutations; each shuffles every feature's residuals independently.
        rng: source of the permutations.

    Raises:
        CalibError: there are fewer samples or features than classes.
    """
    number = min(x.shape) - model.shape[1]
    if number < 0:
        raise CalibError(
            f"number=be needs at least as many samples and features as classes, {model.shape[1]}, and there "
            f"are {x.shape[0]} samples and {x.shape[1]} features; take a method other than SVA."
        )
    rest = residuals(x, model)
    observed = _shares(rest, number)
    reached = np.zeros(number)
    for _ in range(permutations):
        reached += _shares(residuals(rng.permuted(rest, axis=0), model), number) >= observed
    return int((np.maximum.accumulate(reached / permutations) <= ALPHA).sum())


def _shares(x: Array, number: int) -> Array:
    """Return the shares of the first ``number`` components in their total variance, in falling order."""
    squares = _squares(x)[:number]
    return squares / max(squares.sum(), np.finfo(float).tiny)


def _squares(x: Array) -> Array:
    """Return the squared singular values in falling order."""
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    return np.asarray(np.linalg.eigvalsh(gram)[::-1])


def analytic(x: Array, model: Array) -> int:
    """Return the number of eigenvalues above a threshold (Leek 2011, doi 10.1111/j.1541-0420.2010.01455.x).

    The rule is ``leek`` in ``sva``. It counts eigenvalues above many thresholds, keeps the thresholds whose
    count hardly changes with the number of features, and returns the most frequent count among them. It is
    meant for more features than samples, on a scale on which noise has a variance of about 1.

    Args:
        x: data ``(samples, features)``, with at least 10 features.
        model: design of the classes ``(samples, columns)``.

    Raises:
        CalibError: there are fewer than 10 features.
    """
    samples, features = x.shape
    if features < DEPTHS:
        raise CalibError(
            f"number=leek needs at least {DEPTHS} features, and there are {features}; set number=be."
        )
    counts = np.zeros((DEPTHS, THRESHOLDS), int)
    for depth in range(DEPTHS):
        m = (depth + 1) * (features // DEPTHS)
        part = x[:, :m]
        noise = max(_squares(part)[-1], 0) / m if m >= samples else 0.0
        eigenvalues = _squares(residuals(part, model))[: samples - model.shape[1]] / m - noise
        threshold = np.linspace(0, 2, THRESHOLDS) * m ** (-1 / 3) * samples
        counts[depth] = (eigenvalues[:, None] > threshold).sum(axis=0)
    spread = counts.var(axis=0, ddof=1)
    at = np.arange(THRESHOLDS)
    peak = _first(spread > 2 * spread[0])
    start = _first((at > peak) & (spread < spread[0] / 2))
    end = _first((at > start) & (spread > spread[0])) or THRESHOLDS - 1
    return int(np.bincount(counts[-1, start : end + 1]).argmax())


def _first(condition: NDArray[np.bool_]) -> int:
    """Return the position of the first entry that is true, or 0 if none is."""
    return int(np.argmax(condition))
