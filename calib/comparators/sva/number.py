"""How many surrogate variables a set of samples has: two rules, as in Bioconductor's ``sva::num.sv``."""

import numpy as np
from numpy.typing import NDArray

from calib.comparators.sva.surrogates import residuals
from calib.errors import CalibError

Array = NDArray[np.floating]

ALPHA = 0.1
"""Largest share of permutations in which a component may be as strong as in the data."""
DEPTHS = 10
"""Numbers of features at which the analytic rule looks."""
THRESHOLDS = 100
"""From 0 to 2, that it tries."""


def by_permutation(x: Array, model: Array, permutations: int, rng: np.random.Generator) -> int:
    """Components of the residuals that are stronger than chance (Buja & Eyuboglu 1992; ``be`` in ``sva``).

    Args:
        x: ``(samples, features)``.
        model: design of the classes ``(samples, columns)``.
        permutations: of every feature's residuals on their own.
        rng: shuffles them.
    """
    rest = residuals(x, model)
    number = min(x.shape) - model.shape[1]
    observed = _shares(rest, number)
    reached = np.zeros(number)
    for _ in range(permutations):
        reached += _shares(residuals(rng.permuted(rest, axis=0), model), number) >= observed
    return int((np.maximum.accumulate(reached / permutations) <= ALPHA).sum())


def _shares(x: Array, number: int) -> Array:
    """Shares of the first components in their variance, in falling order."""
    squares = _squares(x)[:number]
    return squares / max(squares.sum(), np.finfo(float).tiny)


def _squares(x: Array) -> Array:
    """Squared singular values in falling order."""
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    return np.asarray(np.linalg.eigvalsh(gram)[::-1])


def analytic(x: Array, model: Array) -> int:
    """Eigenvalues above a threshold that does not matter (Leek 2011, doi 10.1111/j.1541-0420.2010.01455.x).

    The count that most thresholds give, of those over which it hardly changes with the number of features;
    ``leek`` in ``sva``. It is meant for more features than samples, on a scale on which noise has variance 1
    or so.

    Args:
        x: ``(samples, features)``, at least 10 features.
        model: design of the classes ``(samples, columns)``.

    Raises:
        CalibError: there are fewer features.
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
    """Position of the first that is true; 0 if none is."""
    return int(np.argmax(condition))
