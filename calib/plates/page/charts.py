"""The charts of the page of a study, each from the tables of an answer."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from calib.plates.answer import Answer, Choice
from calib.report.exhibits import MISSING
from calib.report.numbers import MINUS, number
from calib.report.page.intervals import interval, ranged, round_ends
from calib.report.page.svg import (
    Row,
    RowChart,
    Scale,
    box,
    class_look,
    grid,
    line,
    mark,
    short,
    tag,
)

MOST_METHODS = 15
"""Most methods in the forest; the table of the comparison has all."""

MOST_GROUPS = 20
"""Most groups of features in the chart of importances."""

SHADE = 0.03
"""Least balanced accuracy that is shown of what shuffled labels reach."""

EMPTY = Markup("")


def forest(answer: Answer) -> Markup:
    """Return the methods' balanced accuracy with intervals, the choice above them; empty without numbers."""
    methods = with_numbers(answer.methods)
    if methods.empty:
        return EMPTY
    choice = answer.choice
    shown = methods.head(MOST_METHODS)
    plain = uncalibrated(methods)
    if plain is not None and plain["method"] not in set(shown["method"]):
        shown = pd.concat([shown.head(MOST_METHODS - 1), plain.to_frame().T])
    columns = ["balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"]
    ends = shown[columns].to_numpy(float).ravel().tolist()
    rows = []
    if choice:
        rows.append(_choice_row(choice))
        ends += [choice.next_plate.low, choice.next_plate.high, choice.nested.value]
        ends.append(choice.floor - SHADE)
    for item in records(shown):
        value, low, high = (float(item[name]) for name in columns)
        chosen = choice is not None and item["method"] == choice.method
        rows.append(_interval_row(str(item["label"]), value, low, high, chosen))
    low, high = round_ends([end for end in ends if math.isfinite(end)])
    floor = choice.floor if choice else math.nan
    none = math.nan if plain is None else float(plain["balanced_accuracy"])

    def behind(scale: Scale, top: float, bottom: float) -> Markup:
        parts = [box(scale.start, top, scale(floor), bottom, "floor")] if math.isfinite(floor) else []
        parts.append(grid(scale, top, bottom))
        if math.isfinite(none):
            parts.append(line(scale(none), top, scale(none), bottom, "dashed"))
        return EMPTY.join(parts)

    notes = []
    if math.isfinite(floor):
        notes.append((floor, f"shaded: up to {number(floor, 2)} with shuffled labels"))
    if math.isfinite(none):
        notes.append((none, f"dashed: no calibration, {number(none, 2)}"))
    title = "Balanced accuracy of the methods on plates whose labels were left out of their training"
    return RowChart(
        "forest",
        title,
        f"{len(shown)} methods, the best first, with 95 % intervals; the table of the comparison has the "
        f"numbers.",
        rows,
        low,
        high,
        "balanced accuracy on left-out plates",
        behind,
        notes,
        numbers="mean (95 % interval)",
    ).draw()


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def with_numbers(methods: pd.DataFrame) -> pd.DataFrame:
    """Return the methods that have numbers."""
    return methods[methods["balanced_accuracy"].notna()] if len(methods) else methods


def uncalibrated(methods: pd.DataFrame) -> pd.Series | None:
    """Return the row of no calibration: the one that has no gain over it; None if it was not compared."""
    has = with_numbers(methods)
    if has.empty or has["gain"].isna().sum() != 1:
        return None
    return has[has["gain"].isna()].iloc[0]


def _choice_row(choice: Choice) -> Row:
    nested, following = choice.nested, choice.next_plate
    known = math.isfinite(nested.low)

    def draw(scale: Scale, y: float) -> Markup:
        parts = []
        if math.isfinite(following.low):
            parts.append(line(scale(following.low), y, scale(following.high), y, "whisker thin"))
        if known:
            parts.append(line(scale(nested.low), y, scale(nested.high), y, "whisker thick"))
        parts.append(mark(3, scale(nested.value), y, "point hollow", 1.25))
        return EMPTY.join(parts)

    tip = f"Picked by the other plates: {ranged(nested.value, nested.low, nested.high)}"
    if math.isfinite(following.low):
        tip += f"; a single further plate: {number(following.low, 2)} to {number(following.high, 2)}"
    value = ranged(nested.value, nested.low, nested.high)
    return Row("Picked by the other plates", value, draw, tip, strong=True)


def _interval_row(label: str, value: float, low: float, high: float, chosen: bool) -> Row:
    def draw(scale: Scale, y: float) -> Markup:
        look = "chosen" if chosen else "other"
        return interval(scale, y, (value, low, high), 3 if chosen else 0, look, 1.25 if chosen else 0.9)

    tip = f"{short(label, 80)}: {ranged(value, low, high)}" + (", the chosen method" if chosen else "")
    return Row(
        f"{label} (chosen)" if chosen else label,
        ranged(value, low, high),
        draw,
        tip,
        chosen,
    )


