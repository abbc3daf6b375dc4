"""The tables of the page of a study, as text; the template gives them their look, a script sorts them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from calib.plates.answer import METRICS, Answer, Trust
from calib.plates.page.charts import direction, gained, records
from calib.plates.page.said import percent
from calib.report.exhibits import MISSING
from calib.report.numbers import number
from calib.report.page.intervals import ranged
from calib.report.page.svg import class_look
from calib.shown import one_line

MOST_CALLS = 500
"""Most rows of a table of calls; its CSV file has all."""

FEW_CLASSES = 4
"""Most classes that have columns of their own in the tables of calls."""

MOST_GROUPS = 100
"""Most groups of features in their table."""

LEAST = 22
"""Most letters that a column of names keeps on a line for sure."""

HEAD = 28
"""Columns of type that a heading may take; class names are headings, too."""


@dataclass(frozen=True)
class Cell:
    """A cell with a look of its own: its text, and the CSS class of its mark."""

    text: str
    mark: str


@dataclass(frozen=True)
class Grid:
    """A table of the page.

    Attributes:
        ident: its name in the page.
        title: what a row is.
        heads: headings; those of numbers are in ``numeric``.
        rows: cells.
        note: a sentence or two below it.
        filtered: number of the column by which rows can be chosen; None: by none.
        faded: numbers of rows that are set in grey.
    """

    ident: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    numeric: frozenset[int] = frozenset()
    note: str = ""
    filtered: int | None = None
    faded: frozenset[int] = field(default_factory=frozenset)

    @property
    def tall(self) -> bool:
        """Whether it has so many rows that it scrolls in a box of its own."""
        return len(self.rows) > 24

    @cached_property
    def least(self) -> list[int]:
        """The least width of each column of names, in letters with its margins; 0: that of its text."""
        widths = []
        for i, head in enumerate(self.heads):
            longest = max([len(head) + 2, *(len(_plain(row[i])) for row in self.rows)])
            widths.append(0 if i in self.numeric else min(longest, LEAST) + 2)
        return widths

    @cached_property
    def looks(self) -> list[str]:
        """The CSS class of each column."""
        texts = [[_plain(row[i]) for row in self.rows] for i in range(len(self.heads))]
        return [
            "number" if i in self.numeric else "long" if any(len(text) > 34 for text in column) else "name"
            for i, column in enumerate(texts)
        ]


def _plain(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _last(first: int, heads: Sequence[str]) -> frozenset[int]:
    """Return the numbers of the columns from ``first`` on."""
    return frozenset(range(first, len(heads)))


def _whole(value: object) -> str:
    """Return a count, or a dash."""
    return MISSING if pd.isna(value) else str(int(value))  # type: ignore[call-overload]


def plates_table(answer: Answer) -> Grid:
    """Return the plates: samples, subjects and classes."""
    table = answer.design.plates
    has_subjects = bool(len(table)) and bool(table["subjects"].notna().any())
    heads = ["plate", "labels", "samples", *(["subjects"] if has_subjects else []), *answer.classes]
    rows = []
    for item in records(table):
        row = [str(item["plate"]), "yes" if item["labelled"] else "no", _whole(item["samples"])]
        row += [_whole(item["subjects"])] if has_subjects else []
        rows.append([*row, *(_whole(item.get(f"n_{name}")) for name in answer.classes)])
    return Grid("plates-table", "Plates", heads, rows, _last(2, heads))


def data_table(ident: str, title: str, table: pd.DataFrame) -> Grid:
    """Return any table; numbers get at most three digits."""
    numeric = frozenset(i for i, kind in enumerate(table.dtypes) if pd.api.types.is_numeric_dtype(kind))
    rows = [
        [_any(value) for value in row] for row in table.head(MOST_CALLS).itertuples(index=False, name=None)
    ]
    return Grid(ident, title, [str(name) for name in table.columns], rows, numeric)


def _any(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e9:
            return number(value, 0)
        return number(value, 3) if math.isfinite(value) else MISSING
    return str(value)


def methods_table(answer: Answer) -> Grid:
    """Return the comparison: each method's metrics, its gain and its time; refused ones last."""
    present = [name for name in METRICS if name in answer.methods and answer.methods[name].notna().any()]
    heads = ["method", *(METRICS[name] for name in present), "seconds"]
    heads.insert(2, "gain in balanced accuracy")
    rows, faded = [], []
    for i, item in enumerate(records(answer.methods)):
        label = str(item["label"])
        if answer.choice and item["method"] == answer.choice.method:
            label += " (chosen)"
        row = [label]
        for name in present:
            row.append(ranged(float(item[name]), float(item[f"{name}_low"]), float(item[f"{name}_high"])))
        row.insert(2, _gain(float(item["gain"]), float(item["gain_low"]), float(item["gain_high"])))
        row.append(number(item["seconds"], 1))
        if item["refusal"]:
            faded.append(i)
        rows.append(row)
    note = (
        "In brackets 95\N{NO-BREAK SPACE}% intervals, which draw subjects anew. Brier score: lower is "
        "better; "
        "calibration slope: 1 is right, below 1 is too sure. The gain is that over no calibration, on the "
        "same subjects."
    )
    return Grid("methods", "All methods", heads, rows, _last(1, heads), note, faded=frozenset(faded))


