"""The walks as a figure: accuracy along each, and the change at every step."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calib.report.exhibits import MISSING
from calib.report.layout import Page
from calib.report.style import BATCH_COLOURS, GREY, PALE, WIDTH, in_style, literal

ROW, HEAD, FOOT, NAMES, GAP = 0.165, 0.24, 0.4, 2.55, 0.25
"""Inches: a step, above a walk, below the last, the names of the options, between the panels."""

PANELS = {"": "accuracy", "change_": "change from the line before"}


@in_style
def walk_figure(numbers: pd.DataFrame) -> Figure:
    """Dots with 95 % intervals, a band a walk, a line a step; what is missing is said.

    Args:
        numbers: of ``walk_numbers``.
    """
    parts = [part for _, part in numbers.groupby("walk", sort=False)]
    page = Page(sum(HEAD + ROW * len(part) for part in parts) + FOOT + 0.1 * (len(parts) - 1))
    width = (WIDTH - NAMES - GAP - 0.1) / 2
    limits = {start: _limits(numbers, start) for start in PANELS}
    top = 0.0
    for part in parts:
        last = part is parts[-1]
        page.text(0.08, top + 0.06, f"Walk {literal(part['walk'].iloc[0], 80)}", weight="bold")
        for column, (start, name) in enumerate(PANELS.items()):
            place = NAMES + column * (width + GAP)
            axes = page.axes(place, top + HEAD, width, ROW * len(part))
            _dots(axes, part, start, BATCH_COLOURS[column])
            axes.set_xlim(*limits[start])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.tick_params(axis="x", labelbottom=last)
            axes.set_xlabel(name if last else "")
            if column == 0:
                labels = [_label(row["step"], row["option"]) for row in part.to_dict("records")]
                axes.set_yticks(range(len(part)), labels)
            else:
                axes.set_yticks([])
                axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
            axes.tick_params(axis="y", length=0)
        top += HEAD + ROW * len(part) + 0.1
    return page.figure


def _label(step: int, option: str) -> str:
    """An option with a plus; a whole protocol, at the start or the end, without."""
    protocol, ends, _ = option.partition(":")
    return literal(protocol, 42) if ends or step == 0 else f"+ {literal(option, 42)}"


def _limits(numbers: pd.DataFrame, start: str) -> tuple[float, float]:
    low, high = numbers[f"{start}low"].min(), numbers[f"{start}high"].max()
    if pd.isna(low) or pd.isna(high):
        return -1.0, 1.0
    room = max(0.05 * (high - low), 0.005)
    return float(low - room), float(high + room)


def _dots(axes: Axes, part: pd.DataFrame, start: str, colour: str) -> None:
    for y, row in enumerate(part.to_dict("records")):
        middle = row[f"{start}value"]
        if pd.isna(middle):
            if not (start and row["step"] == 0):
                words = "not run" if pd.isna(row["value"]) else MISSING
                axes.text(
                    0.5, y, words, transform=axes.get_yaxis_transform(), ha="center", va="center",
                    style="italic", color=GREY, size=7,
                )  # fmt: skip
            continue
        axes.plot([row[f"{start}low"], row[f"{start}high"]], [y, y], color=colour, linewidth=1.2)
        axes.plot([middle], [y], marker="o", markersize=3.5, color=colour)
    for y in range(len(part)):
        axes.axhline(y, color=PALE, linewidth=0.3, zorder=0)
    axes.set_ylim(len(part) - 0.5, -0.5)
