"""The gain of methods over no calibration, study by study, as a figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib.report.figures.style import BATCH_COLOURS, GREY, PALE, STACKED, WIDTH, in_style, literal

SHOWN = (
    ("baseline", ""), ("combat", ""), ("combat_logistic", ""), ("standardise_logistic", ""),
    ("rank_normal_logistic", ""), ("standardise_network", ""), ("average", ""),
    ("harmony", "logistic"), ("mnn", "logistic"), ("seurat", "logistic"), ("sva", "logistic"),
    ("adabn", ""), ("coral", ""), ("dann", ""), ("desc", ""), ("normae", ""), ("bermuda", ""),
    ("recon_t", ""), ("joint", ""), ("joint_plus", ""),
)  # fmt: skip
"""Method and variant of each line, from top to bottom; the table has all methods."""

COLUMNS = 4
"""Studies side by side."""


@in_style
def forest_figure(numbers: pd.DataFrame, studies: Sequence[str], stacked: bool = False) -> Figure:
    """Draw the gain in balanced accuracy of each method, with its interval, in a panel for each study.

    Args:
        numbers: the rows of ``scores.score_numbers``.
        studies: the studies, in the order of the panels.
        stacked: whether the panels are below each other, for phones.
    """
    columns = 1 if stacked else COLUMNS
    known = {(row["method"], row["variant"]): row["name"] for row in numbers.to_dict("records")}
    lines = [key for key in SHOWN if key in known]
    rows = -(-len(studies) // columns)
    height = 0.125 * len(lines) + 0.42
    size = (STACKED if stacked else WIDTH, rows * height + 0.25)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.ravel()):
        if place >= len(studies):
            axes.set_visible(False)
            continue
        own = numbers[numbers["study"] == studies[place]].set_index(["method", "variant"])
        _panel(axes, own, lines)
        axes.set_title(literal(studies[place]), fontsize=7.5)
    reach = np.nanmax(np.abs(numbers["balanced_accuracy_gain"])) if len(numbers) else 0.1
    grid[0, 0].set_xlim(-min(reach * 1.1, 0.62), min(reach * 1.1, 0.32))
    grid[0, 0].set_ylim(-0.7, len(lines) - 0.3)
    for axes in grid[:, 0]:
        axes.set_yticks(
            range(len(lines)), [literal(known[key], most=40) for key in lines[::-1]], fontsize=6.2
        )
    label = "balanced accuracy minus that without calibration"
    figure.supxlabel(label if stacked else f"{label} (logistic regression)", fontsize=7.5)
    return figure


def _panel(axes: Axes, own: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> None:
    """Draw the methods of one study, the first on top."""
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.grid(axis="x", color=PALE, linewidth=0.3)
    axes.tick_params(length=0, labelsize=6.2)
    for height, key in enumerate(lines[::-1]):
        if key not in own.index:
            axes.text(0, height, "×", ha="center", va="center", fontsize=6, color=GREY)
            continue
        row = own.loc[[key]]
        value, low, high = (
            float(row[f"balanced_accuracy_gain{end}"].iloc[0]) for end in ("", "_low", "_high")
        )
        if not np.isfinite(value):
            continue
        colour = BATCH_COLOURS[0] if low > 0 else BATCH_COLOURS[1] if high < 0 else "black"
        marker = "o" if low > 0 else "s" if high < 0 else "D"
        axes.plot([low, high], [height, height], color=colour, linewidth=0.8)
        axes.plot([value], [height], marker, color=colour, markersize=2.4)
