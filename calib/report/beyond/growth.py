"""Accuracy against the number of source batches and of labelled subjects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calib.report.exhibits import Table
from calib.report.figures.layout import Page, log_ticks
from calib.report.figures.style import STACKED, WIDTH, batch_look, in_style, literal
from calib.report.groups import Group, average
from calib.report.numbers import count as count_text
from calib.report.numbers import estimate_columns, estimate_seeds, span, with_interval
from calib.report.paper import spelled
from calib.report.printed import METHODS
from calib.report.readings import INTERVALS, TARGETS

ALWAYS = ("nearest_source", "fewer_subjects")
"""Methods that are shown even with one number, because the table is about them."""

AXES = {"sources": "source batches", "subjects": "labelled subjects of each source"}
"""What is counted -> its label."""

SPELLED = {
    "two_nearest": "two of them",
    "keep_all": "all of them",
    "by_nearness": "all of them, weighted by nearness",
}
"""Variants of ``nearest_source`` -> their meaning; other variants are shown as they are."""

CAPTION = (
    f"Accuracy: mean over target batches of the mean over their splits, with {INTERVALS} {TARGETS} With more "
    "sources there are fewer targets in a split, but every labelled batch is a target of some. Of methods "
    "that were run with two numbers or more."
)


def growth_numbers(study: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row for each method, protocol and number of sources or subjects; NaN if missing."""
    rows = []
    for axis, place in _PLACES.items():
        lines: dict[tuple[str, str, str, str], dict[int, Group]] = {}
        for group in groups:
            if (counted := place(group)) is not None:
                number, rest = counted
                lines.setdefault((group.method, group.label, group.protocol, rest), {})[number] = group
        for (method, label, protocol, rest), line in lines.items():
            for number, group in sorted(line.items()) if len(line) > 1 or method in ALWAYS else ():
                accuracy = average(group.runs)
                lowest, highest = group.extremes("accuracy")
                rows.append(
                    {
                        "study": study,
                        "axis": axis,
                        "method": method,
                        "label": label,
                        "protocol": protocol,
                        "besides": rest,
                        "count": number,
                        "lowest": lowest,
                        "highest": highest,
                        **estimate_columns(accuracy, "accuracy"),
                        "seeds": estimate_seeds(accuracy),
                    }
                )
    return pd.DataFrame(rows)


def _by_sources(group: Group) -> tuple[int, str] | None:
    """Return the number of sources and the rest of the variant; None for a group of the other panel."""
    subjects = "subjects" in group.jobs[0].run.config.method
    return None if subjects else (group.n_sources, group.numberless_variant)


def _by_subjects(group: Group) -> tuple[int, str] | None:
    """Return the number of labelled subjects of a source and the rest of the variant.

    If all subjects are used, the number is the mean over batches. None for a group of the other panel.
    """
    run = group.jobs[0].run
    if "subjects" not in run.config.method:
        return None
    known = [len(np.unique(b.subject)) for b in run.study.batches.values() if b.subject is not None]
    chosen = run.config.method.subjects
    if chosen is None and not known:
        return None
    return round(np.mean(known)) if chosen is None else int(chosen), group.numberless_variant


_PLACES: dict[str, Callable[[Group], tuple[int, str] | None]] = {
    "sources": _by_sources,
    "subjects": _by_subjects,
}


def compares(numbers: pd.DataFrame) -> bool:
    """Return whether the numbers show more than the paper: two numbers of a method, or a method of ours."""
    if numbers.empty:
        return False
    recorded = numbers[numbers["accuracy"].notna() & ~numbers["method"].isin(METHODS)]
    counts = recorded.groupby(["axis", "method", "protocol", "besides"])["count"].nunique()
    return bool((counts > 1).any() or recorded["method"].isin(ALWAYS).any())


def growth_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``growth_numbers`` as a table."""
    rows = [
        [
            AXES[row["axis"]],
            _line_name(row),
            str(row["count"]),
            with_interval(row["accuracy"], row["low"], row["high"]),
            span(row["lowest"], row["highest"]),
            count_text(row["seeds"]),
        ]
        for row in numbers.to_dict("records")
    ]
    heads = ["number of", "method", "number", "accuracy", "lowest to highest", "seeds"]
    title, command = (
        f"{spelled(study)}: how much evidence it takes",
        f"make reproduce-all STUDIES={study} SERIES=beyond,trust,growth",
    )
    return Table(f"growth_{study}", title, CAPTION, heads, rows, numbers, command)


def _line_name(row: Mapping[Any, Any]) -> str:
    """Return a line's name: the method, the protocol if it is not ``paper``, and the rest of the variant."""
    protocol = [str(row["protocol"])] if row["protocol"] != "paper" else []
    rest = [SPELLED.get(str(row["besides"]), str(row["besides"]))] if row["besides"] else []
    return ", ".join([str(row["label"]), *protocol, *rest])


@in_style
def growth_figure(numbers: pd.DataFrame, stacked: bool = False) -> Figure:
    """Draw accuracy with intervals against sources and against subjects, a line for each method.

    Args:
        numbers: the rows of ``growth_numbers``; a number of which nothing is recorded has no panel.
        stacked: whether the panels are below each other, for phones.
    """
    lines = numbers.assign(name=[_line_name(row) for row in numbers.to_dict("records")])
    names = list(dict.fromkeys(lines["name"]))
    parts = {axis: lines[(lines["axis"] == axis) & lines["accuracy"].notna()] for axis in AXES}
    shown = [axis for axis, part in parts.items() if len(part)]
    across = 1 if stacked else max(len(shown), 1)
    height, line = 2.1, 2.1 + 0.42
    top = 0.15 + -(-len(shown) // across) * line
    page = Page(top + 0.17 * len(names) + 0.1, STACKED if stacked else WIDTH)
    width = (page.width - 0.55 - 0.45 * (across - 1) - 0.1) / across
    for place, axis in enumerate(shown):
        down, column = divmod(place, across)
        axes = page.axes(0.55 + column * (width + 0.45), 0.15 + down * line, width, height)
        recorded, label = parts[axis], AXES[axis]
        _draw_lines(axes, recorded, names, 0.04 if axis == "sources" else 0.0)
        if axis == "subjects":
            axes.set_xscale("log")
            log_ticks(axes.xaxis, recorded["count"].min(), recorded["count"].max())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(label)
        axes.set_ylabel("accuracy" if column == 0 else "")
    for place, name in enumerate(names):
        colour, marker = batch_look(place)
        above = top + 0.17 * place
        key = page.axes(0.55, above, 0.3, 0.12)
        key.plot([0, 1], [0, 0], color=colour, linewidth=1)
        key.plot([0.5], [0], color=colour, marker=marker, markersize=4)
        key.set_axis_off()
        page.text(0.92, above, literal(name, 44 if stacked else 80))
    return page.figure


def _draw_lines(axes: Axes, recorded: pd.DataFrame, names: Sequence[str], step: float) -> None:
    """Draw the line of each method.

    Args:
        axes: where to draw.
        recorded: rows of one panel, with the name of the line.
        names: all lines of the figure; the place among them decides colour and marker.
        step: shift of each line to the right, so that intervals do not hide each other.
    """
    for place, (name, part) in enumerate(recorded.groupby("name", sort=False)):
        colour, marker = batch_look(names.index(str(name)))
        x = part["count"] + step * (place - (recorded["name"].nunique() - 1) / 2)
        spread = [part["accuracy"] - part["low"], part["high"] - part["accuracy"]]
        axes.errorbar(
            x,
            part["accuracy"],
            spread,
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1,
            elinewidth=0.8,
        )
