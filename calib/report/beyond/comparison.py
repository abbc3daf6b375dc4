"""Every method of a study beside Joint+: its metrics, and the paired difference in accuracy."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.report.exhibits import Table
from calib.report.groups import ARCSINH, CLASSIFIERS, CONVERGED, WEIGHT_1, Group, average, difference
from calib.report.numbers import (
    estimate_columns,
    estimate_seeds,
    number,
    seeds_cell,
    signed_with_interval,
    span,
)
from calib.report.paper import ONE_SOURCE, spelled
from calib.report.readings import CHOSEN, INTERVALS, READS, TARGETS, reading_cell, readings

BEST = "joint_plus"
"""The method that all others are compared with."""

AGAIN = "fewer_subjects"
"""A method that equals the baseline if no subject is left out, so that it is not a row of its own."""

EXCHANGED = {word: f", {name}" for word, name in CLASSIFIERS.items()}
"""Variants with another classifier -> their addition to the name of a method."""

UNCORRECTED = {
    ARCSINH: ", arcsinh",
    **{f"{ARCSINH} {word}": f", arcsinh{suffix}" for word, suffix in EXCHANGED.items()},
}
"""Variants that are shown of the baseline only -> their addition to its name."""

SUFFIXES = {
    ONE_SOURCE: "",
    CONVERGED: ", converged",
    WEIGHT_1: ", weight 1",
    **EXCHANGED,
    **UNCORRECTED,
}
"""Variant -> its addition to the name of a method."""

Partner = Callable[[Group], Group | None]
"""A function that returns the group that a group is compared with, or None."""

COLUMNS = {"accuracy": "accuracy", "f_score": "F-score", "auc": "AUC", "mcc": "MCC"}
"""Metric -> its heading."""

HEADS = ("accuracy", "lowest to highest", *(head for head in COLUMNS.values() if head != "accuracy"))
LAST = ("chosen by", "seeds")
"""Headings of a method's metrics, and of what comes after its differences."""

CAPTION = (
    f"Mean over all splits' targets, at sample level; ± standard deviation over seeds. {TARGETS} AUC of "
    "probabilities. Difference: accuracy minus that of Joint+, paired by subject and by the seeds that "
    f"both have, so it may differ from that of the columns, with {INTERVALS} {READS} Over replicates: the "
    "same where every method gives all measurements of a sample one answer, the geometric mean of their "
    "probabilities; which rows those are is known without labels. The fairer comparison with Joint+, which "
    "always does so (‡). Sorted by accuracy. A batch is source in one split and target in another, so the "
    "splits are not independent. Converged: with the learning rates of training=converged, where the "
    "printed ones leave D untrained. Logistic regression: in place of D. C chosen: by folds of the sources. "
    "Weight 1: of DeepCORAL's loss, which is then too small to count. Baseline: uncorrected data. "
    f"{CHOSEN} Seeds: any where the seed changes nothing. † uses target labels: a reference, not a method."
)


