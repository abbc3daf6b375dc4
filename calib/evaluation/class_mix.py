"""The class mix of a batch without labels, estimated from batches that have them.

Two things tell a mix: where the batch's mean lies along the direction that separates the classes, and the
shape of its samples along it. The first is moved by every batch effect, the second is vague where classes
overlap. So the direction is one that batch effects move little, and both count, each by how sure it is:

1. The direction and how far it tells the classes apart are those of ``evaluation.class_direction``.
2. Along it the samples are a mixture of the labelled batches' classes, shifted by an unknown offset with a
   normal prior. The mix has a prior of its own, around that of the labelled batches.

docs/class-mix.md shows how the numbers were chosen, how far off the estimate is, what its intervals cover,
and what the estimators of ``evaluation.label_shift`` give instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, xlog1py, xlogy

from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.errors import check_number
from calib.evaluation.class_direction import Averaged, ClassDirection, some_of
from calib.evaluation.ranks import normal_log_density

ALONE = 2.0
"""Factor of the offset where a single batch has both sides of a class, so that no difference is known."""

BINS = 500
"""Most places at which the samples of a batch are taken to lie."""

CELLS = 100
GRID = (np.arange(CELLS) + 0.5) / CELLS
"""Shares at which the posterior is computed, in the middle of cells of equal width."""

LEVEL = 0.95

SMALLEST = 1e-6
"""Least spread of a model that is restored, as smaller ones give no finite densities."""


@dataclass(frozen=True)
class Assumptions:
    """What is assumed of a batch whose mix is unknown.

    Attributes:
        own: weight of each feature's own variance beside the covariance within classes.
        offset: standard deviation of the offset, in units of the distance between the class and the others.
        temper: weight of the samples' likelihood, below 1 since their classes are not exactly normal.
        prior: number of samples that the labelled batches' mix counts as.
    """

    own: float = 0.1
    offset: float = 0.2
    temper: float = 0.1
    prior: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            CalibError: one is no number or out of its range.
        """
        for key in ("own", "offset"):
            check_number(key, getattr(self, key), least=1e-3)
        check_number("temper", self.temper, least=1e-3, most=1)
        check_number("prior", self.prior, least=0)


@dataclass(frozen=True)
class MixEstimate:
    """The estimated shares of the classes in a batch.

    Attributes:
        shares: share of each class ``(classes,)``; they sum to 1.
        low, high: ends of a 95 % interval of each ``(classes,)``.
    """

    shares: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class MixModel:
    """What labelled batches tell of the mix of others.

    A class is set against all others together, whose proportions are taken to be those of the labelled
    batches. A class that no batch has, or none with two samples of it, cannot be told: its share is that of
    the labelled batches, with an interval from 0 to 1.

    Attributes:
        directions: direction of each class ``(classes, features)``, along which new samples of it lie 1 from
            the others; zero for a class that cannot be told.
        centres: place of the middle between the two ``(classes,)``.
        widths: standard deviations of the others and of the class along it ``(classes, 2)``.
        offsets: standard deviation of the offset of a batch along it ``(classes,)``.
        separations: distance of new samples of a class from the others, by that of the samples that the
            direction was made from ``(classes,)``; 1 for a class that cannot be told.
        reference: mean share of each class in the labelled batches ``(classes,)``.
        weights: ``temper`` and ``prior`` of the assumptions ``(2,)``.
    """

    directions: FloatArray
    centres: FloatArray
    widths: FloatArray
    offsets: FloatArray
    separations: FloatArray
    reference: FloatArray
    weights: FloatArray

    @classmethod
    def of(
        cls, sources: Sequence[LabelledSamples], classes: int, assumed: Assumptions | None = None
    ) -> "MixModel":
        """Return the model of labelled batches, with values on a logarithmic or another even scale."""
        assumed = Assumptions() if assumed is None else assumed
        known = [Averaged.of(source, source.y) for source in sources]
        shares = [np.bincount(one.y, minlength=classes) / len(one.y) for one in known]
        sides = [ClassDirection.of(some_of(known), c, assumed.own) for c in range(classes)]
        return cls(
            directions=np.array([side.direction for side in sides]),
            centres=np.array([side.centre for side in sides]),
            widths=np.array([side.widths for side in sides]),
            offsets=assumed.offset * np.array([ALONE if side.batches == 1 else 1.0 for side in sides]),
            separations=np.array([side.separation for side in sides]),
            reference=np.mean(shares, axis=0),
            weights=np.array([assumed.temper, assumed.prior]),
        )

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.floating]], features: int, classes: int) -> "MixModel":
        """Return the model whose attributes are given by name.

        Raises:
            ValueError, TypeError: one is missing, does not fit the others, or holds values out of range.
        """
        known = cls(**arrays)
        shapes = {"directions": (classes, features), "widths": (classes, 2), "weights": (2,)}
        if any(np.shape(part) != shapes.get(name, (classes,)) for name, part in vars(known).items()):
            raise ValueError("the arrays that tell a class mix do not fit each other")
        spreads, shares = np.append(known.widths, known.offsets), np.append(known.reference, known.weights[0])
        if spreads.min() < SMALLEST or shares.min() < 0 or shares.max() > 1 or known.weights[1] < 0:
            raise ValueError("the arrays that tell a class mix hold values out of their range")
        return known

    def estimate(self, batch: Samples) -> MixEstimate:
        """Estimate the mix of a batch, with values on the same scale; its labels, if any, are not used."""
        x = Averaged.of(batch, None).x
        told = np.flatnonzero(self.directions.any(axis=1))
        shares, low, high = self.reference.copy(), np.zeros(len(self.centres)), np.ones(len(self.centres))
        two = len(told) == len(self.centres) == 2
        for c in told[1:] if two else told:
            u = x @ self.directions[c] - self.centres[c] + 0.5  # the others lie at 0, the class at 1
            shares[c], low[c], high[c] = self._posterior(u, c)
        if two:
            shares[0], low[0], high[0] = 1 - shares[1], 1 - high[1], 1 - low[1]
        shares = shares / shares.sum()
        return MixEstimate(shares, np.minimum(low, shares), np.maximum(high, shares))

    def _posterior(self, u: FloatArray, of: int) -> tuple[float, float, float]:
        """Return the mean of a class's share and the ends of its interval, given samples along its direction.

        Args:
            u: the batch's samples ``(samples,)``.
            of: the class.
        """
        temper, prior = self.weights
        u, count = _binned(u)
        offsets = np.linspace(-3, 3, 61) * self.offsets[of]
        moved = u[:, None] - offsets
        others, own = (normal_log_density(moved, place, self.widths[of, place]) for place in (0, 1))
        usual = normal_log_density(offsets, 0, self.offsets[of])
        logs = np.array(
            [
                logsumexp(temper * (count @ np.logaddexp(np.log1p(-p) + others, np.log(p) + own)) + usual)
                for p in GRID
            ]
        )
        logs += xlogy(prior * self.reference[of], GRID) + xlog1py(prior * (1 - self.reference[of]), -GRID)
        weights: NDArray[np.floating] = np.exp(logs - logs.max())
        weights /= weights.sum()
        below = weights.cumsum()
        low, high = (int(np.searchsorted(below, q)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return float(weights @ GRID), low / CELLS, min(high + 1, CELLS) / CELLS


def _binned(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return places ``(places,)`` and how many samples lie at each; of many samples those of a histogram."""
    if len(u) <= BINS:
        return u, np.ones(len(u))
    count, edges = np.histogram(u, BINS)
    return (edges[:-1] + edges[1:]) / 2, count.astype(float)
