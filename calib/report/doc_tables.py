"""Results beside the paper's numbers, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import cast

import pandas as pd

from calib.report.exhibits import MISSING, Outcome, Verdict, markdown
from calib.report.groups import NUMBERS
from calib.report.paper import PROTOCOLS, paper_accuracy, paper_numbers, spelled
from calib.report.printed import METHODS
from calib.report.results import WALKS

SINGLE = "paper, one option as released"
"""Name of the walk whose steps set one option alone."""

NOTE = "† uses target labels: a reference, not a method."


def accuracy_table(results: pd.DataFrame, study: str, method: str, variant: str = "") -> str:
    """Accuracy of one method, a line a target: the paper's number, then ours under each protocol.

    Args:
        results: one row a run and target (``report.results.results_table``).

    Returns:
        Markdown; mean and standard deviation over seeds, the number of seeds in brackets, and the
        average over the lines of the seeds that have them all. What has not been run is a dash.
    """
    printed = paper_accuracy(study, method)
    ours = _chosen(results, study, method, variant)
    cells = ours.groupby(["split", "target", "protocol"])["accuracy"].agg(["mean", "std", "count"])
    spreads = {key: _spread(cell) for key, cell in cells.iterrows()}
    lines = sorted({(split, target) for split, target, _ in cells.index} | _printed_lines(study))
    rows = []
    for split, target in lines:
        sources = split.partition("_")[0]
        values = [spreads.get((split, target, protocol), MISSING) for protocol in PROTOCOLS]
        rows.append([sources, target, _number(printed.get((sources, target))), *values])
    means = [_average(ours[ours["protocol"] == protocol], len(lines)) for protocol in PROTOCOLS]
    average = printed.get(("average", "average"))
    rows.append(["**average**", "", _number(average), *means])
    heads = ["sources", "target", "printed", *(f"ours, `{protocol}`" for protocol in PROTOCOLS)]
    return markdown(heads, rows)


def comparison_table(results: pd.DataFrame, study: str) -> str:
    """Average accuracy of every method and variant over all splits, beside the printed one, as Markdown."""
    ours = _chosen(results, study)
    lines = len(ours.loc[ours["variant"] == "", ["split", "target"]].drop_duplicates())
    rows = []
    for index, cells in ours.groupby(["method", "variant"]):
        method, variant = cast(tuple[str, str], index)
        numbered = any(word.endswith(NUMBERS) for word in variant.split())
        if variant and (numbered or (cells["walks"] != "").any()):
            continue  # another protocol or another number of sources: tables of their own
        name = f"`{method}`" + (f", `{variant.removeprefix('method.')}`" if variant else "")
        reference = " †" if cells["uses_target_labels"].any() else ""
        printed = paper_accuracy(study, method).get(("average", "average"))
        values = [_average(cells[cells["protocol"] == protocol], lines) for protocol in PROTOCOLS]
        rows.append([name + reference, _number(printed), *values])
    heads = ["method", "printed", *(f"ours, `{protocol}`" for protocol in PROTOCOLS)]
    return f"{markdown(heads, rows)}\n\n{NOTE}"


def single_source_table(
    results: pd.DataFrame, study: str, columns: Mapping[str, tuple[str, str, str]]
) -> str:
    """Methods trained on one source at a time beside the printed numbers, as Markdown; Tables 1a and 2a.

    A line is the mean of a metric over the sources of one target, as the paper averages.

    Args:
        columns: heading -> method, protocol and variant.
    """
    printed = paper_numbers()
    table = printed[printed["table"].isin(["1a", "2a"]) & (printed["dataset"] == study)]
    cells = table.set_index(["method", "target", "metric"])["value"]
    metrics = {"ACC": "accuracy", "F-score": "f_score", "AUC": "auc_hard", "MCC": "mcc"}
    targets = sorted(set(table["target"]) - {"average"})
    ours = {}
    for heading, (method, protocol, variant) in columns.items():
        chosen = _chosen(results, study, method, variant)
        chosen = chosen[chosen["protocol"] == protocol]
        by_target = chosen.groupby("target")
        whole = by_target["split"].nunique() == len(targets) - 1  # or it would be another average
        ours[heading] = by_target[list(metrics.values())].mean()[whole]
    rows = [
        [
            target,
            metric,
            _number(cells.get(("pairwise", target, metric))),
            *(_number(o[column].get(target)) for o in ours.values()),
            _number(cells.get(("joint", target, metric))),
        ]
        for target in targets
        for metric, column in metrics.items()
    ]
    return markdown(["target", "metric", "pairwise, printed", *columns, "joint, printed"], rows)


def _chosen(
    results: pd.DataFrame, study: str, method: str | None = None, variant: str | None = None
) -> pd.DataFrame:
    rows = results["study"] == study
    if method is not None:
        rows &= results["method"] == method
    if variant is not None:
        rows &= results["variant"] == variant
    return results[rows]


def _average(ours: pd.DataFrame, lines: int) -> str:
    """Mean and spread over seeds of the average over all lines; missing where a line was never run."""
    by_seed = ours.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
    complete = by_seed.dropna().mean(axis=1)  # a seed counts where it has every line
    whole = len(complete) > 0 and by_seed.shape[1] == lines  # or it would be another average
    return _spread(complete.agg(["mean", "std", "count"])) if whole else MISSING


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
    ours = _chosen(results, study, variant="")
    means = ours.groupby(["method", "protocol"])[list(columns)].mean()
    references = set(ours.loc[ours["uses_target_labels"], "method"])
    rows = []
    for index, row in means.iterrows():
        method, protocol = cast(tuple[str, str], index)
        values = [f"{v:.1f}" if c == "seconds" else _number(v) for c, v in row.items()]
        rows.append([f"`{method}`" + (" †" if method in references else ""), protocol, *values])
    note = f"\n\n{NOTE}" if references else ""
    return markdown(["method", "protocol", *columns.values()], rows) + note


def options_table(results: pd.DataFrame, study: str) -> str:
    """Accuracy of the joint model with one option of ``paper`` set as in ``released``, as Markdown.

    The first and last line are the whole protocols, with the seeds of the lines between.
    """
    joint = _chosen(results, study, "joint")
    single = joint[joint["walks"].str.split(WALKS).map(lambda names: SINGLE in names)]
    whole = joint[(joint["variant"] == "") & joint["seed"].isin(single["seed"])]
    ends = [whole[whole["protocol"] == p].assign(variant=f"all of `{p}`") for p in PROTOCOLS]
    named = single.assign(variant="`" + single["variant"].str.replace("protocol.", "") + "`")
    table = pd.concat([ends[0], named, ends[1]])
    cells = table.pivot_table(index="variant", columns=["split", "target"], values="accuracy", sort=False)
    rows = [
        [option, *map(_number, line.tolist()), _number(line.mean())]
        for option, line in zip(cells.index, cells.to_numpy(), strict=True)
    ]
    lines = [cast(tuple[str, str], column) for column in cells.columns]
    heads = [f"{split.partition('_')[0]} to {target}" for split, target in lines]
    return markdown(["set in `paper`", *heads, "mean"], rows)


def settings_table(results: pd.DataFrame, study: str) -> str:
    """Accuracy of each method, protocol and variant, a column a split's target, as Markdown.

    A cell is mean and standard deviation over seeds.
    """
    ours = _chosen(results, study)
    lines = sorted(set(zip(ours["split"], ours["target"], strict=True)))
    rows = []
    for index, part in ours.groupby(["method", "protocol", "variant"]):
        method, protocol, variant = cast(tuple[str, str, str], index)
        by_seed = part.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
        cells = [by_seed[line] if line in by_seed else pd.Series(dtype=float) for line in lines]
        spreads = [_spread(c.agg(["mean", "std", "count"])) if len(c) else MISSING for c in cells]
        mark = " †" if part["uses_target_labels"].any() else ""
        setting = f"`{variant}`" if variant else "as printed"
        seconds = f"{part['seconds'].median():.1f}"
        rows.append([f"`{method}`{mark}", protocol, setting, *spreads, _average(part, len(lines)), seconds])
    heads = [f"{split.partition('_')[0]} to {target}" for split, target in lines]
    return f"{markdown(['method', 'protocol', 'setting', *heads, 'mean', 'seconds a run'], rows)}\n\n{NOTE}"


def _number(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{value:.3f}"


def _spread(cell: pd.Series) -> str:
    spread = MISSING if pd.isna(cell["std"]) else f"{cell['std']:.3f}"
    return f"{cell['mean']:.3f} ± {spread} ({cell['count']:.0f})"


def accuracy_by_split(results: pd.DataFrame) -> pd.DataFrame:
    """Return every accuracy of the paper's methods on MI and CHD beside the printed one.

    One row a split's target, and one for the average of each method, whose sources and target are "average".
    Columns: study, method, sources, target, printed, and for each protocol the mean, standard deviation and
    number of seeds.
    """
    rows: list[dict[str, object]] = []
    for study in ("mi", "chd"):
        lines = sorted(_printed_lines(study))
        for method in METHODS:
            printed = paper_accuracy(study, method)
            ours = _chosen(results, study, method, "")
            by_protocol = {protocol: ours[ours["protocol"] == protocol] for protocol in PROTOCOLS}
            for split, target in [*lines, ("average", "average")]:
                place = (split.partition("_")[0], target)
                row: dict[str, object] = {"study": study, "method": method}
                row |= {"sources": place[0], "target": target, "printed": printed.get(place)}
                for protocol, part in by_protocol.items():
                    cell = part[(part["split"] == split) & (part["target"] == target)]["accuracy"]
                    values = _averages(part, len(lines)) if target == "average" else cell
                    row |= _statistics(protocol, values)
                rows.append(row)
    return pd.DataFrame(rows)


def averages_table(results: pd.DataFrame, *studies: str) -> str:
    """Return the average accuracy of the paper's methods, printed and ours, as Markdown: Tables 1b and 2b.

    Ours is the mean and standard deviation over seeds.
    """
    rows, marked = [], False
    for method, heading in METHODS.items():
        cells = []
        for study in studies:
            ours = _chosen(results, study, method, "")
            cells.append(_number(paper_accuracy(study, method).get(("average", "average"))))
            lines = len(_printed_lines(study))
            for protocol in PROTOCOLS:
                each = _averages(ours[ours["protocol"] == protocol], lines)
                cells.append(f"{each.mean():.3f} ± {each.std():.3f}" if len(each) else MISSING)
        if any(cell != MISSING for cell in cells):
            rows.append([heading, *cells])
            marked |= "†" in heading
    heads = ["method"]
    for study in studies:
        heads += [f"{spelled(study)}, {column}" for column in ("printed", *(f"`{p}`" for p in PROTOCOLS))]
    return markdown(heads, rows) + (f"\n\n{NOTE}" if marked else "")


def verdict_counts(found: Sequence[Verdict]) -> str:
    """Return how many claims came out which way in each study, as Markdown."""
    studies = list(dict.fromkeys(verdict.study for verdict in found))
    rows = []
    for outcome in Outcome:
        each = [sum(v.study == study and v.outcome is outcome for v in found) for study in studies]
        if any(each):
            rows.append([str(outcome), *map(str, each), str(sum(each))])
    every = [sum(verdict.study == study for verdict in found) for study in studies]
    rows.append(["all", *map(str, every), str(len(found))])
    return markdown(["verdicts", *map(spelled, studies), "together"], rows)


def verdicts_table(found: Sequence[Verdict]) -> str:
    """Return a line a claim and a column a study and protocol, with the verdict alone, as Markdown."""
    rules = list(dict.fromkeys(verdict.rule for verdict in found))
    columns = [(study, p) for study in dict.fromkeys(v.study for v in found) for p in PROTOCOLS]
    rows = []
    for claim in dict.fromkeys(verdict.claim for verdict in found):
        same = [verdict for verdict in found if verdict.claim == claim]
        cells = [[str(v.outcome) for v in same if (v.study, v.protocol or p) == (s, p)] for s, p in columns]
        verdicts = [cell[0] if cell else MISSING for cell in cells]
        rows.append([claim, *verdicts, str(rules.index(same[0].rule) + 1)])
    return markdown(["claim", *(f"{spelled(study)}, `{p}`" for study, p in columns), "rule"], rows)


def _averages(ours: pd.DataFrame, lines: int) -> pd.Series:
    """Return each seed's average accuracy over all lines, of the seeds that have them all."""
    by_seed = ours.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
    whole = by_seed.shape[1] == lines  # or it would be another average
    return by_seed.dropna().mean(axis=1) if whole else pd.Series(dtype=float)


def _statistics(protocol: str, values: pd.Series) -> dict[str, object]:
    mean, spread = (values.mean(), values.std()) if len(values) else (None, None)
    return {protocol: mean, f"{protocol}_sd": spread, f"{protocol}_seeds": len(values)}
