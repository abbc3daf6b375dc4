"""The tables of the section on class mixes and sizes."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from calib.report.exhibits import MISSING, Table
from calib.report.mixes.scores import OWN
from calib.report.numbers import number, signed, span, with_interval
from calib.report.paper import spelled

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
SIZES = (1, 2, 5, 10, 20, 50, 100)

ERROR = "calibration_error"
"""The metric of which less is better."""

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "accuracy": "accuracy",
    ERROR: "calibration error",
}
"""Metric -> its name in titles."""

CAPTION = (
    "Mean over target plates of the mean over splits. Targets are drawn by subject, the same rows "
    "for all methods, and smaller than they are: compare within this table only. Fall: the value at 50 % "
    "less the worse one of 10 and 90 %. † uses target labels: a bound, no method. In brackets: 95 % by "
    "subject."
)


def share_table(numbers: pd.DataFrame, metric: str, kind: str, command: str) -> Table | None:
    """Return a metric of every method at every share of cases, or None where nothing of it is recorded.

    Args:
        numbers: the rows of ``scores.mix_numbers``.
        metric: a key of ``METRICS``.
        kind: ``mix``; ``again``: another draw; or ``opposite``: the sources have the opposite share.
        command: the command that makes the runs.
    """
    own = numbers[numbers["kind"] == kind] if len(numbers) else numbers
    if own.empty:
        return None
    rows, made = [], []
    for (study, method, variant), part in own.groupby(["study", "method", "variant"], sort=False):
        at = part.set_index("at")
        values = {share: at[metric].get(share, np.nan) for share in SHARES}
        fall = values[0.5] - (max if metric == ERROR else min)(values[0.1], values[0.9])
        made.append({"study": study, "method": method, "variant": variant} | values | {"fall": fall})
        ends = [at[f"{metric}{end}"].get(0.5, np.nan) for end in ("_low", "_high") if f"{metric}{end}" in at]
        between = f" ({span(*ends)})" if len(ends) == 2 and np.isfinite(ends).all() else ""
        cells = [_cell(value) + (between if share == 0.5 else "") for share, value in values.items()]
        mark = " †" * bool(part["uses_target_labels"].iloc[0])
        rows.append([str(study), str(part["name"].iloc[0]) + mark, *cells, _cell(fall, signed)])
    title = f"{METRICS[metric][0].upper()}{METRICS[metric][1:]} by share of cases in the target"
    title += {"opposite": ", sources of the opposite share", "again": ", another draw"}.get(kind, "")
    heads = ["study", "method", *(f"{share:.0%}" for share in SHARES), "fall"]
    return Table(f"mix_{kind}_{metric}", title, CAPTION, heads, rows, pd.DataFrame(made), command)


def own_table(numbers: pd.DataFrame, command: str) -> Table | None:
    """Return the metrics of the same methods where targets are as they are, or None without any."""
    own = numbers[numbers["kind"] == OWN] if len(numbers) else numbers
    if own.empty:
        return None
    rows = [
        [
            str(row["study"]),
            str(row["name"]) + " †" * bool(row["uses_target_labels"]),
            with_interval(*(row[f"balanced_accuracy{end}"] for end in ("", "_low", "_high"))),
            *(number(row[metric]) for metric in ("auc", "accuracy", "calibration_error")),
        ]
        for row in own.to_dict("records")
    ]
    caption = (
        "Mean over targets of the mean over splits, targets as they are; in brackets 95 % by subject. † uses "
        "target labels: a bound, no method."
    )
    heads = ["study", "method", *METRICS.values()]
    return Table("mix_own", "The studies' own class mixes", caption, heads, rows, own, command)


def size_table(numbers: pd.DataFrame, command: str) -> Table | None:
    """Return the balanced accuracy by the size of the target, or None without any."""
    own = numbers[numbers["kind"] == "size"] if len(numbers) else numbers
    if own.empty:
        return None
    rows, made = [], []
    for (study, method, variant), part in own.groupby(["study", "method", "variant"], sort=False):
        at = part.set_index("at")["balanced_accuracy"]
        values = {size: at.get(float(size), np.nan) for size in SIZES}
        made.append({"study": study, "method": method, "variant": variant} | values)
        rows.append([str(study), str(part["name"].iloc[0]), *map(_cell, values.values())])
    caption = (
        "Balanced accuracy over all parts of a target together, mean over targets of the mean over splits. "
        "Each target is cut into at most 100 parts of so many subjects, and each part is a batch of its own. "
        "–: too few subjects, or the method refuses a batch of one."
    )
    heads = ["study", "method", *map(str, SIZES)]
    return Table("mix_sizes", "Size of the target", caption, heads, rows, pd.DataFrame(made), command)


def estimate_table(numbers: pd.DataFrame, command: str) -> Table | None:
    """Return how far off the estimated mix is, or None without any."""
    if numbers.empty:
        return None
    rows = [
        [
            str(row["study"]),
            "as they are" if np.isnan(row["share"]) else f"{row['share']:.0%}",
            "opposite" if row["sources"] == "opposite" else "as they are",
            number(row["error"]),
            number(row["covered"], 2),
            str(row["targets"]),
        ]
        for row in numbers.to_dict("records")
    ]
    caption = (
        "Root mean square of the estimated less the true share, over classes, targets, splits and draws, and "
        "the share of nominal .95 intervals that hold the truth."
    )
    heads = ["study", "share of cases", "sources", "error", "covered", "shares"]
    return Table("mix_estimate", "The estimate of the class mix", caption, heads, rows, numbers, command)


def choice_table(log: pd.DataFrame) -> Table:
    """Return every setting that scripts/choose_mix.py has tried, and the field's estimators of a mix.

    Args:
        log: the rows of docs/results/mix_choice.csv.
    """
    settings = ["offset", "temper", "prior", "own", "shrink"]
    ours = log[log["estimator"].isna()]
    rows = []
    for values, part in ours.groupby(settings, sort=False):
        at = part.set_index("study")
        both = [
            at[name].get(study, np.nan) for study in at.index for name in ("accuracy", "covered", "error")
        ]
        texts = [number(value, 2) if place % 3 == 1 else number(value) for place, value in enumerate(both)]
        mark = " ←" * bool(part["chosen"].iloc[0])
        rows.append([*(f"{value:g}" for value in values[:4]), "yes" if values[4] else "no", *texts[:-1]])
        rows[-1].append(texts[-1] + mark)
    for estimator, part in log[log["estimator"].notna()].groupby("estimator", sort=False):
        errors = part.set_index("study")["error"]
        blank = [MISSING] * 4
        cells = [cell for value in errors for cell in (MISSING, MISSING, number(value))]
        rows.append([str(estimator), *blank, *cells])
    measures = ("accuracy", "covered", "error")
    heads = [*settings, *(f"{spelled(study)}: {one}" for study in ours["study"].unique() for one in measures)]
    caption = (
        "One source alone, each other plate drawn to 10, 30, 50, 70 and 90 % cases and as it is; before "
        "logistic regression. Balanced accuracy, share of nominal .95 intervals that hold the true share, "
        "and root mean square of the estimated less the true share. ←: chosen."
    )
    return Table("mix_choice", "Settings that were tried", caption, heads, rows, log)


def borne(numbers: pd.DataFrame, studies: Sequence[str] = ("mi", "chd")) -> pd.DataFrame:
    """Return what ``evaluation/mix_borne.csv`` holds: the loss of each method by share, mean over studies.

    Methods in their published form are in it, each with the studies in which all its shares are recorded.
    """
    own = numbers[
        (numbers["kind"] == "mix") & numbers["study"].isin(studies) & ~numbers["uses_target_labels"]
    ]
    own = own[own["variant"].isin(["", "one_model"])]
    means = own.pivot_table(index=["method", "study"], columns="at", values="balanced_accuracy")
    means = means.dropna(subset=[share for share in SHARES if share in means])
    means = means.groupby("method").mean()
    lost = {f"{share:.0%}"[:-1]: means[0.5] - means[share] for share in (0.1, 0.3, 0.7, 0.9)}
    return pd.DataFrame(lost).round(3).reset_index()


def _cell(value: float, text: Callable[[float], str] = number) -> str:
    """Return a number as text, or the sign for none."""
    return MISSING if np.isnan(value) else text(value)