def comparison_numbers(study: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row for each method and protocol, the best first; NaN and last without a complete seed.

    Args:
        study: name of the study.
        groups: the study's groups of runs. Of those with a variant the table has pairwise calibration from
            one source, converged training, another classifier, DeepCORAL's first weight, and uncorrected
            data on arcsinh.
    """
    shown = [group for group in groups if _is_method(group)]
    best = next((g for g in shown if g.method == BEST and not g.variant and g.runs), None)
    means = [average(g.runs_over_replicates) if g.knows_replicates else None for g in shown]
    apart = [
        difference(group.runs_over_replicates, best.runs_over_replicates)
        if mean and best and group is not best
        else None
        for group, mean in zip(shown, means, strict=True)
    ]
    together = [
        {"together": mean.value if mean else np.nan} | estimate_columns(one, "difference", prefix="together_")
        for mean, one in zip(means, apart, strict=True)
    ]
    return compared(study, shown, lambda _: best, {"together_": apart}, together)


def _is_method(group: Group) -> bool:
    """Return whether a group is a row of the table."""
    if group.method == "pairwise":
        return group.variant == ONE_SOURCE
    if group.variant in UNCORRECTED:
        return group.method == "baseline"
    return group.variant in ("", CONVERGED, WEIGHT_1, *EXCHANGED) and group.method != AGAIN


def compared(
    study: str,
    groups: Sequence[Group],
    partner: Partner,
    further: Mapping[str, Sequence[Estimate | None]] | None = None,
    columns: Sequence[Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Return a row for each group: its metrics and the difference from its partner; the best first.

    Args:
        study: name of the study.
        groups: the compared groups.
        partner: function that returns the group that a group is compared with, or None.
        further: prefix of columns -> another difference of each group, of the same family of tests.
        columns: further columns of each group.
    """
    differences = {"": [_difference(group, partner(group)) for group in groups], **(further or {})}
    every = [one for of_kind in differences.values() for one in of_kind]
    tests = iter(readings(every))
    read = [{f"{prefix}{k}": v for k, v in next(tests).items()} for prefix in differences for _ in groups]
    rows = []
    for place, group in enumerate(groups):
        apart = differences[""][place]
        accuracies = group.means("accuracy")
        lowest, highest = group.extremes("accuracy")
        rows.append(
            {
                "study": study,
                "method": group.method,
                "label": group.label,
                "protocol": group.protocol,
                "variant": group.variant,
                "chosen_by": group.chosen_by,
                "uses_target_labels": group.uses_target_labels,
                "averages_replicates": group.averages_replicates,
                "uses_seed": group.uses_seed,
                "seeds": len(group.runs.seeds),
                **{metric: _mean(group.means(metric)) for metric in COLUMNS},
                "accuracy_sd": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else np.nan,
                "lowest": lowest,
                "highest": highest,
                **estimate_columns(apart, "difference"),
                "shared_seeds": estimate_seeds(apart),
                **(columns[place] if columns else {}),
                **{k: v for part in read[place :: len(groups)] for k, v in part.items()},
            }
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def _difference(group: Group, other: Group | None) -> Estimate | None:
    """Return the difference of a group from another one; None without another."""
    return difference(group.runs, other.runs) if other and other is not group else None


def comparison_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``comparison_numbers`` as a table."""
    rows = [
        [method_name(row, method_suffix(row["label"], row["variant"])), row["protocol"], *cells(row)]
        for row in numbers.to_dict("records")
    ]
    heads = ["method", "protocol", *HEADS, "minus Joint+", "reads", *LAST]
    if numbers["together"].notna().any():
        place = -len(LAST)
        heads[place:place] = ["over replicates", "minus Joint+", "reads"]
        for line, row in zip(rows, numbers.to_dict("records"), strict=True):
            apart = (row["together_difference"], row["together_low"], row["together_high"])
            reads = reading_cell(row, "together_")
            line[place:place] = [number(row["together"]), signed_with_interval(*apart), reads]
    title = f"{spelled(study)}: every method beside Joint+"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond,named"
    return Table(f"comparison_{study}", title, CAPTION, heads, rows, numbers, command)


def method_suffix(label: str, variant: str) -> str:
    """Return the addition of a variant to a method's name, which may name the classifier already."""
    suffix = SUFFIXES.get(variant, "")
    known = label.rpartition(", ")[2]
    return suffix.removeprefix(f", {known}") if known != label else suffix


def method_name(row: Mapping[Hashable, Any], suffix: str = "") -> str:
    """Return a method's name with a suffix and with its marks."""
    marks = " †" * row["uses_target_labels"] + " ‡" * row["averages_replicates"]
    return f"{row['label']}{suffix}{marks}"


def cells(row: Mapping[Hashable, Any]) -> list[str]:
    """Return a row of ``compared`` as text: metrics (``HEADS``), difference, reading, and ``LAST``."""
    spread = "" if pd.isna(row["accuracy_sd"]) else f" ± {number(row['accuracy_sd'])}"
    return [
        number(row["accuracy"]) + spread,
        span(row["lowest"], row["highest"]),
        *(number(row[metric]) for metric in COLUMNS if metric != "accuracy"),
        signed_with_interval(row["difference"], row["low"], row["high"]),
        reading_cell(row),
        row["chosen_by"],
        seeds_cell(row["seeds"], row["uses_seed"]),
    ]


def _mean(values: Sequence[float]) -> float:
    """Return the mean; NaN without any value."""
    return float(np.mean(values)) if values else np.nan
