"""Every method of a study beside Joint+: its metrics, and the paired difference in accuracy."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from calib.report.exhibits import Table
from calib.report.groups import ARCSINH, CLASSIFIERS, CONVERGED, WEIGHT_1, Group, average, difference
from calib.report.numbers import count, estimate_columns, estimate_seeds, number, signed_with_interval
from calib.report.paper import ONE_SOURCE, spelled

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

CAPTION = (
    "Mean over all splits' targets, at sample level; ± standard deviation over seeds; AUC of "
    "probabilities. Difference: accuracy minus that of Joint+, paired by subject and by the seeds that "
    "both have, so it may differ from that of the columns, with the 95 % interval of a bootstrap of whole "
    "subjects and of seeds. A method with one seed is compared with every seed of Joint+; where its "
    "training depends on the seed, the interval lacks that. Over replicates: the same where every method "
    "gives all measurements of a sample one answer, the geometric mean of their probabilities; which rows "
    "those are is known without labels. The fairer comparison with Joint+, which always does so (‡). "
    "Sorted by accuracy. A batch is source in one split and target in another, so the splits are not "
    "independent. Converged: with the learning rates of training=converged, where the printed ones leave "
    "D untrained. Logistic regression: in place of D. C chosen: by folds of the sources. Weight 1: of "
    "DeepCORAL's loss, which is then too small to count. Baseline: uncorrected data. † uses target labels: "
    "a reference, not a method."
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
    numbers = compared(study, shown, lambda _: best)
    together = {_place(group): _over_replicates(group, best) for group in shown}
    places = numbers[["method", "protocol", "variant"]].itertuples(index=False)
    return numbers.assign(**pd.DataFrame([together[place] for place in places]))


def _place(group: Group) -> tuple[str, str, str]:
    """Return the columns that name a group's row."""
    return group.method, group.protocol, group.variant


def _over_replicates(group: Group, best: Group | None) -> dict[str, float]:
    """Return accuracy and difference if both methods give all measurements of a sample one answer."""
    mean = average(group.runs_over_replicates) if group.knows_replicates else None
    apart = None
    if mean and best and group is not best:
        apart = difference(group.runs_over_replicates, best.runs_over_replicates, alone=True)
    accuracy = mean.value if mean else np.nan
    return {"together": accuracy, **estimate_columns(apart, "difference", prefix="together_")}


def _is_method(group: Group) -> bool:
    """Return whether a group is a row of the table."""
    if group.method == "pairwise":
        return group.variant == ONE_SOURCE
    if group.variant in UNCORRECTED:
        return group.method == "baseline"
    return group.variant in ("", CONVERGED, WEIGHT_1, *EXCHANGED) and group.method != AGAIN


def compared(study: str, groups: Sequence[Group], partner: Partner) -> pd.DataFrame:
    """Return a row for each group: its metrics and the difference from its partner; the best first.

    Args:
        study: name of the study.
        groups: the compared groups.
        partner: function that returns the group that a group is compared with, or None.
    """
    rows = []
    for group in groups:
        other, apart = partner(group), None
        if other and other is not group:
            apart = difference(group.runs, other.runs, alone=True)
        accuracies = group.means("accuracy")
        rows.append(
            {
                "study": study,
                "method": group.method,
                "label": group.label,
                "protocol": group.protocol,
                "variant": group.variant,
                "uses_target_labels": group.uses_target_labels,
                "averages_replicates": group.averages_replicates,
                "seeds": len(group.runs),
                **{metric: _mean(group.means(metric)) for metric in COLUMNS},
                "accuracy_sd": float(np.std(accuracies, ddof=1)) if len(group.runs) > 1 else np.nan,
                **estimate_columns(apart, "difference"),
                "shared_seeds": estimate_seeds(apart),
            }
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def comparison_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``comparison_numbers`` as a table."""
    rows = [
        [method_name(row, _suffix(row["label"], row["variant"])), row["protocol"], *cells(row)]
        for row in numbers.to_dict("records")
    ]
    heads = ["method", "protocol", *COLUMNS.values(), "minus Joint+", "seeds"]
    if numbers["together"].notna().any():
        heads[-1:-1] = ["over replicates", "minus Joint+"]
        for line, row in zip(rows, numbers.to_dict("records"), strict=True):
            apart = (row["together_difference"], row["together_low"], row["together_high"])
            line[-1:-1] = [number(row["together"]), signed_with_interval(*apart)]
    title = f"{spelled(study)}: every method beside Joint+"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond,named"
    return Table(f"comparison_{study}", title, CAPTION, heads, rows, numbers, command)


def _suffix(label: str, variant: str) -> str:
    """Return the addition of a variant to a method's name, which may name the classifier already."""
    suffix = SUFFIXES.get(variant, "")
    known = label.rpartition(", ")[2]
    return suffix.removeprefix(f", {known}") if known != label else suffix


def method_name(row: Mapping[Hashable, Any], suffix: str = "") -> str:
    """Return a method's name with a suffix and with its marks."""
    marks = " †" * row["uses_target_labels"] + " ‡" * row["averages_replicates"]
    return f"{row['label']}{suffix}{marks}"


def cells(row: Mapping[Hashable, Any]) -> list[str]:
    """Return metrics, difference and number of seeds of a row of ``compared`` as text."""
    spread = "" if pd.isna(row["accuracy_sd"]) else f" ± {number(row['accuracy_sd'])}"
    return [
        number(row["accuracy"]) + spread,
        *(number(row[metric]) for metric in COLUMNS if metric != "accuracy"),
        signed_with_interval(row["difference"], row["low"], row["high"]),
        count(row["seeds"]),
    ]


def _mean(values: Sequence[float]) -> float:
    """Return the mean; NaN without any value."""
    return float(np.mean(values)) if values else np.nan
