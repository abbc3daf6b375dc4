"""The worth of each option in which text, code and correction differ, along walks that add one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf

from calib.protocol import Protocol
from calib.report.exhibits import MISSING, Table
from calib.report.figures.layout import Page
from calib.report.figures.style import BATCH_COLOURS, GREY, PALE, STACKED, WIDTH, in_style, literal
from calib.report.groups import Group, average, difference
from calib.report.numbers import (
    count,
    estimate_columns,
    estimate_seeds,
    signed_with_interval,
    span,
    with_interval,
)
from calib.report.paper import spelled
from calib.report.readings import INTERVALS, READS, TARGETS, reading_cell, readings
from calib.runs.series import Place

CAPTION = (
    "The joint model; every line has one option more than the line before. Accuracy: mean over target "
    f"batches of the mean over their splits, of the seeds that all lines of a walk have. {TARGETS} Change: "
    f"from the line before, paired by subject and seed. With {INTERVALS} {READS} What an option is worth "
    "depends on those set before it: from the released code the same corrections are taken in two orders, "
    "from the text in one. The last line of a walk is a whole protocol where few options are left to it, or "
    "the line of another walk that it comes to."
)


ENDS = ("value", "low", "high")
"""Columns of an estimate."""


@dataclass(frozen=True)
class Walk:
    """Groups of runs, of which each sets one option more than the group before.

    Attributes:
        name: name of the walk in the plan.
        options: the option that each step sets; "" for the start.
        steps: the runs of each step.
    """

    name: str
    options: Sequence[str]
    steps: Sequence[Group]


def walks(groups: Sequence[Group]) -> list[Walk]:
    """Return the walks that the plan names among a study's groups of runs, in the plan's order.

    Every step keeps only the seeds that all steps with a record have.
    """
    named: dict[str, dict[int, tuple[Place, Group]]] = {}
    for group in groups:
        for place in group.places:
            named.setdefault(place.walk, {})[place.step] = place, group.at(place)
    made = []
    for name, by_number in named.items():
        steps = [by_number[number] for number in sorted(by_number)]
        if _is_walk([place for place, _ in steps]):
            before = [steps[0], *steps]
            options = [_option(*step, earlier) for step, (_, earlier) in zip(steps, before, strict=False)]
            made.append(Walk(name, options, _same_seeds([group for _, group in steps])))
    return made


def _is_walk(places: Sequence[Place]) -> bool:
    """Return whether the steps begin with one that sets no option and follow each other without a gap."""
    whole = [place.step for place in places] == [*range(len(places))]
    return whole and len(places) > 1 and not places[0].option


def _option(place: Place, group: Group, before: Group) -> str:
    """Return the option that a step sets; for a protocol that ends a walk, its name and other options."""
    if place.option or not place.step:
        return place.option.removeprefix("protocol.")
    options, known = _options(group), _options(before)
    left = [f"{name}={_spelled(value)}" for name, value in options.items() if value != known.get(name)]
    return f"{group.protocol}: {', '.join(left) or 'nothing else'}"


def _same_seeds(steps: Sequence[Group]) -> list[Group]:
    """Return the steps with only the seeds that all steps with a complete seed share."""
    complete = [set(step.runs.seeds) for step in steps if step.runs]
    shared = set.intersection(*complete) if complete else set()
    return [step.only(shared) if shared else step for step in steps]


def _options(group: Group) -> dict[str, Any]:
    """Return the options of a group's protocol that can change a result."""
    options = OmegaConf.to_container(group.jobs[0].run.config.protocol)
    assert isinstance(options, dict)
    unused = ("_target_", "name", *Protocol.NOT_USED_BY_METHODS)
    return {str(key): value for key, value in options.items() if key not in unused}


def _spelled(option: object) -> str:
    """Return the value of an option as an override spells it."""
    return str(option).lower() if isinstance(option, bool) else str(option)


