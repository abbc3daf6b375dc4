"""Tables 1a, 1b, 2a, 2b and S1: each number of the paper beside ours from run records.

Table 3 is in ``table_three``.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from statistics import mean

import pandas as pd

from calib.report.exhibits import Table
from calib.report.paper import ONE_SOURCE, PANCREAS, QUOTED_GAINS, paper_numbers, spelled
from calib.report.side_by_side import AVERAGE, Cells, Heading, Key, table_beside
from calib.runs.planner import Job
from calib.runs.selection import CHOSEN_BY, EVERY_RUN

METHODS = {
    "baseline": "Baseline",
    "combat": "ComBat",
    "normae": "NormAE",
    "bermuda": "BERMUDA",
    "desc": "DESC",
    "pairwise": "Pairwise",
    "recon_t": "Recon_T",
    "joint": "Joint",
    "cross_validation": "CrossValid †",
}
"""Method -> its heading, in the paper's order; the last needs target labels, so it has no rank."""

METRICS = {"ACC": "accuracy", "F-score": "f_score", "AUC": "auc_hard", "MCC": "mcc", "AUC of scores": "auc"}
"""Heading of a metric -> its column of the results; the paper's AUC is that of predicted labels."""

PAPER_TABLES = {"mi": ("1a", "1b"), "chd": ("2a", "2b")}
"""Study -> numbers of the paper's table of metrics by target and of its table of accuracies by split."""

Lines = Mapping[str, Sequence[tuple[str, str]]]
"""Variant -> split and target of every run that is planned for a study."""


def printed_tables(results: pd.DataFrame, lines: Lines, study: str, protocol: str) -> list[Table]:
    """Return the paper's tables of one study under one protocol, or the same tables of another study.

    The accuracies of the pancreas study are in Table 3 (``table_three``).

    Args:
        results: a row for each run and target (``report.results.results_table``).
        lines: all planned runs, so that no mean is taken over a part of them.
        study, protocol: names.
    """
    ours = results[(results["study"] == study) & (results["protocol"] == protocol)]
    made = [_by_target(ours, lines, study, protocol)]
    if study != PANCREAS:
        made.append(_by_split(ours, lines, study, protocol))
    if study == "chd":
        made.append(_before_averaging(ours, lines, study, protocol))
    return [table for table in made if table.rows]


def _by_target(ours: pd.DataFrame, lines: Lines, study: str, protocol: str) -> Table:
    """Return Table 1a or 2a: every metric, averaged over the splits of a target."""
    number = PAPER_TABLES.get(study, ("", ""))[0]
    columns = {
        "Before calibration": ("before_calibration", cells_of(ours, "baseline", METRICS), ""),
        "Pairwise": ("pairwise", cells_of(ours, "pairwise", METRICS, ONE_SOURCE), ONE_SOURCE),
        "Joint": ("joint", cells_of(ours, "joint", METRICS), ""),
    }
    printed: dict[tuple[str, Key], float] = {
        (column, (target, metric)): value
        for column, (name, *_) in columns.items()
        for (method, _, target, metric), value in printed_numbers(number).items()
        if method == name and target != "average"
    }
    targets = sorted({t for _, t in lines.get("", ())} | {target for _, (target, *_) in printed})
    means: dict[str, Cells] = {
        column: {
            (target, metric): means_over(cells, _keys(target, metric, lines.get(variant, ())))
            for target in targets
            for metric in METRICS
        }
        for column, (_, cells, variant) in columns.items()
    }
    heading = Heading(
        number,
        f"table_{number or f'metrics_{study}'}_{protocol}",
        f"{spelled(study)}, metrics by target, protocol {protocol}",
        ("target", "metric"),
        "Mean over the splits that have this batch as target; pairwise calibration has one source at a time. "
        "AUC is that of predicted labels, as the authors compute it. "
        f"{_settings(ours, ('baseline', 'pairwise', 'joint'))}",
        f"make reproduce-all STUDIES={study} METHODS=baseline,pairwise,joint PROTOCOLS=paper,released",
    )
    return table_beside(heading, [(t, m) for t in targets for m in METRICS], means, printed)


def _by_split(ours: pd.DataFrame, lines: Lines, study: str, protocol: str) -> Table:
    """Return Table 1b or 2b: the accuracy of every method on every split."""
    number = PAPER_TABLES.get(study, ("", ""))[1]
    printed: dict[tuple[str, Key], float] = {
        (METHODS[method], (sources, target)): value
        for (method, sources, target, metric), value in printed_numbers(number).items()
        if metric == "ACC"
    }
    keys = sorted(
        {(sources_of(split), t) for split, t in lines.get("", ())} | {k for _, k in printed} - {AVERAGE}
    )
    columns: dict[str, Cells] = {}
    extremes = {}
    for method, column in METHODS.items():
        cells = {key[:2]: v for key, v in cells_of(ours, method, ["ACC"]).items()}
        columns[column] = {**cells, AVERAGE: means_over(cells, keys)}
        extremes[column] = _extremes(cells, keys)
    if not any(columns[METHODS["pairwise"]].values()):
        del columns[METHODS["pairwise"]]  # Tables 1b and 2b have no such column
    heading = Heading(
        number,
        f"table_{number or f'accuracy_{study}'}_{protocol}",
        f"{spelled(study)}, accuracy of every method, protocol {protocol}",
        ("sources", "target"),
        "Accuracy at sample level; average: mean over all lines, of the seeds that have them all, and below "
        "it the means of the target batch with the lowest and of that with the highest. "
        f"{_settings(ours, METHODS)} † uses target labels: a reference, not a method, and without a rank.",
        f"make reproduce-all STUDIES={study}",
    )
    return table_beside(heading, [*keys, AVERAGE], columns, printed, extremes)


