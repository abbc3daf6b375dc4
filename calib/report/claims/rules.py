"""What the verdicts on claims share: names of the methods, how a number decides, how it is written."""

from collections.abc import Sequence

from calib.evaluation.intervals import Estimate
from calib.report.exhibits import Outcome

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
"""Methods as the verdicts call them."""

BAND = 0.03
"""How far from a printed value is still reproduced."""


def near(value: float, low: float, high: float, printed: float, band: float = BAND) -> Outcome:
    """YES within the band around the printed value, OPEN where only the interval reaches it."""
    slack = band + 1e-9  # a difference of exactly the band is within it, whatever its last bit
    if abs(value - printed) <= slack:
        return Outcome.YES
    return Outcome.OPEN if low <= printed + slack and high >= printed - slack else Outcome.NO


def side(found: Estimate, bound: float) -> Outcome:
    """YES where the whole interval is above the bound, NO where all of it is below."""
    return Outcome.YES if found.low > bound else Outcome.NO if found.high < bound else Outcome.OPEN


def all_or_none(held: Sequence[bool]) -> Outcome:
    """YES where it holds every time, NO where it never does."""
    return Outcome.YES if all(held) else Outcome.OPEN if any(held) else Outcome.NO


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.3f}".replace("-", "−")


def seeds_text(count: int) -> str:
    """How many seeds."""
    return "1 seed" if count == 1 else f"{count} seeds"


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")
