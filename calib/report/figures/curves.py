"""Figure S1b, the distances of batches before and after calibration, and the loss curves of trainings."""

from collections.abc import Collection, Mapping, Sequence, Sized

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calib.data.study import FloatArray
from calib.report.figures.layout import Page, log_ticks, number_format
from calib.report.figures.style import BATCH_COLOURS, GREY, PALE, STACKED, WIDTH, in_style, literal

Pair = tuple[str, str]

KERNELS = {
    "fixed": "Kernel widths of the paper, σ = 1 to 16",
    "median": "Kernel widths around the median distance of each space",
}
"""Kind of kernel widths -> heading of its panels."""

ACROSS = 3
"""Largest number of panels beside each other."""

HEAD, TITLE, ROW, FOOT = 0.3, 0.2, 0.165, 0.42
NAMES = 1.35
"""Inches: above a kernel's panels, above a panel, height of a method, space below, width of names."""

PANEL = 1.25
"""Inches: height of a panel of losses."""

LOSSES = {
    "L_C (A)": "step A: calibration $L_C$",
    "L_D": "step A: classification $L_D$",
    "L_C (B)": "step B: calibration $L_C$",
    "L_R": "step B: reconstruction $L_R$",
}
"""Column of ``history.csv`` -> title of its panel."""

DASHED = (0, (4, 3))

LOG_FROM = 10.0
"""Ratio of the largest to the smallest value of a loss from which its axis is logarithmic."""


@in_style
def distance_figure(
    distances: Mapping[str, pd.DataFrame], floors: Mapping[Pair, float] | None = None, stacked: bool = False
) -> Figure:
    """Draw boxes of squared MMD over the draws, for each pair of batches, method and kind of kernel width.

    Box: quartiles; line: median; whiskers: 1.5 times the box; dots: draws beyond. Logarithmic axes.

    Args:
        distances: heading of a method -> its ``mmd.csv``; one at least. The first box, before calibration, is
            that of the first method, since all draw the same rows.
        floors: pair of batches -> the value with fixed widths if no two samples are near enough for any
            kernel: ``K (1 / m + 1 / n)`` for K kernels and m and n rows drawn.
        stacked: whether all panels are below each other, for phones.
    """
    run = list(distances.values())
    across, width = (1, STACKED) if stacked else (ACROSS, WIDTH)
    pairs: list[Pair] = list(
        run[0][["batch_a", "batch_b"]].astype(str).drop_duplicates().itertuples(index=False, name=None)
    )
    boxes = {"before calibration": (run[0], "before")} | {
        name: (table, "after") for name, table in distances.items()
    }
    block = HEAD + -(-len(pairs) // across) * _panel_height(boxes)
    page = Page(len(KERNELS) * block, width)
    for order, (kernel, heading) in enumerate(KERNELS.items()):
        top = order * block
        page.text(0.08, top + 0.07, "ab"[order], weight="bold", size=9)
        page.text(0.24, top + 0.08, heading, size=8)
        limits = _limits(run, kernel)
        for place, pair in enumerate(pairs):
            axes = _panel(page, top + HEAD, place, min(across, len(pairs)), boxes)
            draws = [_draws(table, space, kernel, pair) for table, space in boxes.values()]
            _boxes(axes, draws, (floors or {}).get(pair) if kernel == "fixed" else None)
            axes.set_xlim(*limits)
            log_ticks(axes.xaxis, *limits)
            axes.set_title(_title(pair), size=7.5, pad=3)
    return page.figure


def _panel_height(names: Sized) -> float:
    """Return the height of a panel with its title and axis in inches."""
    return TITLE + ROW * len(names) + FOOT


def _panel(page: Page, top: float, place: int, across: int, names: Collection[str]) -> Axes:
    """Return the axes of one pair of batches; the first of each row has the methods' names beside it.

    Args:
        page: the page.
        top: upper end of the first row in inches.
        place: number of the panel.
        across: number of panels in a row.
        names: methods, from top to bottom.
    """
    width = (page.width - NAMES - 0.1) / across
    row, column = divmod(place, across)
    above = top + row * _panel_height(names) + TITLE
    axes = page.axes(NAMES + column * width, above, width - 0.14, ROW * len(names))
    axes.set_xlabel("MMD²", labelpad=1)
    if column == 0:
        axes.set_yticks(range(len(names)), [literal(name, 24) for name in names])
    else:
        axes.set_yticks([])
    axes.tick_params(axis="y", length=0)
    return axes


def _title(pair: Pair) -> str:
    """Return the title of a pair's panel."""
    kind = "batches " if sum(map(len, pair)) <= 12 else ""
    return f"{kind}{literal(pair[0], 13)} and {literal(pair[1], 13)}"


def _draws(table: pd.DataFrame, space: str, kernel: str, pair: Pair) -> FloatArray:
    """Return the squared MMD of every draw."""
    chosen = table[(table["space"] == space) & (table["kernel"] == kernel)]
    chosen = chosen[(chosen["batch_a"].astype(str) == pair[0]) & (chosen["batch_b"].astype(str) == pair[1])]
    return np.maximum(chosen["mmd2"].to_numpy(float), 1e-6)  # rounding can make a zero a little negative


def _limits(tables: Sequence[pd.DataFrame], kernel: str) -> tuple[float, float]:
    """Return the ends of an axis that holds all draws."""
    values = pd.concat([table.loc[table["kernel"] == kernel, "mmd2"] for table in tables]).clip(lower=1e-6)
    return float(values.min()) / 1.4, float(values.max()) * 1.4


def _boxes(axes: Axes, draws: Sequence[FloatArray], floor: float | None) -> None:
    """Draw a box for each method."""
    if floor is not None:
        axes.axvline(floor, color=GREY, linewidth=0.8, linestyle=DASHED, zorder=0)
    for y, values in enumerate(draws):
        if not len(values):
            continue
        colour = GREY if y == 0 else BATCH_COLOURS[0]
        axes.boxplot(
            [values], positions=[y], orientation="horizontal", widths=0.6, manage_ticks=False,
            patch_artist=True, boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.55},
            medianprops={"color": "black", "linewidth": 1.2}, whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": colour},
        )  # fmt: skip
    axes.axhline(0.5, color=PALE, linewidth=0.6)
    axes.set_ylim(len(draws) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.5)
    axes.set_axisbelow(True)


