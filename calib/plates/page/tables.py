"""The tables of the page of a study, as text; the template gives them their look, a script sorts them."""

import math
from collections.abc import Mapping

import pandas as pd

from calib.plates.answer import METRICS, Answer
from calib.plates.page.charts import direction, gained, records
from calib.plates.page.grid import MOST_CALLS, Grid, last, whole
from calib.plates.page.trust_tables import in_brackets, shared
from calib.report.exhibits import MISSING
from calib.report.numbers import number

MOST_GROUPS = 100
"""Most groups of features in their table."""

CHECKS = {
    "layout": "samples and subjects of each class on each plate",
    "association": "how far class and plate go together",
    "copies": "samples that were measured twice",
    "columns": "columns that are hardly measurements",
    "detection": "missing values and zeros",
    "order": "drift along the order of measurement",
    "outlying_samples": "samples far from the middle of their plate",
    "outlying_plates": "plates far from the others",
    "sizes": "what so many samples can show",
    "mixes": "the class mix of each plate",
}
"""Check of the design -> what its table is about; others keep their names."""

HEADS = {"v": "Cramér's V (0: unrelated, 1: the same)"}
"""Column of a check's table -> its heading, where the name alone says too little."""


def plates_table(answer: Answer) -> Grid:
    """Return the plates: samples, subjects and classes."""
    table = answer.design.plates
    has_subjects = bool(len(table)) and bool(table["subjects"].notna().any())
    heads = ["plate", "labels", "samples", *(["subjects"] if has_subjects else []), *answer.classes]
    rows = []
    for item in records(table):
        row = [str(item["plate"]), "yes" if item["labelled"] else "no", whole(item["samples"])]
        row += [whole(item["subjects"])] if has_subjects else []
        rows.append([*row, *(whole(item.get(f"n_{name}")) for name in answer.classes)])
    return Grid("plates-table", "Plates", heads, rows, last(2, heads))


def data_table(ident: str, title: str, table: pd.DataFrame) -> Grid:
    """Return any table; numbers get at most three digits."""
    numeric = frozenset(i for i, kind in enumerate(table.dtypes) if pd.api.types.is_numeric_dtype(kind))
    rows = [
        [_any(value) for value in row] for row in table.head(MOST_CALLS).itertuples(index=False, name=None)
    ]
    heads = [HEADS.get(str(name), str(name).replace("_", " ")) for name in table.columns]
    return Grid(ident, title, heads, rows, numeric)


def _any(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e9:
            return number(value, 0)
        return number(value, 3) if math.isfinite(value) else MISSING
    return str(value)


def methods_table(answer: Answer) -> Grid:
    """Return the comparison: each method's metrics and its gain; refused ones last."""
    present = _present(answer)
    heads = ["method", *(METRICS[name] for name in present)]
    heads.insert(2, "gain over no calibration")
    rows, faded = [], []
    for i, item in enumerate(records(answer.methods)):
        row = [_name_of(answer, item)]
        for name in present:
            row.append(in_brackets(item, name) if name == "balanced_accuracy" else number(item[name], 2))
        row.insert(2, _gain(float(item["gain"]), float(item["gain_low"]), float(item["gain_high"])))
        if item["refusal"]:
            faded.append(i)
        rows.append(row)
    note = " ".join([
        "In brackets 95\N{NO-BREAK SPACE}% intervals, which draw subjects anew.",
        "The gain is in balanced accuracy, on the same subjects.",
        *(MEANINGS[name] for name in present if name in MEANINGS),
    ])  # fmt: skip
    return Grid("methods", "All methods", heads, rows, last(1, heads), note, faded=frozenset(faded))


MEANINGS = {
    "balanced_accuracy": "Balanced accuracy: share of right calls, mean over the classes.",
    "auc": "AUC: how often a sample of a class gets a higher probability of it than one of another class; "
    "0.5 is chance.",
    "mcc": "MCC: correlation of call and class; 0 is chance.",
    "sensitivity": "Sensitivity and specificity: share of right calls in the positive and in the negative "
    "class.",
    "brier": "Brier score: squared distance of the probabilities from the truth; 0 is best.",
    "slope": "Calibration slope: 1 where probabilities mean what they say, below 1 where they are too sure.",
}
"""Metric -> what it is, where it first appears."""


def intervals_table(answer: Answer) -> Grid:
    """Return the comparison's other metrics with their intervals, and the time of a run."""
    present = [name for name in _present(answer) if name != "balanced_accuracy"]
    heads = ["method", *(METRICS[name] for name in present), "seconds a run"]
    some = [item for item in records(answer.methods) if not item["refusal"]]
    rows = [
        [_name_of(answer, item), *(in_brackets(item, name) for name in present), number(item["seconds"], 1)]
        for item in some
    ]
    title = "The other metrics with 95\N{NO-BREAK SPACE}% intervals"
    return Grid("method-intervals", title, heads, rows, last(1, heads))


def _present(answer: Answer) -> list[str]:
    """Return the metrics that some method has."""
    return [name for name in METRICS if name in answer.methods and answer.methods[name].notna().any()]


def _name_of(answer: Answer, item: Mapping[str, object]) -> str:
    """Return the name of a method, with a word where it is the chosen one."""
    chosen = answer.choice is not None and item["method"] == answer.choice.method
    return f"{item['label']} (chosen)" if chosen else str(item["label"])


def _gain(value: float, low: float, high: float) -> str:
    if not math.isfinite(low):
        return gained(value)
    return f"{gained(value)} ({gained(low)} to {gained(high)})"


def by_plate_table(answer: Answer) -> Grid | None:
    """Return what the other plates choose for each plate, and what it reaches there."""
    if answer.choice is None or answer.choice.by_plate.empty:
        return None
    heads = ["plate", "picked by the others", "balanced accuracy", "no calibration", "difference"]
    rows = []
    for item in records(answer.choice.by_plate):
        value, none = float(item["balanced_accuracy"]), float(item["none"])
        numbers = [number(value, 2), number(none, 2), gained(value - none)]
        rows.append([str(item["plate"]), str(item["label"]), *numbers])
    return Grid("by-plate", "The pick of the other plates on each plate", heads, rows, last(2, heads))


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
        "every-plate", "Balanced accuracy of every method on every plate", heads, rows, last(1, heads)
    )


def groups_table(answer: Answer) -> Grid | None:
    """Return the groups of features with their importance."""
    features = answer.features
    if features is None or features.groups.empty:
        return None
    heads = ["group", "features", "fall of the AUC", "direction", "among the first ten"]
    rows = [
        [
            whole(item["group"]),
            str(item["features"]),
            f"{number(item['importance'])} ({number(item['low'])} to {number(item['high'])})",
            direction(str(item["direction"]), answer.classes)[0],
            f"{shared(float(item['stable']))} of plates",
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
        [str(item["class"]), str(item["feature"]), number(item["auc"], 2), shared(float(item["plates"]))]
        for item in records(features.markers.head(MOST_CALLS))
    ]
    return Grid("markers", "Features that tell a class from the others", heads, rows, last(2, heads))
