"""Results beside the paper's numbers, as Markdown."""

from collections.abc import Iterable
from typing import cast

import pandas as pd

from calib.report.paper import paper_accuracy

MISSING = "–"
PROTOCOLS = ("paper", "released")


def accuracy_table(results: pd.DataFrame, study: str, method: str) -> str:
    """Accuracy of one method, a line a target: the paper's number, then ours under each protocol.

    Args:
        results: one row a run and target, as ``store.collect`` gives it.

    Returns:
        Markdown; mean and standard deviation over seeds, the number of seeds in brackets, and the
        average over the lines of the seeds that have them all. What has not been run is a dash.
    """
    printed = paper_accuracy(study, method)
    ours = results[(results["study"] == study) & (results["method"] == method)]
    cells = ours.groupby(["split", "target", "protocol"])["accuracy"].agg(["mean", "std", "count"])
    spreads = {key: _spread(cell) for key, cell in cells.iterrows()}
    lines = sorted({(split, target) for split, target, _ in cells.index} | _printed_lines(study))
    rows = []
    for split, target in lines:
        sources = split.partition("_")[0]
        values = [spreads.get((split, target, protocol), MISSING) for protocol in PROTOCOLS]
        rows.append([sources, target, _number(printed.get((sources, target))), *values])
    means = []
    for protocol in PROTOCOLS:
        chosen = ours[ours["protocol"] == protocol]
        by_seed = chosen.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
        complete = by_seed.dropna().mean(axis=1)  # a seed counts where it has every line
        whole = len(complete) > 0 and by_seed.shape[1] == len(lines)  # or it would be another average
        means.append(_spread(complete.agg(["mean", "std", "count"])) if whole else MISSING)
    average = printed.get(("average", "average"))
    rows.append(["**average**", "", _number(average), *means])
    heads = ["sources", "target", "printed", *(f"ours, `{protocol}`" for protocol in PROTOCOLS)]
    return markdown(heads, rows)


def _printed_lines(study: str) -> set[tuple[str, str]]:
    """Split and target of every accuracy that the paper prints for its own method."""
    targets: dict[str, str] = {}
    for sources, target in sorted(paper_accuracy(study, "joint")):
        if sources != "average":
            targets[sources] = targets.get(sources, "") + target
    return {(f"{sources}_{ts}", target) for sources, ts in targets.items() for target in ts}


def metrics_table(results: pd.DataFrame, study: str) -> str:
    """All metrics of each method and protocol, averaged over splits, targets and seeds, as Markdown.

    MMD² is that between batches after calibration, averaged over their pairs.
    """
    columns = {
        "accuracy": "ACC",
        "f_score": "F-score",
        "auc": "AUC",
        "auc_hard": "AUC, hard labels",
        "mcc": "MCC",
        "subject_accuracy": "ACC, subjects",
        "subject_auc": "AUC, subjects",
        "mmd_after_fixed": "MMD², σ 1–16",
        "mmd_after_median": "MMD², median σ",
        "seconds": "seconds a run",
    }
    ours = results[results["study"] == study]
    means = ours.groupby(["method", "protocol"])[list(columns)].mean()
    references = set(ours.loc[ours["uses_target_labels"], "method"])
    rows = []
    for index, row in means.iterrows():
        method, protocol = cast(tuple[str, str], index)
        values = [f"{v:.1f}" if c == "seconds" else _number(v) for c, v in row.items()]
        rows.append([f"`{method}`" + (" †" if method in references else ""), protocol, *values])
    note = "\n\n† uses target labels: a reference, not a method." if references else ""
    return markdown(["method", "protocol", *columns.values()], rows) + note


def options_table(single: pd.DataFrame, results: pd.DataFrame, study: str) -> str:
    """Accuracy of the joint model with one option of ``paper`` set as in ``released``, as Markdown.

    Args:
        single: as ``results``, with a column ``option`` that says what was set.
        results: whole protocols, for the first and last line; the seeds of ``single`` are taken.
    """
    joint = results[(results["study"] == study) & (results["method"] == "joint")]
    whole = joint[joint["seed"].isin(single["seed"])]
    ends = [whole[whole["protocol"] == p].assign(option=f"all of `{p}`") for p in PROTOCOLS]
    table = pd.concat([ends[0], single[single["study"] == study], ends[1]])
    cells = table.pivot_table(index="option", columns=["split", "target"], values="accuracy", sort=False)
    rows = [
        [option, *map(_number, line.tolist()), _number(line.mean())]
        for option, line in zip(cells.index, cells.to_numpy(), strict=True)
    ]
    lines = [cast(tuple[str, str], column) for column in cells.columns]
    heads = [f"{split.partition('_')[0]} to {target}" for split, target in lines]
    return markdown(["set in `paper`", *heads, "mean"], rows)


def settings_table(results: pd.DataFrame, study: str) -> str:
    """Accuracy of each method, protocol and setting, a column a split's target, as Markdown.

    Args:
        results: as for ``accuracy_table``, with a column ``setting`` that says what was set. A cell is mean
            and standard deviation over seeds, in the order of the table.
    """
    ours = results[results["study"] == study]
    by = ["method", "protocol", "setting"]
    lines = sorted(set(zip(ours["split"], ours["target"], strict=True)))
    rows = []
    for index, part in ours.groupby(by, sort=False):
        method, protocol, setting = cast(tuple[str, str, str], index)
        by_seed = part.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
        cells = [by_seed[line] if line in by_seed else pd.Series(dtype=float) for line in lines]
        spreads = [_spread(c.agg(["mean", "std", "count"])) if len(c) else MISSING for c in cells]
        mean = by_seed.dropna().mean(axis=1).agg(["mean", "std", "count"])
        mark = " †" if part["uses_target_labels"].any() else ""
        seconds = f"{part['seconds'].mean():.1f}"
        rows.append([f"`{method}`{mark}", protocol, setting, *spreads, _spread(mean), seconds])
    note = "\n\n† uses target labels: a reference, not a method." if ours["uses_target_labels"].any() else ""
    heads = [f"{split.partition('_')[0]} to {target}" for split, target in lines]
    return markdown(["method", "protocol", "setting", *heads, "mean", "seconds a run"], rows) + note


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{value:.3f}"


def _spread(cell: pd.Series) -> str:
    spread = MISSING if pd.isna(cell["std"]) else f"{cell['std']:.3f}"
    return f"{cell['mean']:.3f} ± {spread} ({cell['count']:.0f})"
