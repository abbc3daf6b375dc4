"""The share of the way from a floor to a ceiling that a method goes, with the interval of a ratio."""

from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq

from calib.evaluation.intervals import Estimate, Paired

SHARE = 1 / 3
"""Share of the way from the baseline to the ceiling from which joint is close to the ceiling."""


@dataclass(frozen=True)
class Share:
    """A share of the way, with its interval.

    Attributes:
        value: the share.
        low, high: ends of its interval.
        beyond: what the method is above the point at the share ``SHARE`` of the way.
    """

    value: float
    low: float
    high: float
    beyond: Estimate


def share_of_way(methods: Paired) -> Share | None:
    """Return the share of the way from floor to ceiling; None if the ceiling is not surely above the floor.

    The interval holds every share at which the method cannot be told from the point on the way (Fieller 1954,
    doi 10.1111/j.2517-6161.1954.tb00159.x), so it is not symmetric, and it needs no normal ratio.

    Args:
        methods: the method, the floor and the ceiling.
    """
    span = methods.contrast(0, -1, 1)
    if not span.low > 0:
        return None

    def above(share: float) -> Estimate:
        """Return what the method is above the point at this share of the way."""
        return methods.contrast(1, share - 1, -share)

    value = methods.contrast(1, -1, 0).value / span.value
    low = _root(lambda share: above(share).low, value, -1)
    high = _root(lambda share: above(share).high, value, 1)
    return Share(value, low, high, above(SHARE))


def _root(function: Callable[[float], float], start: float, direction: int) -> float:
    """Return where a function that falls changes its sign, from ``start`` on in one direction."""
    step, before = 0.1, start - direction * 1e-6  # at the start itself it may be 0 but for rounding
    while function(start + direction * step) * direction > 0:
        step *= 2
    return float(brentq(function, before, start + direction * step))