@in_style
def loss_figure(
    histories: Mapping[str, Mapping[int, pd.DataFrame]],
    floors: Mapping[str, float] | None = None,
    stacked: bool = False,
) -> Figure:
    """Draw losses over epochs, a row for each split and a column for each loss: seeds thin, their mean thick.

    Args:
        histories: heading of a row -> seed -> its ``history.csv``, all with the same losses and no row empty.
        floors: loss -> a value to mark by a dashed line.
        stacked: whether at most two panels are beside each other, for phones.
    """
    tables = [table for row in histories.values() for table in row.values()]
    names = list(dict.fromkeys(name for table in tables for name in table.columns[2:])) or list(LOSSES)
    left, gap, space, first = 0.62, 0.45, 0.24, 0.3
    across = min(2, len(names)) if stacked else len(names)
    lines = -(-len(names) // across)
    line = PANEL + (0.42 if stacked else space)
    page = Page(first + len(histories) * (lines * line + 0.1 * stacked) + 0.14, STACKED if stacked else WIDTH)
    width = (page.width - left - 0.08 - gap * (across - 1)) / across
    top = first
    for heading, row in histories.items():
        middle = top + (lines * line - line + PANEL) / 2
        page.text(0.08, middle, literal(heading, 24), rotation=90, va="center", weight="bold")
        for place, name in enumerate(names):
            down, right = divmod(place, across)
            axes = page.axes(left + right * (width + gap), top + down * line, width, PANEL)
            if stacked or top == first:
                axes.set_title(LOSSES.get(name, literal(name)), size=7.5)
            _curves(axes, [table[["epoch", name]].dropna() for table in row.values()], name)
            if floors and name in floors:
                axes.axhline(floors[name], color=GREY, linewidth=0.8, linestyle=DASHED, zorder=3)
        top += lines * line + 0.1 * stacked
    seeds = " or ".join(map(str, sorted({len(row) for row in histories.values()})))
    words = f"thin: each of {seeds} seeds, thick: their mean"
    words = words if stacked else f"mean losses of each epoch; {words}"
    page.text(page.width - 0.08, top - 0.02, words, color=GREY, ha="right")
    return page.figure


def _curves(axes: Axes, seeds: Sequence[pd.DataFrame], name: str) -> None:
    """Draw one loss of every seed and their mean."""
    for table in seeds:
        axes.plot(table["epoch"], table[name], color=BATCH_COLOURS[0], linewidth=0.5, alpha=0.45)
    mean = pd.concat(seeds).groupby("epoch")[name].mean()
    axes.plot(mean.index, mean, color=BATCH_COLOURS[0], linewidth=1.5)
    values = np.concatenate([table[name].to_numpy(float) for table in seeds])
    if values.min() > 0 and values.max() > LOG_FROM * values.min():
        axes.set_yscale("log")
        log_ticks(axes.yaxis, values.min(), values.max())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(number_format(values.max()))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
