"""Every method that was run on a study beside Joint+: metrics, and the paired difference in accuracy."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.report.claims.rules import signed
from calib.report.exhibits import MISSING, Table
from calib.report.groups import ARCSINH, CONVERGED, LOGISTIC, Group, average, difference
from calib.report.paper import ONE_SOURCE, spelled

BEST = "joint_plus"
"""The method that all others are compared with."""

AGAIN = "fewer_subjects"
"""The plain network once more where no subject is left out, so it is not a row of its own."""

UNCORRECTED = {ARCSINH: ", arcsinh", f"{ARCSINH} {LOGISTIC}": ", arcsinh, logistic regression"}
"""What is added to the name of the baseline, by the variants that are shown of it alone."""

SUFFIXES = {ONE_SOURCE: "", CONVERGED: ", converged", LOGISTIC: ", logistic regression", **UNCORRECTED}
"""Variant -> its addition to the name of a method."""

Partner = Callable[[Group], Group | None]
"""Returns the group that a group is compared with."""

COLUMNS = {"accuracy": "accuracy", "f_score": "F-score", "auc": "AUC", "mcc": "MCC"}

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
    "D untrained. Logistic regression: in place of D. Baseline: uncorrected data. † uses target labels: a "
    "reference, not a method."
)


def comparison_numbers(study: str, found: Sequence[Group]) -> pd.DataFrame:
    """One row a method and protocol, the best first; what has no complete seed is NaN and last.

    Args:
        found: settings of the study; of those with a variant pairwise calibration from one source is taken,
            training that converges, logistic regression in D's place, and uncorrected data on arcsinh.
    """
    shown = [one for one in found if _is_method(one)]
    best = next((one for one in shown if one.method == BEST and not one.variant and one.runs), None)
    numbers = compared(study, shown, lambda _: best)
    fair = {_place(one): _over_replicates(one, best) for one in shown}
    rows = [fair[place] for place in numbers[["method", "protocol", "variant"]].itertuples(index=False)]
    return numbers.assign(**pd.DataFrame(rows))


def _place(one: Group) -> tuple[str, str, str]:
    return one.method, one.protocol, one.variant


def _over_replicates(one: Group, best: Group | None) -> dict[str, float]:
    """Accuracy, and how it differs, where all measurements of a sample get one answer from either."""
    if not one.knows_replicates:
        return {"together": np.nan, **_columns("together_", None)}
    mean, apart = average(one.runs_over_replicates), None
    if best and one is not best:
        apart = difference(one.runs_over_replicates, best.runs_over_replicates, alone=True)
    return {"together": mean.value if mean else np.nan, **_columns("together_", apart)}


def _is_method(one: Group) -> bool:
    if one.method == "pairwise":
        return one.variant == ONE_SOURCE
    if one.variant in UNCORRECTED:
        return one.method == "baseline"
    return one.variant in ("", CONVERGED, LOGISTIC) and one.method != AGAIN


def compared(study: str, chosen: Sequence[Group], against: Partner) -> pd.DataFrame:
    """One row a setting: its metrics and how its accuracy differs from another's; the best first.

    Args:
        against: tells the setting that one is compared with, or None.
    """
    rows = []
    for one in chosen:
        other, apart = against(one), None
        if other and other is not one:
            apart = difference(one.runs, other.runs, alone=True)
        rows.append(
            {
                "study": study,
                "method": one.method,
                "label": one.label,
                "protocol": one.protocol,
                "variant": one.variant,
                "uses_target_labels": one.uses_target_labels,
                "averages_replicates": one.averages_replicates,
                "seeds": len(one.runs),
                **{name: _mean(one.means(name)) for name in COLUMNS},
                "accuracy_sd": float(np.std(one.means("accuracy"), ddof=1)) if len(one.runs) > 1 else np.nan,
                **_columns("", apart),
                "shared_seeds": apart.seeds if apart else 0,
            }
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def _columns(start: str, apart: Estimate | None) -> dict[str, float]:
    values = (apart.value, apart.low, apart.high) if apart else (np.nan,) * 3
    return dict(zip((f"{start}difference", f"{start}low", f"{start}high"), values, strict=True))


def comparison_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text."""
    rows = [
        [name(row, SUFFIXES.get(row["variant"], "")), row["protocol"], *cells(row)]
        for row in numbers.to_dict("records")
    ]
    heads = ["method", "protocol", *COLUMNS.values(), "minus Joint+", "seeds"]
    if numbers["together"].notna().any():
        heads[-1:-1] = ["over replicates", "minus Joint+"]
        for row, both in zip(rows, numbers.to_dict("records"), strict=True):
            apart = interval(both["together_difference"], both["together_low"], both["together_high"])
            row[-1:-1] = [value(both["together"]), apart]
    title = f"{spelled(study)}: every method beside Joint+"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond,named"
    return Table(f"comparison_{study}", title, CAPTION, heads, rows, numbers, command)


def name(row: Mapping[Hashable, Any], besides: str = "") -> str:
    """The method, what is said besides, and its marks."""
    return f"{row['label']}{besides}" + " †" * row["uses_target_labels"] + " ‡" * row["averages_replicates"]


def cells(row: Mapping[Hashable, Any]) -> list[str]:
    """Metrics, difference and number of seeds as text."""
    spread = "" if pd.isna(row["accuracy_sd"]) else f" ± {row['accuracy_sd']:.3f}"
    return [
        value(row["accuracy"]) + spread,
        *(value(row[metric]) for metric in COLUMNS if metric != "accuracy"),
        interval(row["difference"], row["low"], row["high"]),
        str(row["seeds"]) if row["seeds"] else MISSING,
    ]


def value(number: float) -> str:
    """A number to three digits, or a dash."""
    return MISSING if pd.isna(number) else f"{number:.3f}".replace("-", "−")


def interval(number: float, low: float, high: float) -> str:
    """A difference with its interval, or a dash."""
    return MISSING if pd.isna(number) else f"{signed(number)} [{signed(low)}, {signed(high)}]"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan
