"""The rules that the claims share: names of the methods, and how a number decides."""

from collections.abc import Collection, Mapping, Sequence

from calib.evaluation.intervals import Estimate
from calib.evaluation.significance import LEAST_SEEDS, decides
from calib.report.exhibits import Ruling

NAMES = {
    "joint": "joint",
    "baseline": "baseline",
    "combat": "ComBat",
    "normae": "NormAE",
    "bermuda": "BERMUDA",
    "desc": "DESC",
    "recon_t": "Recon_T",
    "pairwise": "pairwise",
    "cross_validation": "ceiling",
}
"""Method -> its name in the verdicts."""

BAND = 0.03
"""Largest distance from a printed value that still counts as reproduced."""


def near(value: float, low: float, high: float, printed: float, band: float = BAND) -> Ruling:
    """Return YES within the band around the printed value, OPEN if only the interval reaches it, else NO."""
    slack = band + 1e-9  # a difference of exactly the band is within it, whatever its last bit
    if abs(value - printed) <= slack:
        return Ruling.YES
    return Ruling.OPEN if low <= printed + slack and high >= printed - slack else Ruling.NO


def estimate_near(estimate: Estimate, printed: float) -> Ruling:
    """Return as ``near`` does, FEW from too few seeds."""
    return near(estimate.value, estimate.low, estimate.high, printed) if decides(estimate) else Ruling.FEW


def side(estimate: Estimate) -> Ruling:
    """Return YES if the whole interval is above 0, NO if it is below, else OPEN; FEW from few seeds."""
    if not decides(estimate):
        return Ruling.FEW
    return Ruling.YES if estimate.low > 0 else Ruling.NO if estimate.high < 0 else Ruling.OPEN


def enough(seeds: Collection[int]) -> bool:
    """Return whether a verdict may be drawn from runs of a trained method with these seeds."""
    return len(set(seeds)) >= LEAST_SEEDS


def all_or_none(held: Sequence[bool]) -> Ruling:
    """Return YES if the claim holds every time, NO if it never does, else OPEN."""
    return Ruling.YES if all(held) else Ruling.OPEN if any(held) else Ruling.NO


def ahead_of_all(
    held: Mapping[str, Sequence[bool]], untold: Collection[str], few: Collection[str], absent: bool
) -> Ruling:
    """Return NO if joint is behind a method in every run, YES if it is ahead of all in every run, else OPEN.

    Args:
        held: method -> whether joint is ahead of it in each run.
        untold: methods whose comparison decides nothing; UNTOLD is returned if nothing else is in the way.
        few: methods with too few seeds for a verdict; FEW is returned if one is needed.
        absent: whether a method has not been run.
    """
    told = {method: ahead for method, ahead in held.items() if method not in untold}
    if any(not any(ahead) for method, ahead in told.items() if method not in few):
        return Ruling.NO
    if few:
        return Ruling.FEW
    if not all(all(ahead) for ahead in told.values()):
        return Ruling.OPEN
    return Ruling.UNTOLD if untold else Ruling.OPEN if absent else Ruling.YES
