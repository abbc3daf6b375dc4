"""Balanced accuracy over the class mix of the target, and over its size, as figures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from calib.report.figures.style import (
    BATCH_COLOURS,
    BATCH_MARKERS,
    GREY,
    PALE,
    STACKED,
    WIDTH,
    in_style,
    literal,
)

LINES = (
    ("baseline", "arcsinh logistic"),
    ("standardise_logistic", ""),
    ("standardise_mix_logistic", ""),
    ("pooled_logistic", ""),
    ("joint_plus", "one_model"),
    ("standardise_mix_network", ""),
)
"""Method and variant of each line; the table has all methods."""

BOUND = ("known_mix_logistic", "")

HEIGHT = 2.5


@in_style
def mix_figure(numbers: pd.DataFrame, studies: Sequence[str], stacked: bool = False) -> Figure:
    """Draw the balanced accuracy of some methods over the share of cases, in a panel for each study.

    Args:
        numbers: the rows of ``scores.mix_numbers``.
        studies: the studies, in the order of the panels.
        stacked: whether the panels are below each other, for phones.
    """
    figure = _panels(numbers[numbers["kind"] == "mix"], studies, "cases in the target", stacked)
    for axes in figure.axes:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xticks([0.1, 0.3, 0.5, 0.7, 0.9])
    return figure


@in_style
def size_figure(numbers: pd.DataFrame, studies: Sequence[str], stacked: bool = False) -> Figure:
    """Draw the balanced accuracy of some methods over the number of subjects in the target."""
    figure = _panels(numbers[numbers["kind"] == "size"], studies, "subjects in the target", stacked)
    for axes in figure.axes:
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
        axes.minorticks_off()
    return figure


def _panels(numbers: pd.DataFrame, studies: Sequence[str], label: str, stacked: bool) -> Figure:
    """Return a figure with a panel for each study and one legend."""
    columns = 1 if stacked else min(len(studies), 3)
    rows = -(-len(studies) // columns)
    size = (STACKED, rows * HEIGHT + 1.3) if stacked else (WIDTH, rows * HEIGHT + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(studies) :]:
        axes.remove()
    for axes, study in zip(grid.ravel(), studies, strict=False):
        _panel(axes, numbers[numbers["study"] == study])
        axes.set_title(literal(study))
    for axes in grid[:, 0]:
        axes.set_ylabel("balanced accuracy")
    figure.supxlabel(label, fontsize=7.5)
    entries = {
        text: line
        for axes in figure.axes
        for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=1 if stacked else 2)
    return figure


def _panel(axes: Axes, numbers: pd.DataFrame) -> None:
    """Draw the lines of one study, each with its 95 % intervals, slightly apart."""
    axes.grid(axis="y", color=PALE, linewidth=0.3)
    for place, key in enumerate((*LINES, BOUND)):
        own = numbers[(numbers["method"] == key[0]) & (numbers["variant"] == key[1])].sort_values("at")
        if own.empty:
            continue
        x, y = own["at"].to_numpy(float), own["balanced_accuracy"].to_numpy(float)
        name = literal(own["name"].iloc[0], most=60)
        if key == BOUND:
            axes.plot(x, y, color=GREY, linestyle=":", linewidth=0.9, label=f"{name} (bound)")
            continue
        colour, marker = BATCH_COLOURS[place], BATCH_MARKERS[place]
        axes.plot(x, y, marker, color=colour, linestyle="-", markersize=3.5, label=name)
        low, high = (own[f"balanced_accuracy_{end}"].to_numpy(float) for end in ("low", "high"))
        if np.isfinite(low).all():
            axes.fill_between(x, low, high, color=colour, alpha=0.08, linewidth=0)
