"""Tables of the docs, as Markdown: results beside the paper's numbers."""

from collections.abc import Iterable, Mapping
from typing import cast

import pandas as pd

from calib.report.docs.averages import printed_lines, seed_averages, select
from calib.report.exhibits import MISSING, markdown
from calib.report.groups import NUMBERS
from calib.report.numbers import number
from calib.report.paper import PROTOCOLS, paper_accuracy, paper_numbers, spelled
from calib.report.printed import METHODS
from calib.report.results import WALKS

SINGLE = "paper, one option as released"
"""Name of the walk whose steps each set one option alone."""

RANGE = "In square brackets the means of the target batch with the lowest and of that with the highest."
NOTE = "† uses target labels: a reference, not a method."


def accuracy_table(results: pd.DataFrame, study: str, method: str, variant: str = "") -> str:
    """Return the accuracy of one method as Markdown: for each target the printed number, then ours.

    Args:
        results: one row for each run and target (``report.results.results_table``).
        study, method, variant: the runs that are shown.

    Returns:
        Markdown. A cell is the mean and standard deviation over seeds, with the number of seeds in brackets;
        the average over all rows is that of the seeds that have every row, with the lowest and the highest
        target in square brackets. A missing run is a dash.
    """
    printed = paper_accuracy(study, method)
    ours = select(results, study, method, variant)
    by_line = ours.groupby(["split", "target", "protocol"])["accuracy"]
    cells = {cast(tuple[str, str, str], key): _spread(values) for key, values in by_line}
    lines = sorted({(split, target) for split, target, _ in cells} | printed_lines(study))
    rows = []
    for split, target in lines:
        sources = split.partition("_")[0]
        values = [cells.get((split, target, protocol), MISSING) for protocol in PROTOCOLS]
        rows.append([sources, target, number(printed.get((sources, target))), *values])
    averages = [_average(ours[ours["protocol"] == protocol], len(lines)) for protocol in PROTOCOLS]
    rows.append(["**average**", "", number(printed.get(("average", "average"))), *averages])
    heads = ["sources", "target", "printed", *(f"ours, `{protocol}`" for protocol in PROTOCOLS)]
    return markdown(heads, rows)


def methods_table(results: pd.DataFrame, study: str) -> str:
    """Return the average accuracy of every method and variant beside the printed one, as Markdown."""
    ours = select(results, study)
    lines = len(ours.loc[ours["variant"] == "", ["split", "target"]].drop_duplicates())
    rows = []
    for index, part in ours.groupby(["method", "variant"]):
        method, variant = cast(tuple[str, str], index)
        numbered = any(word.endswith(NUMBERS) for word in variant.split())
        if variant and (numbered or (part["walks"] != "").any()):
            continue  # steps of walks and other numbers of sources have tables of their own
        name = f"`{method}`" + (f", `{variant.removeprefix('method.')}`" if variant else "")
        mark = " †" if part["uses_target_labels"].any() else ""
        printed = paper_accuracy(study, method).get(("average", "average"))
        by_protocol = [part[part["protocol"] == protocol] for protocol in PROTOCOLS]
        rows.append([name + mark, number(printed), *(_average(ours, lines) for ours in by_protocol)])
    heads = ["method", "printed", *(f"ours, `{protocol}`" for protocol in PROTOCOLS)]
    return f"{markdown(heads, rows)}\n\n{RANGE} {NOTE}"


def single_source_table(
    results: pd.DataFrame, study: str, columns: Mapping[str, tuple[str, str, str]]
) -> str:
    """Return methods trained on one source at a time beside the printed numbers (Tables 1a, 2a), as Markdown.

    A row is the mean of a metric over the sources of one target, as the paper averages.

    Args:
        results: one row for each run and target.
        study: name of the study.
        columns: heading -> method, protocol and variant.
    """
    printed = paper_numbers()
    table = printed[printed["table"].isin(["1a", "2a"]) & (printed["dataset"] == study)]
    cells = table.set_index(["method", "target", "metric"])["value"]
    metrics = {"ACC": "accuracy", "F-score": "f_score", "AUC": "auc_hard", "MCC": "mcc"}
    targets = sorted(set(table["target"]) - {"average"})
    ours = {}
    for heading, (method, protocol, variant) in columns.items():
        part = select(results, study, method, variant)
        by_target = part[part["protocol"] == protocol].groupby("target")
        # the mean over fewer sources is another mean
        whole = by_target["split"].nunique() == len(targets) - 1
        ours[heading] = by_target[list(metrics.values())].mean()[whole]
    rows = [
        [
            target,
            metric,
            number(cells.get(("pairwise", target, metric))),
            *(number(means[column].get(target)) for means in ours.values()),
            number(cells.get(("joint", target, metric))),
        ]
        for target in targets
        for metric, column in metrics.items()
    ]
    return markdown(["target", "metric", "pairwise, printed", *columns, "joint, printed"], rows)


