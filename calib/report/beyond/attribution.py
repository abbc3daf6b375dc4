"""Attribution: what each difference between text, code and correction is worth, one option more at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf

from calib.evaluation.intervals import Estimate
from calib.protocol import Protocol
from calib.report.beyond.comparison import interval, value
from calib.report.exhibits import MISSING, Table
from calib.report.figures.layout import Page
from calib.report.figures.style import BATCH_COLOURS, GREY, PALE, WIDTH, in_style, literal
from calib.report.groups import Group, average, difference
from calib.report.paper import spelled
from calib.runs.series import Place

CAPTION = (
    "The joint model; every line has one option more than the line before. Accuracy: mean over target "
    "batches of the mean over their splits, of the seeds that all lines of a walk have; change: from the "
    "line before, paired by subject and seed. 95 % intervals of a bootstrap of whole subjects and of seeds; "
    "with one seed they hold the subjects only. What an option is worth depends on those set before it: "
    "from the released code the same corrections are taken in two orders, from the text in one. The last "
    "line of a walk is a whole protocol where few options are left to it, or the line of another walk "
    "that it comes to."
)


@dataclass(frozen=True)
class Walk:
    """Groups of runs that each set one option more; ``options`` names the option of each step."""

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
    for name, found in named.items():
        steps = [found[number] for number in sorted(found)]
        if _is_walk([place for place, _ in steps]):
            before = [steps[0], *steps]
            options = [_option(*step, earlier) for step, (_, earlier) in zip(steps, before, strict=False)]
            made.append(Walk(name, options, _same_seeds([group for _, group in steps])))
    return made


def _is_walk(places: Sequence[Place]) -> bool:
    """Return whether the first place is a start, that sets no option, and others follow it without a gap."""
    whole = [place.step for place in places] == [*range(len(places))]
    return whole and len(places) > 1 and not places[0].option


def _option(place: Place, group: Group, before: Group) -> str:
    """Return the option that a step sets; of a protocol that ends a walk, its name and the options left."""
    if place.option or not place.step:
        return place.option.removeprefix("protocol.")
    theirs, ours = _options(group), _options(before)
    left = [f"{name}={_spelled(theirs[name])}" for name in theirs if theirs[name] != ours.get(name)]
    return f"{group.protocol}: {', '.join(left) or 'nothing else'}"


def _same_seeds(steps: Sequence[Group]) -> list[Group]:
    """Return the steps with only the seeds that all of them have, of those that have any."""
    complete = [set(step.runs) for step in steps if step.runs]
    shared = set.intersection(*complete) if complete else set()
    return [step.only(shared) if shared else step for step in steps]


def _options(group: Group) -> dict[str, Any]:
    """Return the options of a group's protocol that can change a result."""
    options = OmegaConf.to_container(group.jobs[0].run.config.protocol)
    assert isinstance(options, dict)
    unused = ("_target_", "name", *Protocol.NOT_USED_BY_METHODS)
    return {str(key): value for key, value in options.items() if key not in unused}


def _spelled(option: object) -> str:
    return str(option).lower() if isinstance(option, bool) else str(option)


def walk_numbers(study: str, groups: Sequence[Group]) -> pd.DataFrame:
    """One row a step: accuracy and change from the step before, each with its interval; NaN is missing."""
    rows = []
    for walk in walks(groups):
        for number, (option, step) in enumerate(zip(walk.options, walk.steps, strict=True)):
            change = difference(step.runs, walk.steps[number - 1].runs) if number else None
            row = {"study": study, "walk": walk.name, "step": number, "option": option or step.protocol}
            row |= _columns("", average(step.runs)) | _columns("change_", change)
            rows.append(row)
    return pd.DataFrame(rows)


def _columns(start: str, found: Estimate | None) -> dict[str, float]:
    if found is None:
        return {f"{start}{name}": np.nan for name in ("value", "low", "high")} | {f"{start}seeds": 0}
    return {f"{start}{name}": part for name, part in vars(found).items()}


def walk_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text."""
    rows = [
        [
            row["walk"],
            row["option"] if row["step"] == 0 or ":" in row["option"] else f"+ {row['option']}",
            value(row["value"])
            + ("" if pd.isna(row["value"]) else f" [{value(row['low'])}, {value(row['high'])}]"),
            interval(row["change_value"], row["change_low"], row["change_high"]) if row["step"] else "",
            str(row["seeds"]) if row["seeds"] else MISSING,
        ]
        for row in numbers.to_dict("records")
    ]
    heads = ["walk", "option", "accuracy", "change", "seeds"]
    title = f"{spelled(study)}: what each option is worth"
    command = f"make reproduce-all STUDIES={study} SERIES=attribution"
    return Table(f"attribution_{study}", title, CAPTION, heads, rows, numbers, command)


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
