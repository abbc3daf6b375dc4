"""The floor of the squared MMD, at which nothing can be said of a distance, and the rule that follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from calib.report.claims.runs import Cell

SLACK = 0.1
"""Largest relative distance from the floor at which a distance counts as being at the floor."""

Values = Mapping[Cell, float]
"""Split and seed -> number of the run."""


FLOOR_RULE = (
    " Distances at the floor, 5 (1/m + 1/n) for m and n rows, cannot be told apart. With the kernel widths "
    "of the paper a distance is there where samples are too far apart for every kernel. Nothing is measured "
    "then, so one of the two at the floor is enough. With fitted widths two halves of one batch give at most "
    "this much on average, so both have to be at the floor or below."
)


@dataclass(frozen=True)
class Floor:
    """The value of a squared MMD at which nothing can be said of it.

    The biased estimate from m and n rows has the mean (1/m + 1/n) (K - k) for two samples of one batch, where
    each of the K kernels is 1 for a sample with itself, and k is their sum for two samples of the batch.

    Attributes:
        value: K (1/m + 1/n), averaged over the pairs of batches.
        blind: whether the kernels may be too narrow for the data. Then k and the kernels between batches are
            0, and the estimate is the floor whatever the distance is; a value below it has been measured.
            Fitted kernels are never too narrow: then two samples of one batch are at the floor or below.
    """

    value: float
    blind: bool

    def holds(self, values: Values) -> bool:
        """Return whether the mean over runs is at the floor, or where the kernels fit the data, below it."""
        above = mean(values.values()) / self.value - 1
        return above <= SLACK and (above >= -SLACK or not self.blind)

    def hides(self, first: Values, second: Values) -> bool:
        """Return whether the floor hides which of two distances is smaller."""
        at_floor = [self.holds(first), self.holds(second)]
        return any(at_floor) if self.blind else all(at_floor)
