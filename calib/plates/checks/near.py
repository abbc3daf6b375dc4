"""Pairs of subjects or samples of two plates that are nearly equal once the plates are standardised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from calib.data.study import FloatArray
from calib.evaluation.ranks import normal_scores
from calib.plates.checks.outliers import distances
from calib.plates.checks.seen import Seen, means_by, units_of

LEAST = 8
"""Subjects of a plate from which scores within it mean something."""

VARYING = 20
"""Least number of features that vary on some plate."""

CORRELATION = 0.5
"""Least correlation of a pair. Between plates that were measured anew, true ones reach .3 to .6 (mtbls79)."""

APART, AHEAD = 6.0, 4.0
"""Robust standard deviations by which a pair lies above all others, and ahead of each one's next-best."""

USUAL = 2.5
"""Distance from the middle of the plate, in usual distances, from which extremes look like each other."""


@dataclass(frozen=True)
class Pair:
    """Two samples, each given by its plate and row, and the correlation of their scores."""

    first: tuple[str, int]
    second: tuple[str, int]
    correlation: float


def near_pairs(seen: Seen) -> list[Pair]:
    """Return the pairs of subjects of two plates, by their first samples, whose values are nearly equal.

    Each feature is replaced by its normal scores within the plate, so plates need not be alike, and what many
    samples share is scaled down by a shrunken covariance, so classes are no pairs. A pair counts if each is
    the other's most similar one on its plate, with a correlation of ``CORRELATION`` at least, far above all
    others of the two plates and far ahead of each one's next-best. Those far from the middle of their plate
    are left out, since extremes, such as failed measurements, look like each other.
    """
    rows, scores, usual = {}, {}, {}
    for name, x in seen.even.items():
        _, first, owner = np.unique(
            units_of(seen.study.batches[name])[seen.rows[name]], return_index=True, return_inverse=True
        )
        if len(first) < LEAST:
            continue
        means = means_by(owner, x)
        rows[name] = seen.rows[name][first]
        scores[name] = normal_scores(means)
        usual[name] = distances(means, None).max(axis=1) < USUAL
    if len(scores) < 2 or sum(map(len, scores.values())) < VARYING:
        return []
    whitened = _whitened(scores)
    found = []
    for one, other in combinations(scores, 2):
        r = whitened[one] @ whitened[other].T
        found += [
            Pair((one, int(rows[one][i])), (other, int(rows[other][j])), float(r[i, j]))
            for i, j in _pairs(r)
            if usual[one][i] and usual[other][j]
        ]
    return sorted(found, key=lambda pair: -pair.correlation)


def _pairs(r: FloatArray) -> Sequence[tuple[int, int]]:
    """Return the outstanding pairs of a matrix of correlations."""
    z = np.arctanh(np.clip(r, -1 + 1e-6, 1 - 1e-6))
    middle = np.median(z)
    spread = max(1.4826 * float(np.median(np.abs(z - middle))), 1e-3)
    best, back = z.argmax(axis=1), z.argmax(axis=0)
    found = []
    for i, j in enumerate(best.tolist()):
        if back[j] != i or r[i, j] < CORRELATION or z[i, j] - middle < APART * spread:
            continue
        rivals = max(np.delete(z[i], j).max(), np.delete(z[:, j], i).max())
        if z[i, j] - rivals >= AHEAD * spread:
            found.append((i, j))
    return found


def _whitened(scores: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the scores of all plates, whitened and of length 1.

    The covariance is that of all of them, with its mean variance added to the variance in each direction.
    """
    every = np.concatenate(list(scores.values()))
    values, directions = np.linalg.eigh(every.T @ every / len(every))
    values = np.maximum(values, 0)
    whiten = directions / np.sqrt(values + max(values.sum() / min(every.shape), 1e-12))
    made = {name: x @ whiten for name, x in scores.items()}
    return {name: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for name, x in made.items()}
