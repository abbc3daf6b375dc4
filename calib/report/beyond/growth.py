"""How much evidence it takes: accuracy against the number of source batches and of labelled subjects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calib.report.beyond.comparison import value
from calib.report.exhibits import MISSING, Table
from calib.report.figures.layout import Page, empty, log_ticks
from calib.report.figures.style import BATCH_COLOURS, BATCH_MARKERS, WIDTH, in_style, literal
from calib.report.groups import Group, average
from calib.report.paper import spelled
from calib.report.printed import METHODS

ALWAYS = ("nearest_source", "fewer_subjects")
"""Methods that are shown with one number, too: the table is about them."""

AXES = {"sources": "source batches", "subjects": "labelled subjects of each source"}

SPELLED = {
    "two_nearest": "two of them",
    "keep_all": "all of them",
    "by_nearness": "all of them, weighted by nearness",
}
"""What the settings of ``nearest_source`` mean; others are written as they are given."""

CAPTION = (
    "Accuracy: mean over target batches of the mean over their splits, with the 95 % interval of a "
    "bootstrap of whole subjects and of seeds. With more sources there are fewer targets in a split, but "
    "every labelled batch is a target of some. Of methods that were run with two numbers or more."
)


def growth_numbers(study: str, found: Sequence[Group]) -> pd.DataFrame:
    """One row a method, protocol and number of sources or subjects; NaN is missing."""
    rows = []
    for axis, place in _PLACES.items():
        lines: dict[tuple[str, str, str, str], dict[int, Group]] = {}
        for one in found:
            if (spot := place(one)) is not None:
                count, besides = spot
                lines.setdefault((one.method, one.label, one.protocol, besides), {})[count] = one
        for (method, label, protocol, besides), line in lines.items():
            for count, one in sorted(line.items()) if len(line) > 1 or method in ALWAYS else ():
                got = average(one.runs)
                rows.append(
                    {
                        "study": study,
                        "axis": axis,
                        "method": method,
                        "label": label,
                        "protocol": protocol,
                        "besides": besides,
                        "count": count,
                        "accuracy": got.value if got else np.nan,
                        "low": got.low if got else np.nan,
                        "high": got.high if got else np.nan,
                        "seeds": got.seeds if got else 0,
                    }
                )
    return pd.DataFrame(rows)


def _by_sources(one: Group) -> tuple[int, str] | None:
    """Number of sources, and the rest of the variant; subjects are the other panel's."""
    return None if "subjects" in one.jobs[0].run.config.method else (one.n_sources, one.numberless_variant)


def _by_subjects(one: Group) -> tuple[int, str] | None:
    """Number of subjects of a source (of all, the mean over batches), and the rest of the variant."""
    run = one.jobs[0].run
    if "subjects" not in run.config.method:
        return None
    known = [len(np.unique(b.subject)) for b in run.study.batches.values() if b.subject is not None]
    asked = run.config.method.subjects
    if asked is None and not known:
        return None
    return round(np.mean(known)) if asked is None else int(asked), one.numberless_variant


_PLACES: dict[str, Callable[[Group], tuple[int, str] | None]] = {
    "sources": _by_sources,
    "subjects": _by_subjects,
}


def compares(numbers: pd.DataFrame) -> bool:
    """Whether there is anything to see beyond the paper: two numbers of a method, or one made for this."""
    if numbers.empty:
        return False
    there = numbers[numbers["accuracy"].notna() & ~numbers["method"].isin(METHODS)]
    counts = there.groupby(["axis", "method", "protocol", "besides"])["count"].nunique()
    return bool((counts > 1).any() or there["method"].isin(ALWAYS).any())


def growth_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text, a line a method, protocol and number."""
    rows = [
        [
            AXES[row["axis"]],
            name(row),
            str(row["count"]),
            value(row["accuracy"])
            + ("" if pd.isna(row["accuracy"]) else f" [{value(row['low'])}, {value(row['high'])}]"),
            str(row["seeds"]) if row["seeds"] else MISSING,
        ]
        for row in numbers.to_dict("records")
    ]
    heads = ["number of", "method", "number", "accuracy", "seeds"]
    title, command = (
        f"{spelled(study)}: how much evidence it takes",
        f"make reproduce-all STUDIES={study} SERIES=beyond,trust,growth",
    )
    return Table(f"growth_{study}", title, CAPTION, heads, rows, numbers, command)


def name(row: Mapping[Any, Any]) -> str:
    """A line's name: method, protocol where it is not the text's, and what else is set."""
    parts = [str(row["label"]), *([str(row["protocol"])] if row["protocol"] != "paper" else [])]
    besides = str(row["besides"])
    return ", ".join([*parts, *([SPELLED.get(besides, besides)] if besides else [])])


@in_style
def growth_figure(numbers: pd.DataFrame) -> Figure:
    """A panel for sources and one for subjects, a line a method, with intervals.

    Args:
        numbers: of ``growth_numbers``.
    """
    height, width = 2.1, (WIDTH - 0.55 - 0.45 - 0.1) / 2
    lines = numbers.assign(name=[name(row) for row in numbers.to_dict("records")])
    names = list(dict.fromkeys(lines["name"]))
    page = Page(0.15 + height + 0.42 + 0.17 * len(names) + 0.1)
    for column, (axis, label) in enumerate(AXES.items()):
        axes = page.axes(0.55 + column * (width + 0.45), 0.15, width, height)
        there = lines[(lines["axis"] == axis) & lines["accuracy"].notna()]
        if there.empty:
            empty(axes, f"{label}: not run")
            continue
        step = 0.04 if axis == "sources" else 0.0  # so that intervals of whole numbers do not hide each other
        for place, (one, part) in enumerate(there.groupby("name", sort=False)):
            look = names.index(str(one))
            x = part["count"] + step * (place - (there["name"].nunique() - 1) / 2)
            spread = [part["accuracy"] - part["low"], part["high"] - part["accuracy"]]
            axes.errorbar(
                x, part["accuracy"], spread, color=BATCH_COLOURS[look % len(BATCH_COLOURS)],
                marker=BATCH_MARKERS[look % len(BATCH_MARKERS)], markersize=4, linewidth=1, elinewidth=0.8,
            )  # fmt: skip
        if axis == "subjects":
            axes.set_xscale("log")
            log_ticks(axes.xaxis, there["count"].min(), there["count"].max())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(label)
        axes.set_ylabel("accuracy" if column == 0 else "")
    for row, one in enumerate(names):
        colour, marker = BATCH_COLOURS[row % len(BATCH_COLOURS)], BATCH_MARKERS[row % len(BATCH_MARKERS)]
        key = page.axes(0.55, 0.15 + height + 0.42 + 0.17 * row, 0.3, 0.12)
        key.plot([0, 1], [0, 0], color=colour, linewidth=1)
        key.plot([0.5], [0], color=colour, marker=marker, markersize=4)
        key.set_axis_off()
        page.text(0.92, 0.15 + height + 0.42 + 0.17 * row, literal(one, 80))
    return page.figure