def _gain(value: float, low: float, high: float) -> str:
    if not math.isfinite(low):
        return gained(value)
    return f"{gained(value)} ({gained(low)} to {gained(high)})"


def by_plate_table(answer: Answer) -> Grid | None:
    """Return what the other plates choose for each plate, and what it reaches there."""
    if answer.choice is None or answer.choice.by_plate.empty:
        return None
    heads = ["plate", "chosen by the others", "balanced accuracy", "no calibration", "difference"]
    rows = []
    for item in records(answer.choice.by_plate):
        value, none = float(item["balanced_accuracy"]), float(item["none"])
        numbers = [number(value, 2), number(none, 2), gained(value - none)]
        rows.append([str(item["plate"]), str(item["label"]), *numbers])
    return Grid("by-plate", "The choice on each plate", heads, rows, _last(2, heads))


def every_plate_table(answer: Answer) -> Grid | None:
    """Return the balanced accuracy of every method on every labelled plate, in the comparison's order."""
    if answer.by_plate.empty:
        return None
    wide = answer.by_plate.pivot_table("balanced_accuracy", "method", "plate", sort=False)
    labels = answer.by_plate.drop_duplicates("method").set_index("method")["label"]
    rows = [
        [str(labels[name]), *(number(v, 2) for v in row)]
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    heads = ["method", *map(str, wide.columns)]
    return Grid(
        "every-plate", "Balanced accuracy of every method on every plate", heads, rows, _last(1, heads)
    )


def trust_table(trust: Trust) -> Grid:
    """Return how the stated errors and sets held on each left-out plate."""
    heads = [
        "plate",
        f"{trust.unit}s",
        "slope",
        "Brier score",
        "answered",
        "wrong of these",
        "in the set",
        "set size",
    ]
    rows = [
        [
            str(item["plate"]),
            _whole(item["units"]),
            *(number(item[name], 2) for name in ("slope", "brier")),
            *(_share(float(item[name])) for name in ("answered", "error", "coverage")),
            number(item["set_size"], 2),
        ]
        for item in records(trust.plates)
    ]
    note = (
        "Each row is measured with what the other labelled plates have set. Slope: 1 is right, below 1 is "
        "too "
        f"sure. Stated are {percent(trust.error)} wrong of the answers, and {percent(1 - trust.miss)} in "
        f"the set."
    )
    return Grid("trust-plates", "What was stated, and what happened", heads, rows, _last(1, heads), note)


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else MISSING


def reliability_table(trust: Trust) -> Grid:
    """Return the numbers of the reliability diagram."""
    heads = ["stated confidence", "share of right answers", f"{trust.unit}s"]
    rows = [
        [number(item["confidence"], 2), number(item["accuracy"], 2), _whole(item["count"])]
        for item in records(trust.reliability)
    ]
    return Grid("reliability-table", "Stated confidence and right answers", heads, rows, _last(0, heads))


def values_table(trust: Trust, positive: str) -> Grid | None:
    """Return the predictive values by prevalence; None with more than two classes."""
    if trust.values.empty:
        return None
    names = {
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ppv": "positive predictive value",
        "npv": "negative predictive value",
    }
    heads = ["prevalence", *names.values()]
    rows = [
        [_fine(float(item["prevalence"])), *(_ranged(item, name) for name in names)]
        for item in records(trust.values)
    ]
    note = (
        f"What a call of {one_line(positive)[:60]} means depends on how common it is where it is used. "
        "In brackets 95\N{NO-BREAK SPACE}% intervals."
    )
    return Grid("values", "Predictive values by prevalence", heads, rows, _last(0, heads), note)


def _ranged(item: dict[str, float], name: str) -> str:
    return ranged(float(item[name]), float(item[f"{name}_low"]), float(item[f"{name}_high"]))


def _fine(share: float) -> str:
    """Return a share in per cent, with a digit more where it is small."""
    return f"{100 * share:.3g} %"


def benefit_table(trust: Trust) -> Grid | None:
    """Return about ten rows of the net benefit; None with more than two classes."""
    table = trust.benefit
    if table.empty:
        return None
    heads = ["threshold", "the model", "everybody", "nobody"]
    rows = [
        [number(item["threshold"], 2), *(number(item[name], 3) for name in ("model", "all", "none"))]
        for item in records(table.iloc[:: max(len(table) // 10, 1)])
    ]
    return Grid("benefit-table", "Net benefit", heads, rows, _last(0, heads))


def groups_table(answer: Answer) -> Grid | None:
    """Return the groups of features with their importance."""
    features = answer.features
    if features is None or features.groups.empty:
        return None
    heads = ["group", "features", "fall of the AUC", "direction", "among the first ten"]
    rows = [
        [
            _whole(item["group"]),
            str(item["features"]),
            f"{number(item['importance'])} ({number(item['low'])} to {number(item['high'])})",
            direction(str(item["direction"]), answer.classes)[0],
            f"{_share(float(item['stable']))} of plates",
        ]
        for item in records(features.groups.head(MOST_GROUPS))
    ]
    note = "In brackets the lowest and the highest over plates."
    if len(features.groups) > MOST_GROUPS:
        note += f" The first {MOST_GROUPS} of {len(features.groups)} groups."
    return Grid("groups", "Groups of features", heads, rows, frozenset({0, 2, 4}), note)


def markers_table(answer: Answer) -> Grid | None:
    """Return the features that tell a class from the others."""
    features = answer.features
    if features is None or features.markers.empty:
        return None
    heads = ["class", "feature", "AUC against the others", "plates with this direction"]
    rows = [
        [str(item["class"]), str(item["feature"]), number(item["auc"], 2), _share(float(item["plates"]))]
        for item in records(features.markers.head(MOST_CALLS))
    ]
    return Grid("markers", "Features that tell a class from the others", heads, rows, _last(2, heads))


def called_table(calls: pd.DataFrame, classes: Sequence[str], unit: str) -> Grid:
    """Return how many got which answer on each plate without labels."""
    few = len(classes) <= FEW_CLASSES
    heads = ["plate", f"{unit}s", "no answer", *(classes if few else ["most frequent answers"])]
    rows = []
    for plate, here in calls.groupby("plate", sort=False):
        counts = here["answer"].astype(str).value_counts()
        silent = int((here["answer"] == "abstained").sum())
        row = [str(plate), str(len(here)), f"{silent} ({percent(silent / len(here))})"]
        if few:
            row += [str(int(counts.get(str(name), 0))) for name in classes]
        else:
            named = counts.drop("abstained", errors="ignore")
            row.append(", ".join(f"{name} {count}" for name, count in named.head(3).items()) or MISSING)
        rows.append(row)
    numeric = _last(1, heads) if few else frozenset({1, 2})
    return Grid("called", "Answers on the plates without labels", heads, rows, numeric)


def mixes_table(answer: Answer) -> Grid | None:
    """Return the estimated shares of the classes on plates without labels."""
    if answer.mixes.empty:
        return None
    heads = ["plate", "class", "share", "95\N{NO-BREAK SPACE}% interval"]
    rows = [
        [
            str(item["plate"]),
            str(item["class"]),
            percent(float(item["share"])),
            f"{percent(float(item['low']))} to {percent(float(item['high']))}",
        ]
        for item in records(answer.mixes.head(MOST_CALLS))
    ]
    note = "The shares are estimated from all probabilities of a plate, those of units without an answer too."
    return Grid("mixes", "Estimated mix of the classes", heads, rows, frozenset({2, 3}), note, filtered=0)


def calls_table(calls: pd.DataFrame, classes: Sequence[str], unit: str, own: Trust | None = None) -> Grid:
    """Return the calls, at most ``MOST_CALLS``, of each plate as many as of the others.

    Args:
        own: what sets the limits of these calls, where it is not that of the page.
    """
    shown = evenly(calls, MOST_CALLS)
    few = len(classes) <= FEW_CLASSES
    with_subject = unit == "sample" and bool((shown["subject"].astype(str) != "").any())
    heads = ["plate", *(["subject"] if with_subject or unit == "subject" else [])]
    heads += ["samples"] if unit == "subject" else ["sample"]
    heads.append("answer")
    first = len(heads)
    heads += [f"P({name})" for name in classes] if few else ["P(likeliest)"]
    heads.append("cannot be ruled out")
    index = {str(name): i for i, name in enumerate(classes)}
    rows, faded = [], []
    for i, item in enumerate(records(shown)):
        row: list[str | Cell] = [str(item["plate"])]
        row += [str(item["subject"])] if "subject" in heads else []
        row.append(_whole(item["samples"]) if unit == "subject" else str(item["sample"]))
        call = str(item["call"])
        if item["answer"] == "abstained":
            faded.append(i)
            row.append(Cell(f"no answer (likeliest: {call})", "abstained"))
        else:
            row.append(Cell(call, f"fill {class_look(index.get(call, 0))[1]}"))
        row += [number(item[f"calibrated_{name}"], 2) for name in (classes if few else [call])]
        rows.append([*row, str(item["set"]) or MISSING])
    numeric = frozenset(range(first, len(heads) - 1)) | ({2} if unit == "subject" else frozenset())
    note = (
        f"All {len(calls)} {unit}s."
        if len(shown) == len(calls)
        else f"{len(shown)} of {len(calls)} {unit}s, of each plate as many."
    )
    if own is not None and own.confidence <= 1:
        note += (
            f" Single {unit}s have limits of their own, set by {unit}s: a call stands from "
            f"{percent(own.confidence)} on."
        )
    elif own is not None:
        note += f" No call of a single {unit} stands: none keeps the stated share of errors."
    title = f"Calls of the {unit}s"
    return Grid(f"calls-{unit}", title, heads, rows, numeric, note, filtered=0, faded=frozenset(faded))


def evenly(calls: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many rows, the first of each plate, and of each plate as many."""
    place = calls.groupby("plate", sort=False).cumcount()
    sizes = calls["plate"].value_counts()
    each = len(calls)
    while sizes.clip(upper=each).sum() > most and each > 1:
        each = each - 1 if each <= most else most
    return calls[place < each].head(most)
