"""Every method that was run on a study beside Joint+: metrics, and the paired difference in accuracy."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from calib.report.exhibits import MISSING, Table
from calib.report.paper import ONE_SOURCE, spelled
from calib.report.rules import signed
from calib.report.settings import Setting, difference

BEST = "joint_plus"
"""The method that all others are compared with."""

AGAIN = "fewer_subjects"
"""The plain network once more where no subject is left out, so it is not a row of its own."""

COLUMNS = {"accuracy": "accuracy", "f_score": "F-score", "auc": "AUC", "mcc": "MCC"}

CAPTION = (
    "Mean over all splits' targets, at sample level; ± standard deviation over seeds; AUC of probabilities. "
    "Difference: accuracy minus that of Joint+, paired by subject and seed, with the 95 % interval of a "
    "bootstrap of whole subjects and of seeds; a method with one seed is compared with every seed of "
    "Joint+. Sorted by accuracy. A batch is source in one split and target in another, so the splits are "
    "not independent. † uses target labels: a reference, not a method. ‡ gives one answer for all "
    "replicates of a sample: a part of its difference to methods that do not may be that."
)


def comparison_numbers(study: str, found: Sequence[Setting]) -> pd.DataFrame:
    """One row a method and protocol, the best first; what has no complete seed is NaN and last.

    Args:
        found: settings of the study; those with a variant are left out, but pairwise calibration's.
    """
    published = [
        one
        for one in found
        if one.variant == (ONE_SOURCE if one.method == "pairwise" else "") and one.method != AGAIN
    ]
    best = next((one for one in published if one.method == BEST and one.runs), None)
    return compared(study, published, best).drop(columns="variant")


def compared(study: str, chosen: Sequence[Setting], against: Setting | None) -> pd.DataFrame:
    """One row a setting: its metrics and how its accuracy differs from another's; the best first."""
    rows = []
    for one in chosen:
        apart = difference(one, against, alone=True) if against and one is not against else None
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
                "difference": apart.value if apart else np.nan,
                "low": apart.low if apart else np.nan,
                "high": apart.high if apart else np.nan,
                "shared_seeds": apart.seeds if apart else 0,
            }
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def comparison_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text."""
    rows = [[name(row), row["protocol"], *cells(row)] for row in numbers.to_dict("records")]
    heads = ["method", "protocol", *COLUMNS.values(), "minus Joint+", "seeds"]
    title = f"{spelled(study)}: every method beside Joint+"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond"
    return Table(f"comparison_{study}", title, CAPTION, heads, rows, numbers, command)


def name(row: Mapping[Hashable, Any]) -> str:
    """The method with its marks."""
    return str(row["label"]) + " †" * row["uses_target_labels"] + " ‡" * row["averages_replicates"]


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
