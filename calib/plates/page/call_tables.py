"""The tables of plates without labels: answers by plate, every call, estimated mixes."""

import math
from collections.abc import Sequence

import pandas as pd

from calib.plates.answer import Answer, Trust
from calib.plates.page.charts import records
from calib.plates.page.grid import FEW_CLASSES, MOST_CALLS, Cell, Grid, last
from calib.plates.page.said import likeliest, percent, telling_digits
from calib.report.exhibits import MISSING
from calib.report.numbers import number
from calib.report.page.svg import class_look
from calib.runs.outcome import ABSTAINED

FEW_PLATES = 3
"""Most plates without labels that are columns in the summary of the calls."""


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
        return Grid("called", title, heads, rows, last(1, heads))
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