def metrics_table(results: pd.DataFrame, study: str) -> str:
    """Return all metrics of each method and protocol, averaged over splits, targets and seeds, as Markdown.

    MMD² is that between batches after calibration, averaged over their pairs. Beside the accuracy stand the
    lowest and the highest target.
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
    ours = select(results, study, variant="")
    means = ours.groupby(["method", "protocol"])[list(columns)].mean()
    references = set(ours.loc[ours["uses_target_labels"], "method"])
    rows = []
    for index, row in means.iterrows():
        method, protocol = cast(tuple[str, str], index)
        cells = [number(value, 1 if column == "seconds" else 3) for column, value in row.items()]
        cells[0] += _targets(ours[(ours["method"] == method) & (ours["protocol"] == protocol)])
        rows.append([f"`{method}`" + (" †" if method in references else ""), protocol, *cells])
    table = markdown(["method", "protocol", *columns.values()], rows)
    return f"{table}\n\n{RANGE}" + (f" {NOTE}" if references else "")


def options_table(results: pd.DataFrame, study: str) -> str:
    """Return the accuracy of joint with one option of ``paper`` set as in ``released``, as Markdown.

    The first and last row are the whole protocols, with the seeds of the rows between.
    """
    joint = select(results, study, "joint")
    single = joint[joint["walks"].str.split(WALKS).map(lambda names: SINGLE in names)]
    whole = joint[(joint["variant"] == "") & joint["seed"].isin(single["seed"])]
    ends = [whole[whole["protocol"] == p].assign(variant=f"all of `{p}`") for p in PROTOCOLS]
    named = single.assign(variant="`" + single["variant"].str.replace("protocol.", "") + "`")
    table = pd.concat([ends[0], named, ends[1]])
    cells = table.pivot_table(index="variant", columns=["split", "target"], values="accuracy", sort=False)
    rows = [
        [option, *map(number, line.tolist()), number(line.mean())]
        for option, line in zip(cells.index, cells.to_numpy(), strict=True)
    ]
    return markdown(
        ["set in `paper`", *_heads(cast(list[tuple[str, str]], cells.columns.tolist())), "mean"], rows
    )


def settings_table(results: pd.DataFrame, study: str) -> str:
    """Return the accuracy of each method, protocol and variant by split and target, as Markdown.

    A cell is the mean and standard deviation over seeds, with the number of seeds in brackets.
    """
    ours = select(results, study)
    lines = sorted(set(zip(ours["split"], ours["target"], strict=True)))
    rows = []
    for index, part in ours.groupby(["method", "protocol", "variant"]):
        method, protocol, variant = cast(tuple[str, str, str], index)
        by_seed = part.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
        cells = [_spread(by_seed[line]) if line in by_seed else MISSING for line in lines]
        mark = " †" if part["uses_target_labels"].any() else ""
        setting = f"`{variant}`" if variant else "as printed"
        average, seconds = _spread(seed_averages(part, len(lines))), number(part["seconds"].median(), 1)
        rows.append([f"`{method}`{mark}", protocol, setting, *cells, average, seconds])
    heads = ["method", "protocol", "setting", *_heads(lines), "mean", "seconds a run"]
    return f"{markdown(heads, rows)}\n\n{NOTE}"


def averages_table(results: pd.DataFrame, *studies: str) -> str:
    """Return the average accuracy of the paper's methods, printed and ours, as Markdown: Tables 1b and 2b.

    Ours is the mean and standard deviation over seeds.
    """
    rows, marked = [], False
    for method, heading in METHODS.items():
        cells = []
        for study in studies:
            ours = select(results, study, method, "")
            cells.append(number(paper_accuracy(study, method).get(("average", "average"))))
            lines = len(printed_lines(study))
            for protocol in PROTOCOLS:
                cells.append(_average(ours[ours["protocol"] == protocol], lines, with_seeds=False))
        if any(cell != MISSING for cell in cells):
            rows.append([heading, *cells])
            marked |= "†" in heading
    heads = ["method"]
    for study in studies:
        heads += [f"{spelled(study)}, {column}" for column in ("printed", *(f"`{p}`" for p in PROTOCOLS))]
    return f"{markdown(heads, rows)}\n\n{RANGE}" + (f" {NOTE}" if marked else "")


def _average(ours: pd.DataFrame, lines: int, with_seeds: bool = True) -> str:
    """Return ``_spread`` of the average over all lines, and the lowest and highest target in brackets."""
    values = seed_averages(ours, lines)
    if not len(values):
        return MISSING
    return _spread(values, with_seeds) + _targets(ours[ours["seed"].isin(values.index)])


def _targets(ours: pd.DataFrame) -> str:
    """Return the accuracies of the lowest and of the highest target in brackets."""
    means = ours.groupby("target")["accuracy"].mean()
    return f" [{number(means.min(), 2)}, {number(means.max(), 2)}]"


READINGS = {
    "paper": "one Adam for both steps (`paper`)",
    "two_adams": "an Adam for each step (`two_adams`)",
    "strict": "silent means as released, strictly (`strict`)",
    "released": "the authors' code (`released`)",
}
"""Protocol -> its row in the table of readings."""


def readings_table(results: pd.DataFrame, *studies: str) -> str:
    """Return the joint model's average accuracy under each reading of the text, as Markdown.

    A cell is the mean and standard deviation over seeds, with the number of seeds in brackets.
    """
    ours = {study: select(results, study, "joint", "") for study in studies}
    lines = {study: len(printed_lines(study)) for study in studies}
    printed = [number(paper_accuracy(study, "joint").get(("average", "average"))) for study in studies]
    rows = [["printed", *printed]]
    for protocol, name in READINGS.items():
        parts = {study: table[table["protocol"] == protocol] for study, table in ours.items()}
        rows.append([name, *(_spread(seed_averages(parts[study], lines[study])) for study in studies)])
    return markdown(["reading", *map(spelled, studies)], rows)


def _spread(values: pd.Series, with_seeds: bool = True) -> str:
    """Return mean ± standard deviation, with the number of seeds in brackets; a dash without any value."""
    if not len(values):
        return MISSING
    seeds = f" ({values.count()})" if with_seeds else ""
    return f"{number(values.mean())} ± {number(values.std())}{seeds}"


def _heads(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Return the heading of each split and target, such as "12 to 3"."""
    return [f"{split.partition('_')[0]} to {target}" for split, target in lines]
