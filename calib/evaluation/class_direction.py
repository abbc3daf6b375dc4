"""The direction that tells a class from all others in several batches, and that they move little.

It is that of a linear discriminant whose noise has three parts: differences between the batches, of which it
keeps almost nothing; the covariance of samples within classes; and a part of each feature's own variance, for
effects that no two of these batches show. How far it tells the classes apart is measured on samples that it
was not made from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.data.study import FloatArray, IntArray, Samples

SHIFT = 100.0
"""Weight of the differences between batches beside the covariance within classes."""

FOLDS = 5
LARGE = 1000
"""Most samples from which a direction is made, drawn at random."""


@dataclass(frozen=True)
class Averaged:
    """A batch whose replicates are averaged: values ``(samples, features)``, classes or -1."""

    x: FloatArray
    y: IntArray

    @classmethod
    def of(cls, samples: Samples, y: IntArray | None) -> "Averaged":
        """Return the means over replicates; of classes that differ, the first."""
        x = samples.dense.astype(np.float64)
        y = np.full(len(x), -1) if y is None else y
        if samples.replicate is None:
            return cls(x, y)
        _, first, owner, counts = np.unique(
            samples.replicate, return_index=True, return_inverse=True, return_counts=True
        )
        sums = np.zeros((len(first), x.shape[1]))
        np.add.at(sums, owner, x)
        return cls(sums / counts[:, None], y[first])

    def of_rows(self, rows: NDArray[np.bool_] | IntArray) -> "Averaged":
        """Return some samples."""
        return Averaged(self.x[rows], self.y[rows])

    def means(self, of: int) -> FloatArray:
        """Return the means of the others and of a class ``(2, features)``."""
        return np.array([self.x[(self.y == of) == side].mean(axis=0) for side in (False, True)])

    def fewest(self, of: int) -> int:
        """Return the number of samples of a class or of all others, whichever are fewer."""
        return int(min((self.y == of).sum(), (self.y != of).sum()))


def some_of(batches: Sequence[Averaged]) -> list[Averaged]:
    """Return batches of ``LARGE`` samples together at most, drawn with a fixed seed."""
    total = sum(len(one.y) for one in batches)
    if total <= LARGE:
        return list(batches)
    rng = np.random.default_rng(LARGE)
    return [
        one.of_rows(np.sort(rng.permutation(len(one.y))[: len(one.y) * LARGE // total])) for one in batches
    ]


@dataclass(frozen=True)
class ClassDirection:
    """The direction that tells a class from all others, and where samples lie along it.

    Attributes:
        direction: along it new samples of the class lie 1 from the others ``(features,)``; zeros where no
            batch has two samples of either side.
        widths: standard deviations of the others and of the class along it ``(2,)``.
        centre: place of the middle between the two.
        separation: distance of new samples of the class from the others, by that of the samples that the
            direction was made from.
        batches: number of batches that have both sides.
    """

    direction: FloatArray
    widths: FloatArray
    centre: float = 0.0
    separation: float = 1.0
    batches: int = 0

    @classmethod
    def of(cls, batches: Sequence[Averaged], of: int, own_weight: float) -> "ClassDirection":
        """Return it for a class of some batches.

        Args:
            batches: labelled batches.
            of: the class.
            own_weight: weight of each feature's own variance beside the covariance within classes.
        """
        both = [one for one in batches if one.fewest(of) >= 2]
        if not both:
            return cls(np.zeros(batches[0].x.shape[1]), np.ones(2))
        direction, middle = _discriminant(both, of, own_weight)
        others, own = _left_out(both, of, own_weight)
        separation = max(float(own.mean() - others.mean()), 0.05)
        return cls(
            direction=direction / separation,
            centre=float(middle @ direction) / separation,
            widths=np.maximum([others.std() / separation, own.std() / separation], 1e-3),
            batches=len(both),
            separation=separation,
        )


def _left_out(batches: Sequence[Averaged], of: int, own_weight: float) -> tuple[FloatArray, FloatArray]:
    """Return the places of the others and of a class along directions that were made without them.

    Each sample is left out once, and its place is the distance from the middle of the rest of its batch.
    """
    rng = np.random.default_rng(FOLDS)
    folds = [np.empty(len(one.y), dtype=int) for one in batches]
    for one, fold in zip(batches, folds, strict=True):
        for inside in (False, True):
            rows = np.flatnonzero((one.y == of) == inside)
            fold[rng.permutation(rows)] = np.arange(len(rows)) % FOLDS
    places: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for number in range(FOLDS):
        rest = [one.of_rows(fold != number) for one, fold in zip(batches, folds, strict=True)]
        direction, _ = _discriminant(rest, of, own_weight)
        for one, fold, kept in zip(batches, folds, rest, strict=True):
            out = one.of_rows(fold == number)
            along = (out.x - kept.means(of).mean(axis=0)) @ direction
            for side in (0, 1):
                places[side].append(along[(out.y == of) == side])
    others, own = (np.concatenate(part) for part in places)
    return others, own


def _discriminant(batches: Sequence[Averaged], of: int, own_weight: float) -> tuple[FloatArray, FloatArray]:
    """Return the direction ``(features,)`` and the mean middle between the two sides ``(features,)``."""
    means = np.array([one.means(of) for one in batches])
    middles = means.mean(axis=1)
    apart = (means[:, 1] - means[:, 0]).mean(axis=0)
    within = [one.x - mean[(one.y == of).astype(int)] for one, mean in zip(batches, means, strict=True)]
    shifts = middles - middles.mean(axis=0)
    return _direction(apart, np.concatenate(within), shifts, own_weight), middles.mean(axis=0)


def _direction(apart: FloatArray, within: FloatArray, shifts: FloatArray, own: float) -> FloatArray:
    """Return the discriminant direction ``(features,)``, along which the classes are 1 apart.

    It solves (D + U'U) w = apart, where U has the rows of ``within`` and of ``shifts``: directly, or with
    Woodbury's identity, so that many features cost no more than few.

    Args:
        apart: difference of the class from the others ``(features,)``.
        within: samples less the mean of their side in their batch ``(samples, features)``.
        shifts: middles of the batches less their mean ``(batches, features)``.
        own: weight of each feature's own variance.
    """
    diagonal = own * within.var(axis=0) + np.finfo(float).eps * max(within.var(), 1e-12)
    diagonal = np.maximum(diagonal, 1e-12)
    rows = np.concatenate(
        [within / np.sqrt(max(len(within) - 1, 1)), shifts * np.sqrt(SHIFT / max(len(shifts) - 1, 1))]
    )
    if len(rows) > len(apart):
        inner = rows.T @ rows
        ridge = len(inner) * np.finfo(float).eps * inner.diagonal().max()
        direction = np.linalg.solve(inner + np.diag(diagonal + ridge), apart)
    else:
        scaled = rows / diagonal
        inner = np.eye(len(rows)) + scaled @ rows.T
        direction = apart / diagonal - scaled.T @ np.linalg.solve(inner, scaled @ apart)
    made: FloatArray = direction / max(float(apart @ direction), np.finfo(float).tiny)
    return made
