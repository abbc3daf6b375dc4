"""Attribution: what each difference between text, code and correction is worth, one option more at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from calib.report.groups import Setting, average, difference
from calib.report.paper import spelled

SHORTEST = 3
"""Steps from which runs that differ by one option more at a time are a walk, not single options."""

REST = 3
"""Most options by which a walk's end may differ from a whole protocol that then is its last step."""

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
    """A start and settings with one option more each; ``options`` says which, "" for the start."""

    name: str
    options: Sequence[str]
    steps: Sequence[Setting]


def walks(found: Sequence[Setting]) -> list[Walk]:
    """The walks among a study's settings of the joint model, in the order in which they were planned."""
    joint = {
        (one.protocol, *one.variant.split()): one
        for one in found
        if one.method == "joint" and all(word.startswith("protocol.") for word in one.variant.split())
    }
    made = []
    for place in joint:
        path = [place[:length] for length in range(1, len(place) + 1)]
        extended = any(other[:-1] == place for other in joint)
        if len(path) > SHORTEST and not extended and all(part in joint for part in path):
            options = ["", *(word.removeprefix("protocol.") for word in place[1:])]
            steps = [joint[part] for part in path]
            meeting = _meeting(joint, place)
            closing = None if meeting else _closing(joint, steps[-1])
            name = f"from {place[0]} on"
            if meeting is not None:
                (option,) = set(meeting) - set(place)
                options.append(option.removeprefix("protocol."))
                steps.append(joint[meeting])
            if closing is not None:
                end, left = closing
                options.append(f"{end.protocol}: {', '.join(left) or 'nothing else'}")
                steps.append(end)
                name = f"{place[0]} to {end.protocol}"
            seeds = {int(job.run.config.seed) for job in joint[path[1]].jobs}
            made.append(Walk(name, options, _same_seeds([step.only(seeds) for step in steps])))
    names = [walk.name for walk in made]
    return [
        replace(walk, name=f"{walk.name}, {walk.options[1]} first") if names.count(walk.name) > 1 else walk
        for walk in made
    ]


def _meeting(joint: Mapping[tuple[str, ...], Setting], place: tuple[str, ...]) -> tuple[str, ...] | None:
    """The step of another walk with one option more: in another order the same runs, planned once."""
    longer = (other for other in joint if other[0] == place[0] and len(other) == len(place) + 1)
    return next((other for other in longer if set(other) > set(place)), None)


def _same_seeds(steps: Sequence[Setting]) -> list[Setting]:
    """The steps with the seeds only that all of them have, of those that have any."""
    complete = [set(step.runs) for step in steps if step.runs]
    shared = set.intersection(*complete) if complete else set()
    return [step.only(shared) if shared else step for step in steps]


def _closing(joint: Mapping[tuple[str, ...], Setting], last: Setting) -> tuple[Setting, list[str]] | None:
    """The whole protocol, another than the start's, that is nearly reached, and the options left to it."""
    ends = []
    for place, end in joint.items():
        if len(place) == 1 and end.protocol != last.protocol:
            theirs, ours = _options(end), _options(last)
            left = [f"{name}={_spelled(theirs[name])}" for name in theirs if theirs[name] != ours.get(name)]
            ends.append((len(left), end, left))
    few, end, left = min(ends, key=lambda one: one[0], default=(REST + 1, last, []))
    return (end, left) if few <= REST else None


def _options(one: Setting) -> dict[str, Any]:
    options = OmegaConf.to_container(one.jobs[0].run.config.protocol)
    assert isinstance(options, dict)
    unused = ("_target_", "name", *Protocol.NOT_USED_BY_METHODS)
    return {str(key): value for key, value in options.items() if key not in unused}


def _spelled(option: object) -> str:
    return str(option).lower() if isinstance(option, bool) else str(option)


def walk_numbers(study: str, found: Sequence[Setting]) -> pd.DataFrame:
    """One row a step: accuracy and change from the step before, each with its interval; NaN is missing."""
    rows = []
    for walk in walks(found):
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
