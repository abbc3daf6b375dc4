"""Numbers with their intervals in a chart by rows and as text."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from calib.report.numbers import number
from calib.report.page.svg import Scale, line, mark


def interval(
    scale: Scale, y: float, ends: tuple[float, float, float], shape: int, look: str, size: float
) -> Markup:
    """Return a mark with a line through it, or the mark alone where no interval is known.

    Args:
        scale, y: the row's scale and height.
        ends: the value, and the low and the high end of its interval.
        shape: number of one of ``svg.SHAPES``.
        look: CSS class of both.
        size: of the mark.
    """
    value, low, high = ends
    parts = [line(scale(low), y, scale(high), y, f"whisker {look}")] if math.isfinite(low) else []
    return Markup("").join([*parts, mark(shape, scale(value), y, f"point {look}", size)])


def ranged(value: float, low: float, high: float) -> str:
    """Return a number with its interval in two digits."""
    if not math.isfinite(low):
        return number(value, 2)
    return f"{number(value, 2)} ({between(low, high)})"


def between(low: float, high: float) -> str:
    """Return an interval in two digits, with a dash where no minus is near."""
    return f"{number(low, 2)}{' to ' if low < 0 else '–'}{number(high, 2)}"


def round_ends(values: Sequence[float], least: float = 0.2) -> tuple[float, float]:
    """Return tenths or twentieths around shares of one, so far apart that small differences look small."""
    low, high = math.floor(min(values) * 20) / 20, min(math.ceil(max(values) * 20) / 20, 1.0)
    low = max(min(low, high - least), 0.0)
    return low, max(high, low + least)