def gained(value: float) -> str:
    """Return a difference with its sign and two digits."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:+.2f}".replace("-", MINUS) if round(value, 2) else "0.00"


def plate_dots(answer: Answer) -> Markup:
    """Return the balanced accuracy of each labelled plate: the choice, no calibration, all methods."""
    choice = answer.choice
    if choice is None or choice.by_plate.empty:
        return EMPTY
    every = answer.by_plate
    numbers = choice.by_plate[["balanced_accuracy", "none"]].to_numpy(float).ravel()
    numbers = np.concatenate([numbers, every["balanced_accuracy"].to_numpy(float)])
    low, high = round_ends(numbers[np.isfinite(numbers)].tolist())

    def row(item: dict[str, Any]) -> Row:
        here = every.loc[every["plate"] == item["plate"], "balanced_accuracy"].dropna()
        value, none = float(item["balanced_accuracy"]), float(item["none"])

        def draw(scale: Scale, y: float) -> Markup:
            parts = [line(scale(other), y - 5, scale(other), y + 5, "stroke") for other in here]
            if math.isfinite(none):
                parts.append(line(scale(none), y, scale(value), y, "whisker thin"))
                parts.append(mark(0, scale(none), y, "point hollow"))
            parts.append(mark(3, scale(value), y, "point chosen", 1.15))
            return EMPTY.join(parts)

        difference = f", {gained(value - none)}" if math.isfinite(none) else ""
        tip = f"{short(item['plate'], 60)}: {short(item['label'], 60)} {number(value, 2)}"
        tip += f", no calibration {number(none, 2)}"
        return Row(str(item["plate"]), f"{number(value, 2)}{difference}", draw, tip)

    return RowChart(
        "plates",
        "Balanced accuracy on each labelled plate",
        "A row a plate: the pick of the other plates, no calibration, all methods; a table has the numbers.",
        [row(item) for item in records(choice.by_plate)],
        low,
        high,
        "balanced accuracy on the plate",
        grid,
        numbers="the pick, its gain over no calibration",
    ).draw()


def class_counts(answer: Answer) -> Markup:
    """Return the number of samples of each class on each plate."""
    plates = answer.design.plates
    if plates.empty:
        return EMPTY
    columns = [f"n_{name}" for name in answer.classes]

    def row(item: dict[str, Any]) -> Row:
        counts = [int(item[name]) if pd.notna(item.get(name)) else 0 for name in columns]
        known = sum(counts)
        total = max(int(item["samples"]), known)

        def draw(scale: Scale, y: float) -> Markup:
            parts, start = [], 0
            for i, count in enumerate(counts):
                if count:
                    parts.append(
                        box(scale(start), y - 6, scale(start + count), y + 6, f"part {class_look(i)[1]}")
                    )
                start += count
            if known < total:
                parts.append(box(scale(start), y - 6, scale(total), y + 6, "unlabelled"))
            return EMPTY.join(parts)

        named = [
            f"{short(name, 30)} {count}" for name, count in zip(answer.classes, counts, strict=True) if count
        ]
        tip = f"{short(item['plate'], 60)}: " + (
            ", ".join(named) if named else f"{total} samples without labels"
        )
        return Row(str(item["plate"]), str(total) if known else f"{total}, no labels", draw, tip)

    return RowChart(
        "counts",
        "Samples of each class on each plate",
        "A row a plate, its samples by class; a plate without labels has an empty bar. A table has the "
        "numbers.",
        [row(item) for item in records(plates)],
        0.0,
        float(max(plates["samples"].max(), 1)),
        "samples",
        grid,
        numbers="samples",
    ).draw()


def importances(answer: Answer) -> Markup:
    """Return the importance of the first groups of features, with the class that they speak for."""
    features = answer.features
    if features is None or features.groups.empty:
        return EMPTY
    groups = features.groups.head(MOST_GROUPS)
    ends = groups[["importance", "low", "high"]].to_numpy(float).ravel()
    ends = ends[np.isfinite(ends)]
    low, high = min(0.0, float(ends.min())), max(float(ends.max()), 0.01)

    def row(item: dict[str, Any]) -> Row:
        value, start, end = (float(item[name]) for name in ("importance", "low", "high"))
        speaks, look = direction(str(item["direction"]), answer.classes)

        def draw(scale: Scale, y: float) -> Markup:
            first, last = sorted((scale(0.0), scale(value)))
            parts = [box(first, y - 5.5, last, y + 5.5, f"part pale {look}")]
            if math.isfinite(start):
                parts.append(line(scale(start), y, scale(end), y, "whisker thin"))
            return EMPTY.join(parts)

        count = str(item["features"]).count(", ")
        label = short(str(item["features"]).split(", ")[0], 24) + (f" and {count} more" if count else "")
        names = short(item["features"], 160)
        tip = f"{names}: {_three(value)} ({_three(start)} to {_three(end)}), {speaks}"
        return Row(label, _speaks_for(str(item["direction"]), answer.classes), draw, tip)

    return RowChart(
        "importance",
        "Importance of the features",
        f"How far the AUC falls without each of the first {len(groups)} groups; the table has the numbers.",
        [row(item) for item in records(groups)],
        low,
        high,
        "fall of the AUC where the group is shuffled",
        grid,
    ).draw()


def _three(value: float) -> str:
    return number(value, 3)


def direction(sign: str, classes: Sequence[str]) -> tuple[str, str]:
    """Return in words which class high values speak for, and the class's colour."""
    names = list(classes)
    if len(names) == 2 and sign in ("+", "-"):
        sign = names[1] if sign == "+" else names[0]
    if sign in names:
        return f"high values speak for {sign}", class_look(names.index(sign))[1]
    return "it speaks for no single class", "grey"


def _speaks_for(sign: str, classes: Sequence[str]) -> str:
    names = list(classes)
    if len(names) == 2 and sign in ("+", "-"):
        sign = names[1] if sign == "+" else names[0]
    return f"↑ {short(sign, 15)}"


def class_key(answer: Answer) -> list[tuple[str, Markup]]:
    """Return the names of the classes with the colours of their bars."""
    square = "M-5-5H5V5H-5z"
    return [(str(name), key(square, class_look(i)[1])) for i, name in enumerate(answer.classes)]


def key(path: str, look: str) -> Markup:
    """Return a mark for a legend in HTML."""
    drawn = tag("path", d=path, class_=f"fill {look}")
    return tag("svg", drawn, viewBox="-6 -6 12 12", class_="key", aria_hidden="true")
