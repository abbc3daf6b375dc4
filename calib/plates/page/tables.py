"""The tables of the page of a study, as text; the template gives them their look, a script sorts them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from calib.plates.answer import METRICS, Answer, Trust
from calib.plates.page.charts import direction, gained, records
from calib.plates.page.said import likeliest, percent, telling_digits
from calib.report.exhibits import MISSING
from calib.report.numbers import number
from calib.report.page.intervals import ranged
from calib.report.page.svg import class_look
from calib.runs.outcome import ABSTAINED
from calib.shown import one_line

MOST_CALLS = 500
"""Most rows of a table of calls; its CSV file has all."""

FEW_CLASSES = 4
"""Most classes that have columns of their own in the tables of calls."""

MOST_GROUPS = 100
"""Most groups of features in their table."""

LEAST = 22
"""Most letters that a column of names keeps on a line for sure."""

FEW_PLATES = 3
"""Most plates without labels that are columns in the summary of the calls."""

HEAD = 28
"""Columns of type that a heading may take; class names are headings, too."""


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


@dataclass(frozen=True)
class Cell:
    """A cell with a look of its own: its text, the CSS class of its mark, and lines below the text."""

    text: str
    mark: str
    more: Sequence[str] = ()


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
            row.append(_ranged(item, name) if name == "balanced_accuracy" else number(item[name], 2))
        row.insert(2, _gain(float(item["gain"]), float(item["gain_low"]), float(item["gain_high"])))
        if item["refusal"]:
            faded.append(i)
        rows.append(row)
    note = " ".join([
        "In brackets 95\N{NO-BREAK SPACE}% intervals, which draw subjects anew.",
        "The gain is in balanced accuracy, on the same subjects.",
        *(MEANINGS[name] for name in present if name in MEANINGS),
    ])  # fmt: skip
    return Grid("methods", "All methods", heads, rows, _last(1, heads), note, faded=frozenset(faded))


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
        [_name_of(answer, item), *(_ranged(item, name) for name in present), number(item["seconds"], 1)]
        for item in some
    ]
    title = "The other metrics with 95\N{NO-BREAK SPACE}% intervals"
    return Grid("method-intervals", title, heads, rows, _last(1, heads))


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
    return Grid("by-plate", "The pick of the other plates on each plate", heads, rows, _last(2, heads))


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
        "calibration slope",
        "Brier score",
        "answered",
        "wrong of these",
        "true class not ruled out",
        "classes not ruled out",
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
        "Each row is measured with what the other labelled plates have set. Stated are "
        f"{percent(trust.error)} wrong of the answers, and the true class not ruled out for "
        f"{percent(1 - trust.miss)} of the {trust.unit}s. The last column is the mean number of classes that "
        "cannot be ruled out."
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
        f"How often a call of {one_line(positive)[:60]} is right depends on how common that class is where "
        "the call is used: its prevalence. Without prevalence= this is the study's own share of the class; "
        "prevalence=0.1 sets another. The calls, and the probabilities in calls.csv, are not moved to it. "
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
    """Return how many got which answer on each plate without labels.

    A few plates are columns, which leaves names room; of many each is a row.
    """
    title = "Answers on the plates without labels"
    plates = [(str(name), here["answer"].astype(str)) for name, here in calls.groupby("plate", sort=False)]
    if len(plates) <= FEW_PLATES and len(classes) <= FEW_CLASSES:
        heads = ["answer", *(name for name, _ in plates)]
        rows = [[str(name), *(str((here == str(name)).sum()) for _, here in plates)] for name in classes]
        rows.append(["no answer", *(_silent(here) for _, here in plates)])
        rows.append([f"all {unit}s", *(str(len(here)) for _, here in plates)])
        return Grid("called", title, heads, rows, _last(1, heads))
    heads = ["plate", f"{unit}s", "no answer", "answers" if len(classes) <= 3 else "most frequent answers"]
    rows = []
    for name, here in plates:
        counts = here[here != ABSTAINED].value_counts(sort=False)
        counts = counts.sort_values(ascending=False, kind="stable").head(3)
        named = ", ".join(
            f"{count}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}{answer}" for answer, count in counts.items()
        )
        rows.append([name, str(len(here)), _silent(here), named or MISSING])
    return Grid("called", title, heads, rows, frozenset({1, 2}))


def _silent(answers: pd.Series) -> str:
    """Return how many have no answer."""
    silent = int((answers == ABSTAINED).sum())
    return f"{silent} ({percent(silent / len(answers))})" if silent else "0"


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
    note = "The shares are estimated from all probabilities of a plate, also where there is no answer."
    return Grid("mixes", "Estimated mix of the classes", heads, rows, frozenset({2, 3}), note, filtered=0)


def calls_table(
    calls: pd.DataFrame, classes: Sequence[str], unit: str, own: Trust | None, *, single: bool = False
) -> Grid:
    """Return the calls, at most ``MOST_CALLS``, of each plate as many as of the others.

    Args:
        own: what sets the limits of these calls.
        single: whether these limits are not those of the page.
    """
    shown = evenly(calls, MOST_CALLS)
    few, by_subject = len(classes) <= FEW_CLASSES, unit == "subject"
    several = calls["plate"].nunique() > 1
    with_subject = not by_subject and bool((shown["subject"].astype(str) != "").any())
    named = list(classes) if few else []
    heads = [*(["plate"] if several else []), unit, "answer"]
    first = len(heads)
    heads += [f"P({name})" for name in named] or ["P(likeliest)"]
    numeric = frozenset(range(first, len(heads)))
    heads.append("cannot be ruled out")
    heads += ["samples that agree"] if by_subject else ["subject"] if with_subject else []
    numeric |= {len(heads) - 1} if by_subject else frozenset()
    index = {str(name): i for i, name in enumerate(classes)}
    limit = own.confidence if own is not None else math.nan
    digits = telling_digits(limit, likeliest(calls, classes))
    rows, faded = [], []
    for i, item in enumerate(records(shown)):
        call, silent = str(item["call"]), item["answer"] == ABSTAINED
        faded += [i] if silent else []
        odd = ["unusual sample"] if item["unusual"] else []
        row: list[str | Cell] = [str(item["plate"])] if several else []
        row.append(str(item[unit]))
        if silent:
            row.append(Cell("no answer", "abstained", [f"likeliest: {call}", *odd]))
        else:
            row.append(Cell(call, f"fill {class_look(index.get(call, 0))[1]}", odd))
        row += [_beside(float(item[f"calibrated_{name}"]), limit, digits) for name in named or [call]]
        row.append(str(item["set"]) or MISSING)
        if by_subject:
            row.append(f"{round(item['samples'] * item['agree'])} of {item['samples']}")
        elif with_subject:
            row.append(str(item["subject"]))
        rows.append(row)
    note = [
        f"All {len(calls)} {unit}s."
        if len(shown) == len(calls)
        else f"{len(shown)} of {len(calls)} {unit}s, of each plate as many."
    ]
    note.append("P is the calibrated probability of a class.")
    if by_subject:
        note.append("4 of 5: of five samples of a subject, four are called as the subject is.")
    if bool(shown["unusual"].astype(bool).any()):
        note.append(
            "Unusual sample: one lies far from the middle of its plate (Design), so look at its measurement "
            "before you use the call."
        )
    if single and own is not None and own.confidence <= 1:
        note.append(
            f"Single {unit}s have limits of their own, set by {unit}s: a call stands from "
            f"{percent(own.confidence, digits - 2)} on."
        )
    elif single and own is not None:
        note.append(f"No call of a single {unit} stands: none keeps the stated share of errors.")
    title = f"Calls of the {unit}s"
    filtered = 0 if several else None
    return Grid(
        f"calls-{unit}", title, heads, rows, numeric, " ".join(note), filtered, faded=frozenset(faded)
    )


def _beside(value: float, limit: float, digits: int) -> str:
    """Return a probability, with so many digits where two would make it look like the limit of an answer."""
    return number(value, digits if f"{value:.2f}" == f"{limit:.2f}" else 2)


def evenly(calls: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many rows, the first of each plate, and of each plate as many."""
    place = calls.groupby("plate", sort=False).cumcount()
    sizes = calls["plate"].value_counts()
    each = len(calls)
    while sizes.clip(upper=each).sum() > most and each > 1:
        each = each - 1 if each <= most else most
    return calls[place < each].head(most)
