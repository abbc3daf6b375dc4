"""The chart on the first screen: each method's average accuracy with its interval beside the printed one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from calib.report.numbers import number
from calib.report.page.intervals import between, interval, round_ends
from calib.report.page.svg import Row, RowChart, Scale, Wide, grid, mark, short, tag

HALF = Wide(540, 112.0, 396.0, 16)
"""Measures of a chart that takes half of the page."""

PROTOCOL_LOOKS = ((0, "other", 0.85), (3, "chosen", 1.0), (1, "other", 0.85))
"""Shape, CSS class and size of the marks of the first, the second and any further protocol."""

PRINTED = 2
"""Shape of the printed numbers."""


@dataclass(frozen=True)
class Line:
    """A method of the chart.

    Attributes:
        label: its name.
        printed: the paper's average accuracy; None if it prints none.
        ours: protocol -> average accuracy and the ends of its interval.
        strong: whether its name is set in bold.
    """

    label: str
    printed: float | None
    ours: Mapping[str, tuple[float, float, float]]
    strong: bool = False


@dataclass(frozen=True)
class Forest:
    """The methods of one study; a chart has those that were run.

    Attributes:
        study: its name as the paper writes it.
        lines: the methods from the top.
    """

    study: str
    lines: Sequence[Line]

    @property
    def protocols(self) -> list[str]:
        """The protocols that a method was run under."""
        return list(dict.fromkeys(protocol for line in self.lines for protocol in line.ours))


def drawn(forest: Forest, place: int, protocols: Sequence[str]) -> Markup:
    """Return the chart, wide and narrow.

    Args:
        forest: the methods.
        place: number of the chart in the page.
        protocols: those of all charts of the page, in the order of their looks.
    """
    here = [protocol for protocol in protocols if protocol in forest.protocols]
    ends = [end for line in forest.lines for ours in line.ours.values() for end in ours]
    ends += [line.printed for line in forest.lines if line.printed is not None]
    low, high = round_ends([end for end in ends if math.isfinite(end)])
    return RowChart(
        f"forest-{place}",
        f"{forest.study}: average accuracy of each method, ours and the paper's",
        f"{len(forest.lines)} methods with 95 % intervals, the printed numbers as hollow squares; a table "
        "has the numbers.",
        [_row(line, here, protocols) for line in forest.lines],
        low,
        high,
        "average accuracy",
        grid,
        wide=HALF,
    ).draw()


def _row(line: Line, here: Sequence[str], protocols: Sequence[str]) -> Row:
    """Return the row of a method: a mark and a line for each protocol, above each other."""

    def draw(scale: Scale, y: float) -> Markup:
        parts = []
        for place, protocol in enumerate(here):
            if protocol in line.ours:
                shape, look, size = _look(protocols.index(protocol))
                height = y + 9.0 * (place - (len(here) - 1) / 2) / max(len(here) - 1, 1)
                parts.append(interval(scale, height, line.ours[protocol], shape, look, size))
        if line.printed is not None:
            parts.append(mark(PRINTED, scale(line.printed), y, "point hollow over", 1.1))
        return Markup("").join(parts)

    numbers = [number(line.ours[p][0] if p in line.ours else None, 2) for p in here]
    text = " · ".join(numbers) + (f" ({number(line.printed, 2)})" if line.printed is not None else "")
    said = [f"{p} {number(v, 3)} ({between(low, high)})" for p, (v, low, high) in line.ours.items()]
    printed = f"; printed {number(line.printed, 3)}" if line.printed is not None else ""
    return Row(line.label, text, draw, f"{short(line.label, 60)}: {', '.join(said)}{printed}", line.strong)


def _look(place: int) -> tuple[int, str, float]:
    return PROTOCOL_LOOKS[min(place, len(PROTOCOL_LOOKS) - 1)]


def keys(forests: Sequence[Forest], protocols: Mapping[str, str]) -> list[tuple[str, Markup]]:
    """Return the entries of the legend: each protocol, and the printed numbers where there are any.

    Args:
        forests: the charts.
        protocols: protocol -> its entry.
    """
    looks = [(name, *_look(place)[:2]) for place, name in enumerate(protocols.values())]
    entries = [(name, _key(shape, f"point {look}")) for name, shape, look in looks]
    if any(line.printed is not None for forest in forests for line in forest.lines):
        entries.append(("printed", _key(PRINTED, "point hollow")))
    return entries


def _key(shape: int, look: str) -> Markup:
    drawing = mark(shape, 0.0, 0.0, look)
    return tag("svg", drawing, viewBox="-6 -6 12 12", class_="key", aria_hidden="true")