def walk_numbers(study: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row for each step: accuracy and change from the step before, with intervals; NaN without.

    The tests of all changes are one family.
    """
    rows: list[dict[str, object]] = []
    changes = []
    for walk in walks(groups):
        for number, (option, step) in enumerate(zip(walk.options, walk.steps, strict=True)):
            change = difference(step.runs, walk.steps[number - 1].runs) if number else None
            changes.append(change)
            lowest, highest = step.extremes("accuracy")
            row: dict[str, object] = {"study": study, "walk": walk.name, "step": number}
            row |= {"option": option or step.protocol, "lowest": lowest, "highest": highest}
            for prefix, estimate in (("", average(step.runs)), ("change_", change)):
                row |= estimate_columns(estimate, prefix=prefix)
                row[f"{prefix}seeds"] = estimate_seeds(estimate)
            rows.append(row)
    return pd.DataFrame([row | read for row, read in zip(rows, readings(changes), strict=True)])


def walk_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``walk_numbers`` as a table."""
    rows = [
        [
            row["walk"],
            row["option"] if row["step"] == 0 or ":" in row["option"] else f"+ {row['option']}",
            with_interval(row["value"], row["low"], row["high"]),
            span(row["lowest"], row["highest"]),
            signed_with_interval(*(row[f"change_{end}"] for end in ENDS)) if row["step"] else "",
            reading_cell(row) if row["step"] else "",
            count(row["seeds"]),
        ]
        for row in numbers.to_dict("records")
    ]
    heads = ["walk", "option", "accuracy", "lowest to highest", "change", "reads", "seeds"]
    title = f"{spelled(study)}: what each option is worth"
    command = f"make reproduce-all STUDIES={study} SERIES=attribution"
    return Table(f"attribution_{study}", title, CAPTION, heads, rows, numbers, command)


ROW, HEAD, FOOT, NAMES, GAP = 0.165, 0.24, 0.4, 2.55, 0.25
"""Inches: height of a step, space above a walk and below the last, width of names, space between panels."""

NARROW_NAMES = 1.95
"""Inches: width of names in a figure for phones."""

PANELS = {"": "accuracy", "change_": "change from the line before"}
"""Start of the names of a panel's columns -> label of its axis."""


@in_style
def walk_figure(numbers: pd.DataFrame, stacked: bool = False) -> Figure:
    """Draw accuracy and change of each step as dots with 95 % intervals, one band for each walk.

    Args:
        numbers: the rows of ``walk_numbers``.
        stacked: whether the changes are below the accuracies, for phones.
    """
    if stacked:
        return _stacked_walks(numbers)
    parts = [part for _, part in numbers.groupby("walk", sort=False)]
    page = Page(sum(HEAD + ROW * len(part) for part in parts) + FOOT + 0.1 * (len(parts) - 1))
    width = (WIDTH - NAMES - GAP - 0.1) / 2
    limits = {prefix: _limits(numbers, prefix) for prefix in PANELS}
    top = 0.0
    for part in parts:
        last = part is parts[-1]
        page.text(0.08, top + 0.06, f"Walk {literal(part['walk'].iloc[0], 80)}", weight="bold")
        for column, (prefix, name) in enumerate(PANELS.items()):
            place = NAMES + column * (width + GAP)
            axes = page.axes(place, top + HEAD, width, ROW * len(part))
            _dots(axes, part, prefix, BATCH_COLOURS[column])
            axes.set_xlim(*limits[prefix])
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


def _stacked_walks(numbers: pd.DataFrame) -> Figure:
    """Draw the accuracies of all walks, below them the changes, each with the names of the steps."""
    parts = [part for _, part in numbers.groupby("walk", sort=False)]
    bands = [HEAD + ROW * len(part) + 0.1 for part in parts]
    page = Page(len(PANELS) * (sum(bands) + FOOT), STACKED)
    top = 0.0
    for column, (prefix, name) in enumerate(PANELS.items()):
        for part, band in zip(parts, bands, strict=True):
            last = part is parts[-1]
            page.text(0.08, top + 0.06, f"Walk {literal(part['walk'].iloc[0], 50)}", weight="bold")
            axes = page.axes(NARROW_NAMES, top + HEAD, STACKED - NARROW_NAMES - 0.1, ROW * len(part))
            _dots(axes, part, prefix, BATCH_COLOURS[column])
            axes.set_xlim(*_limits(numbers, prefix))
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.tick_params(axis="x", labelbottom=last)
            axes.set_xlabel(name if last else "", ha="right", x=1.0)
            options = part["option"].str.removeprefix("protocol.")
            labels = [_label(step, one, 36) for step, one in zip(part["step"], options, strict=True)]
            axes.set_yticks(range(len(part)), labels, size=6.2)
            axes.tick_params(axis="y", length=0)
            if prefix:
                axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
            top += band
        top += FOOT
    return page.figure


def _label(step: int, option: str, most: int = 42) -> str:
    """Return an option with a plus; a whole protocol, at the start or the end, without."""
    protocol, ends, _ = option.partition(":")
    return literal(protocol, most) if ends or step == 0 else f"+ {literal(option, most)}"


def _limits(numbers: pd.DataFrame, prefix: str) -> tuple[float, float]:
    """Return the ends of an axis that holds all intervals."""
    low, high = numbers[f"{prefix}low"].min(), numbers[f"{prefix}high"].max()
    if pd.isna(low) or pd.isna(high):
        return -1.0, 1.0
    room = max(0.05 * (high - low), 0.005)
    return float(low - room), float(high + room)


def _dots(axes: Axes, part: pd.DataFrame, prefix: str, colour: str) -> None:
    """Draw the steps of one walk; a step without a value gets a word."""
    for y, row in enumerate(part.to_dict("records")):
        middle = row[f"{prefix}value"]
        if pd.isna(middle):
            if not (prefix and row["step"] == 0):
                words = "not run" if pd.isna(row["value"]) else MISSING
                axes.text(
                    0.5, y, words, transform=axes.get_yaxis_transform(), ha="center", va="center",
                    style="italic", color=GREY, size=7,
                )  # fmt: skip
            continue
        axes.plot([row[f"{prefix}low"], row[f"{prefix}high"]], [y, y], color=colour, linewidth=1.2)
        axes.plot([middle], [y], marker="o", markersize=3.5, color=colour)
    for y in range(len(part)):
        axes.axhline(y, color=PALE, linewidth=0.3, zorder=0)
    axes.set_ylim(len(part) - 0.5, -0.5)
