"""The table of metrics that a run prints at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from calib.data.cautions import listed
from calib.shown import one_line

SHOWN = 20
"""Most sources, and most targets, whose names stand above the table."""


def result_table(result: Mapping[str, Any], auc: str) -> str:
    """Return what a run ends with, as it may be shown: its batches, a line for each target, then their mean.

    Args:
        result: content of ``result.json``.
        auc: ``auc`` or ``auc_hard``, as the protocol reports.
    """
    metrics = ["accuracy", "f_score", auc, "mcc"]
    title = (
        f"{result['study']}  {result['split']}  {result['label']}  "
        f"(protocol {result['protocol']}, seed {result['seed']}, {result['seconds']['total']:.1f} s)"
    )
    sources = listed(result.get("sources", []), SHOWN)  # a record of an older version has none
    lines = [title, f"Sources: {sources}.", f"Targets: {listed(list(result['targets']), SHOWN)}."]
    lines.append(f"Rule: {result['selection']}.")
    if result["uses_target_labels"]:
        lines.append("Reference only: it uses target labels.")
    names = ["ACC", "F-score", "AUC" if auc == "auc" else "AUC(hard)", "MCC"]
    lines.append(_line("target", "n", names, "subjects", "their ACC"))
    for name, scores in result["targets"].items():
        subject = scores.get("subject", {})
        values = [_number(scores.get(metric)) for metric in metrics]
        count = str(subject.get("n", "-"))
        lines.append(_line(name, str(scores["n"]), values, count, _number(subject.get("accuracy"))))
    for name, scores in result["targets"].items():
        if "accuracy" not in scores:
            counts = ", ".join(f"{count} {label}" for label, count in scores["predicted"].items())
            lines.append(f"Batch {name} has no labels; predicted: {counts}. See predictions.csv.")
    for name, classes in result.get("unseen_classes", {}).items():
        counts = ", ".join(f"{count} {label}" for label, count in classes.items())
        lines.append(f"Batch {name} has classes that no source has; their samples count as errors: {counts}.")
    if len(result["targets"]) > 1:
        lines.append(_line("mean", "", [_number(result["mean"].get(metric)) for metric in metrics]))
    return "\n".join(map(one_line, lines))


def _line(name: str, n: str, values: Sequence[str], subjects: str = "", accuracy: str = "") -> str:
    """Return one line of the table, with its columns aligned."""
    shown = "".join(f"{value:>10}" for value in values)
    return f"{name:<12}{n:>6}{shown}{subjects:>10}{accuracy:>11}".rstrip()


def _number(value: float | None) -> str:
    """Return a metric with three decimals, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"
