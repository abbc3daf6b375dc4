"""Numbers and estimates as text and as columns of a table."""

import numpy as np
import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.report.exhibits import MISSING, Verdict

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits, or a dash if there is none; a rounded zero has no minus."""
    if value is None or pd.isna(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.removeprefix("-")).replace("-", MINUS)


def signed(value: float) -> str:
    """Return a difference with its sign and three digits."""
    return f"{value:+.3f}".replace("-", MINUS)


def with_interval(value: float, low: float, high: float) -> str:
    """Return a number with its interval, or a dash if there is none."""
    return MISSING if pd.isna(value) else f"{number(value)} [{number(low)}, {number(high)}]"


def signed_with_interval(value: float, low: float, high: float) -> str:
    """Return a difference with its interval, or a dash if there is none."""
    return MISSING if pd.isna(value) else f"{signed(value)} [{signed(low)}, {signed(high)}]"


def count(value: int) -> str:
    """Return a count, or a dash for zero."""
    return str(value) if value else MISSING


def seeds_text(estimate: Estimate) -> str:
    """Return the number of seeds behind an estimate in words; with one, the interval lacks the seeds."""
    if not estimate.uses_seed:
        return "any seed"
    return "1 seed: subjects only" if estimate.seeds == 1 else f"{estimate.seeds} seeds"


def seeds_cell(seeds: int, uses_seed: bool) -> str:
    """Return a number of seeds as the text of a cell: "any" where the seed changes nothing."""
    return "any" if seeds and not uses_seed else count(seeds)


def span(low: float, high: float) -> str:
    """Return the lowest and the highest of several numbers, or a dash if there are none."""
    return MISSING if pd.isna(low) else f"{number(low)} to {number(high)}"


def p_text(p: float | None) -> str:
    """Return a p value with three digits, or a dash if there is none."""
    return "<0.001" if p is not None and p < 0.0005 else number(p)


def tested(verdict: Verdict) -> str:
    """Return the p of a verdict's test and its adjusted p, or "" if it rests on no test."""
    return "" if verdict.p is None else f"p {p_text(verdict.p)}, Holm {p_text(verdict.p_holm)}"


def estimate_columns(estimate: Estimate | None, value: str = "value", prefix: str = "") -> dict[str, float]:
    """Return an estimate as the columns ``value``, ``low`` and ``high``; NaN without an estimate.

    Args:
        estimate: the estimate.
        value: name of the column of its value.
        prefix: start of the names of all columns.
    """
    numbers = (estimate.value, estimate.low, estimate.high) if estimate else (np.nan,) * 3
    return dict(zip((f"{prefix}{value}", f"{prefix}low", f"{prefix}high"), numbers, strict=True))


def estimate_seeds(estimate: Estimate | None) -> int:
    """Return the number of seeds behind an estimate, 0 without one."""
    return estimate.seeds if estimate else 0
