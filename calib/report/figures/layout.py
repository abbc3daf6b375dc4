"""A page on which axes and legends are placed in inches, so that they do not move with their content."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter, LogLocator, NullFormatter

from calib.report.figures.style import GREY, WIDTH, literal


class Page:
    """A figure of given height and width; places are in inches from its upper left corner."""

    def __init__(self, height: float, width: float = WIDTH) -> None:
        self.height, self.width = height, width
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        """Return new axes at this place."""
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place, **options)

    def text(self, left: float, top: float, words: str, **options: Any) -> None:
        """Write words whose upper left corner is at this place; the caller makes names ``literal``."""
        options = {"va": "top", "ha": "left", **options}
        self.figure.text(left / self.width, 1 - top / self.height, words, **options)

    def legend(self, left: float, top: float, handles: Sequence[Line2D], columns: int, title: str) -> None:
        """Draw a legend whose upper left corner is at this place."""
        self.figure.legend(
            handles,
            [literal(handle.get_label(), most=60) for handle in handles],
            title=title,
            ncols=columns,
            loc="upper left",
            bbox_to_anchor=(left / self.width, 1 - top / self.height),
            borderaxespad=0,
            handletextpad=0.3,
            columnspacing=1.2,
            alignment="left",
            title_fontproperties={"weight": "bold", "size": 7.5},
        )


def dot(colour: str, marker: str, label: str) -> Line2D:
    """Return a legend entry with one marker."""
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5, label=label)


def empty(axes: Axes, words: str) -> None:
    """Write into axes why nothing is drawn."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linestyle((0, (4, 3)))
        spine.set_edgecolor(GREY)
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, style="italic")


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers: 1, 2 and 5 of each decade, or 1 alone of many decades."""
    few = np.log10(high / low) < 1.6
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=7))
    axis.set_major_formatter(number_format(high))
    axis.set_minor_formatter(NullFormatter())


def number_format(high: float) -> Formatter:
    """Return a formatter: plain numbers, or k and M for thousands and millions if some reach ten thousand."""
    return EngFormatter(sep="") if high >= 1e4 else FuncFormatter(lambda value, _: f"{value:g}")
