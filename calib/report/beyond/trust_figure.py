"""The figure of trust: reliability diagrams, and risk against coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib.data.study import FloatArray
from calib.evaluation.trust import accuracy_at, reliability
from calib.report.beyond.trust import Answers, Trusted
from calib.report.figures.layout import Page
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

LEAST = 0.005
"""Smallest share of all samples for which a bin has a dot: the accuracy of a few samples means nothing."""

COVERAGES = np.linspace(0.05, 1, 39)
LEFT, GAP, SIDE, BELOW = 0.56, 0.22, 1.43, 1.9
"""Inches: space left of the first panel and between panels, side of a diagram, height of the curves."""


@dataclass(frozen=True)
class Curves:
    """What is drawn of one method: its label, and its answers by seed, before and after temperature."""

    label: str
    answers: Mapping[int, Sequence[Answers]]
    corrected: Mapping[int, Sequence[Answers]]

    @classmethod
    def of(cls, method: Trusted) -> "Curves":
        """Return what is drawn of a method."""
        return cls(str(method.group.label), method.answers, method.corrected)


@in_style
def trust_figure(methods: Sequence[Curves], stacked: bool = False) -> Figure:
    """Draw a reliability diagram for each method, and below them risk against coverage of all.

    Args:
        methods: at most four methods.
        stacked: whether two diagrams at most are beside each other, and the legend below, for phones.
    """
    across, side = (2, 1.3) if stacked else (4, SIDE)
    line = side + (0.62 if stacked else 0.5)
    top = 0.35 + -(-len(methods) // across) * line
    legend = 0.17 * len(methods) + 0.75 if stacked else 0.0
    page = Page(top + BELOW + 0.45 + legend, STACKED if stacked else WIDTH)
    page.text(0.08, 0.05, "a", weight="bold", size=9)
    for place, method in enumerate(methods):
        down, column = divmod(place, across)
        axes = page.axes(LEFT + column * (side + GAP), 0.3 + down * line, side, side)
        _diagram(axes, method, place)
        axes.set_title(literal(method.label, 30), size=7.5)
        axes.set_xlabel("confidence", labelpad=1)
        if column == 0:
            axes.set_ylabel("accuracy")
        else:
            axes.tick_params(labelleft=False)
    page.text(0.08, top - 0.2, "b", weight="bold", size=9)
    width = STACKED - LEFT - 0.15 if stacked else 4.2
    _coverage(page.axes(LEFT, top, width, BELOW), methods, (0, -0.25) if stacked else (1.03, 1))
    words = "a, full: as it answers\na, hollow: after temperature\nb, vertical: 80 % and 90 %"
    left, above = (LEFT, top + BELOW + legend - 0.1) if stacked else (LEFT + 4.35, top + 1.1)
    page.text(left, above, words, color=GREY, linespacing=1.5)
    return page.figure


def _diagram(axes: Axes, method: Curves, column: int) -> None:
    """Draw accuracy against confidence of one method, before and after temperature."""
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    colour, marker = BATCH_COLOURS[column], BATCH_MARKERS[column]
    for answers, face, line in ((method.answers, colour, "-"), (method.corrected, "white", ":")):
        parts = [part for of_seed in answers.values() for part in of_seed]
        if not parts:
            continue
        p, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        bins = reliability(p, y)
        shown = bins.count >= LEAST * bins.count.sum()
        axes.plot(
            bins.confidence[shown], bins.accuracy[shown], color=colour, linestyle=line, linewidth=1,
            marker=marker, markersize=3.5, markerfacecolor=face, markeredgewidth=0.8,
        )  # fmt: skip
        lowest = 1 / p.shape[1]
        axes.set_xlim(lowest - 0.03, 1.02)
        axes.set_ylim(lowest - 0.15, 1.02)


def _coverage(axes: Axes, methods: Sequence[Curves], legend: tuple[float, float]) -> None:
    """Draw risk against coverage of all methods."""
    for column, method in enumerate(methods):
        axes.plot(
            COVERAGES, _risk(method.answers), color=BATCH_COLOURS[column], marker=BATCH_MARKERS[column],
            markevery=(column, 6), markersize=3.5, label=literal(method.label),
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.set_xlabel("coverage: share answered, the most confident first")
    axes.set_ylabel("risk: share of them wrong")
    axes.legend(loc="upper left", bbox_to_anchor=legend, borderaxespad=0)
    for share in (0.8, 0.9):
        axes.axvline(share, color=PALE, linewidth=0.6, zorder=0)


def _risk(answers: Mapping[int, Sequence[Answers]]) -> FloatArray:
    """Return the share of wrong answers at every coverage, averaged over target batches and seeds."""
    curves = [[1 - accuracy_at(p, y, c) for c in COVERAGES] for parts in answers.values() for p, y in parts]
    risk: FloatArray = np.mean(curves, axis=0)
    return risk