def _before_averaging(ours: pd.DataFrame, lines: Lines, study: str, protocol: str) -> Table:
    """Return Table S1: the metrics of Table 2a before averaging, with the gains that the text quotes."""
    before, after = (cells_of(ours, method, METRICS) for method in ("baseline", "joint"))
    gain = {
        key: {seed: values[seed] - before[key][seed] for seed in values if seed in before.get(key, {})}
        for key, values in after.items()
    }
    keys = sorted(
        {(sources_of(split), t) for split, t in lines.get("", ())} | {key[:2] for key in QUOTED_GAINS}
    )
    heading = Heading(
        "S1",
        f"table_S1_{protocol}",
        f"{spelled(study)}, metrics before averaging, protocol {protocol}",
        ("sources", "target", "metric"),
        "The paper's own cells are not public; printed are the gains that its text quotes from them. "
        "Gain: joint minus before calibration, of the same seed. AUC is that of predicted labels. "
        f"{_settings(ours, ('baseline', 'joint'))}",
        f"make reproduce-all STUDIES={study} METHODS=baseline,joint",
    )
    columns = {"Before calibration": before, "Joint": after, "Gain": gain}
    printed: dict[tuple[str, Key], float] = {("Gain", key): value for key, value in QUOTED_GAINS.items()}
    return table_beside(heading, [(*key, metric) for key in keys for metric in METRICS], columns, printed)


def lines_of(jobs: Iterable[Job]) -> Lines:
    """Return variant -> split and target of every planned run of a study."""
    lines: dict[str, dict[tuple[str, str], None]] = {}
    for job in jobs:
        for target in job.run.split.targets:
            lines.setdefault(job.variant, {})[job.run.split.label, target] = None
    return {variant: list(of_variant) for variant, of_variant in lines.items()}


def cells_of(ours: pd.DataFrame, method: str, metrics: Iterable[str], variant: str = "") -> Cells:
    """Return (sources, target, metric) -> seed -> value of one method, without undefined values."""
    chosen = ours[(ours["method"] == method) & (ours["variant"] == variant)]
    cells: Cells = {}
    for row in chosen.to_dict("records"):
        for metric in metrics:
            if not pd.isna(value := row[METRICS[metric]]):
                key = (sources_of(row["split"]), row["target"], metric)
                cells.setdefault(key, {})[int(row["seed"])] = float(value)
    return cells


def _keys(target: str, metric: str, lines: Sequence[tuple[str, str]]) -> list[Key]:
    """Return the cells of one target and metric."""
    return [(sources_of(split), name, metric) for split, name in lines if name == target]


def sources_of(split: str) -> str:
    """Return the sources in a split's label, which are positions (12_3) or names (a+b:c)."""
    return split.partition(":" if ":" in split else "_")[0]


def means_over(cells: Cells, keys: Sequence[Key]) -> dict[int, float]:
    """Return seed -> mean over the keys, for the seeds that have every key."""
    by_key = [cells.get(key, {}) for key in keys]
    if not by_key:
        return {}
    seeds = sorted(set.intersection(*(set(values) for values in by_key)))
    return {seed: mean(values[seed] for values in by_key) for seed in seeds}


def _extremes(cells: Cells, keys: Sequence[Key]) -> tuple[float, float]:
    """Return the lowest and the highest mean of a target over its lines, of seeds that have every line."""
    seeds = means_over(cells, keys)
    by_target: dict[str, list[float]] = {}
    for key in keys if seeds else ():
        by_target.setdefault(key[1], []).append(mean(cells[key][seed] for seed in seeds))
    means = [mean(values) for values in by_target.values()]
    return min(means, default=nan), max(means, default=nan)


def _settings(ours: pd.DataFrame, methods: Iterable[str]) -> str:
    """Return the sentences of a caption on how the settings of its methods were chosen."""
    shown = ours[ours["variant"].isin(["", ONE_SOURCE])]
    words = dict(zip(shown["method"], shown["chosen_by"], strict=True))
    names: dict[str, list[str]] = {}
    for method in methods:
        if method in words:
            names.setdefault(words[method], []).append(METHODS[method].removesuffix(" †"))
    listed = [f"{', '.join(names[word])}: {how}" for word, how in CHOSEN_BY.items() if word in names]
    return f"{EVERY_RUN} Settings of {'; '.join(listed)}." if listed else EVERY_RUN


def printed_numbers(table: str) -> dict[tuple[str, str, str, str], float]:
    """Return (method, sources, target, metric) -> value of one of the paper's tables."""
    rows = paper_numbers()
    chosen = rows[rows["table"] == table]
    keys = zip(*(chosen[name] for name in ("method", "sources", "target", "metric")), strict=True)
    return dict(zip(keys, chosen["value"], strict=True))
