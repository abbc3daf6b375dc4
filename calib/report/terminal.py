"""The small table that ends a run."""

from collections.abc import Mapping
from typing import Any


def result_table(result: Mapping[str, Any], auc: str) -> str:
    """A run's metrics as text: a line a target, then their mean.

    Args:
        result: content of ``result.json``.
        auc: ``auc`` or ``auc_hard``, whichever the protocol reports.
    """
    metrics = ["accuracy", "f_score", auc, "mcc"]
    title = (
        f"{result['study']}  {result['split']}  {result['label']}  "
        f"(protocol {result['protocol']}, seed {result['seed']}, {result['seconds']['total']:.1f} s)"
    )
    if result["uses_target_labels"]:
        title += "\nReference only: it uses target labels."
    names = ["ACC", "F-score", "AUC" if auc == "auc" else "AUC(hard)", "MCC", "subjects", "ACC/subject"]
    lines = [title, f"{'target':<12}{'n':>8}" + "".join(f"{name:>12}" for name in names)]
    for name, scores in result["targets"].items():
        subject = scores.get("subject", {})
        values = [_number(scores.get(metric)) for metric in metrics]
        values += [str(subject.get("n", "-")), _number(subject.get("accuracy"))]
        lines.append(f"{name:<12}{scores['n']:>8}" + "".join(f"{value:>12}" for value in values))
    if len(result["targets"]) > 1:
        values = [_number(result["mean"].get(metric)) for metric in metrics]
        lines.append(f"{'mean':<12}{'':>8}" + "".join(f"{value:>12}" for value in values))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
