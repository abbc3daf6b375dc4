"""Figure S1a: how many features differ between case and control in each batch, and in how many batches."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib.evaluation.differential import overlaps
from calib.report.figures.layout import Page
from calib.report.figures.style import GREY, PALE, STACKED, WIDTH, batch_look, in_style, literal

MOST_SETS = 15
"""Largest number of sets of batches that are drawn: that of all batches and the largest others."""

HEAD, BARS, LINE, FOOT = 0.3, 1.5, 0.19, 0.3
NAMES, TOTALS = 0.75, 0.8
"""Inches: space above the bars, their height, height of a batch, space below; widths of names and totals."""

PRINTED = "#882255"
"""Colour of printed numbers."""

Chosen = tuple[str, ...]
"""A set of batches."""


@in_style
def overlap_figure(
    tables: Mapping[str, pd.DataFrame],
    batches: Sequence[str],
    printed: Mapping[str, int] | None = None,
    stacked: bool = False,
) -> Figure:
    """Draw panels: the number of features that are differential in exactly the dotted batches.

    An UpSet plot (Lex et al. 2014): unlike circles it stays true to number with any number of batches.

    Args:
        tables: heading -> table of booleans, features as rows and batches as columns; one at least.
        batches: names of all batches of the study, for their colours.
        printed: heading -> number of features common to all batches that the paper gives.
        stacked: whether the panels are below each other, for phones.
    """
    lines = max(len(table.columns) for table in tables.values())
    height = HEAD + BARS + 0.08 + lines * LINE + FOOT
    across = 1 if stacked else len(tables)
    page = Page(height * len(tables) / across, STACKED if stacked else WIDTH)
    width = page.width / across
    tallest = [max(overlaps(table).values()) for table in tables.values()]
    top = max([1, *tallest, *(printed or {}).values()])  # one scale, so that panels can be compared
    for place, (heading, table) in enumerate(tables.items()):
        down, right = divmod(place, across)
        left, above = right * width + 0.08, down * height
        page.text(left, above + 0.07, chr(ord("a") + place), weight="bold", size=9)
        page.text(left + 0.16, above + 0.08, literal(heading, most=60), size=8)
        _panel(page, table, batches, (printed or {}).get(heading), (left, above), width, top)
    return page.figure


def _panel(
    page: Page,
    table: pd.DataFrame,
    batches: Sequence[str],
    printed: int | None,
    corner: tuple[float, float],
    width: float,
    top: float,
) -> None:
    """Draw one panel: bars above, below them the dots of the batches, and their totals on the left."""
    left, above = corner
    names = list(table.columns)
    counts = _drawn(overlaps(table))
    inner = width - NAMES - TOTALS - 0.2
    bars = page.axes(left + NAMES + TOTALS, above + HEAD, inner, BARS)
    _bars(bars, counts, [_colour(chosen, names, batches) for chosen in counts], printed, top)
    below = above + HEAD + BARS + 0.08
    _matrix(page.axes(left + NAMES + TOTALS, below, inner, len(names) * LINE), counts, names)
    totals = page.axes(left + 0.08, below, TOTALS - 0.08, len(names) * LINE)
    _totals(totals, table, [_colour((name,), names, batches) for name in names])
    for y, name in enumerate(names):
        page.text(
            left + TOTALS + NAMES / 2 - 0.04, below + (y + 0.5) * LINE, literal(name, most=11),
            va="center", ha="center", size=7,
        )  # fmt: skip
    page.text(left + 0.08, below + len(names) * LINE + 0.05, "in each batch", size=7, color=GREY)
    page.text(
        left + NAMES + TOTALS, below + len(names) * LINE + 0.05,
        f"in exactly these batches ({len(table)} tested)", size=7, color=GREY,
    )  # fmt: skip


def _bars(
    axes: Axes, counts: Mapping[Chosen, int], colours: Sequence[str], printed: int | None, top: float
) -> None:
    """Draw a bar with its number for each set of batches, and a line at the printed number."""
    heights = list(counts.values())
    axes.bar(range(len(counts)), heights, 0.7, color=colours)
    many = len(counts) > 8
    for x, height in enumerate(heights):
        axes.annotate(
            str(height), (x, height), (0, 1.5), textcoords="offset points", ha="center", va="bottom",
            size=6 if many else 7, rotation=90 if many else 0,
        )  # fmt: skip
    if printed is not None:
        axes.plot([-0.42, 0.42], [printed, printed], color=PRINTED, linewidth=1.4)
        axes.annotate(
            f"paper: {printed}", (0.42, printed), (3, 0), textcoords="offset points", va="center",
            color=PRINTED, weight="bold", size=7,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylim(0, top * (1.18 if many else 1.12))
    axes.set_xticks([])
    axes.set_ylabel("features")


def _totals(axes: Axes, table: pd.DataFrame, colours: Sequence[str]) -> None:
    """Draw the number of differential features of each batch as bars that grow to the left."""
    sums = [int(table[name].sum()) for name in table.columns]
    axes.barh(range(len(sums)), sums, 0.65, color=colours)
    for y, value in enumerate(sums):
        axes.annotate(
            str(value), (value, y), (-2, 0), textcoords="offset points", ha="right", va="center", size=7
        )
    axes.set_xlim(max([*sums, 1]) * 1.6, 0)  # leaves room for the numbers
    axes.set_ylim(len(sums) - 0.5, -0.5)
    axes.set_axis_off()


def _matrix(axes: Axes, counts: Mapping[Chosen, int], names: Sequence[str]) -> None:
    """Draw a column of dots for each set of batches."""
    for y in range(0, len(names), 2):
        axes.axhspan(y - 0.5, y + 0.5, color="#F2F2F2", linewidth=0)
    for x, chosen in enumerate(counts):
        rows = [names.index(name) for name in chosen]
        off = [y for y in range(len(names)) if y not in rows]
        axes.scatter([x] * len(off), off, 14, PALE, linewidths=0)
        for upper, lower in pairwise(rows):
            axes.plot([x, x], [upper, lower], color="black", linewidth=1.2)
        axes.scatter([x] * len(rows), rows, 18, "black", linewidths=0, zorder=3)
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_axis_off()


def _drawn(counts: dict[Chosen, int]) -> dict[Chosen, int]:
    """Return all sets, or the first, which is all batches, and the largest others."""
    if len(counts) <= MOST_SETS:
        return counts
    everything, *others = counts
    order = np.argsort([-counts[chosen] for chosen in others], kind="stable")[: MOST_SETS - 1]
    return {chosen: counts[chosen] for chosen in (everything, *(others[i] for i in order))}


def _colour(chosen: Chosen, names: Sequence[str], batches: Sequence[str]) -> str:
    """Return the batch's colour for a single batch, black for all batches, grey for some."""
    if len(chosen) == len(names) > 1:
        return "black"
    return batch_look(list(batches).index(chosen[0]))[0] if len(chosen) == 1 else "#8A8A8A"
