"""The result of a search: a table of every setting, and a summary of the published and the chosen one."""

from collections.abc import Sequence
from statistics import mean, stdev

import pandas as pd

from calib.data.split import Split
from calib.report.exhibits import MISSING, Table
from calib.report.numbers import number
from calib.runs.search import RULE, Search, Setting, choose


def search_table(search: Search, split: Split, command: str) -> Table:
    """Return every setting with its accuracy on each source left out; the chosen and published are marked.

    Columns of the numbers: the settings; ``left_out_<batch>``, the mean over seeds; ``mean`` and ``sd`` over
    all of these, empty if a run is missing; ``missing``, the number of missing runs; ``chosen``;
    ``published``; and ``target_<batch>``, the accuracy of the split itself with the two marked settings.
    """
    trials = search.trials(split)
    chosen = choose(trials, search.published)
    rows, shown = [], []
    for trial in trials:
        left_out = {f"left_out_{name}": _mean(values) for name, values in trial.accuracy.items()}
        marks = {"chosen": trial is chosen, "published": trial.setting == search.published}
        outer = search.accuracy(trial.setting, split) if any(marks.values()) else {}
        settings = {key.removeprefix("method."): value for key, value in trial.setting.values.items()}
        results = (
            left_out
            | {"mean": trial.score, "sd": trial.spread, "missing": trial.missing}
            | marks
            | {f"target_{name}": _mean(outer.get(name, [])) for name in split.targets}
        )
        rows.append(settings | results)
        shown.append([*map(str, settings.values()), *map(_text, results.values())])
    numbers = pd.DataFrame(rows)
    name = "_".join((search.study.name, split.label, search.name, search.method, search.protocol))
    title = search_title(search, split)
    return Table(name, title, caption(search, split), list(rows[0]), shown, numbers, command)


def search_title(search: Search, split: Split) -> str:
    """Return a line that names study, split, method, protocol and grid."""
    return f"{search.study.name} {split.label}, {search.method}, protocol {search.protocol}: {search.name}"


def caption(search: Search, split: Split) -> str:
    """Return how the setting was chosen, and from which runs."""
    left = len(split.sources) - 1
    trained = "one source, as the split has two" if left == 1 else f"{left} of the {left + 1} sources"
    return (
        f"Accuracy on each source left out, trained on {trained}; seeds {', '.join(map(str, search.seeds))}. "
        f"Chosen: {RULE}.{search.note}"
    )


def summary(search: Search, split: Split) -> list[str]:
    """Return the published setting beside the chosen one as lines, and the command that runs the latter."""
    trials = search.trials(split)
    chosen = choose(trials, search.published)
    (published,) = (trial for trial in trials if trial.setting == search.published)
    heads = ["", "setting", *(f"left out {s}" for s in split.sources), "mean ± sd"]
    rows = [[*heads, *(f"target {target}" for target in split.targets)]]
    for name, trial in (("published", published), ("chosen", chosen)):
        if trial is not None:
            outer = search.accuracy(trial.setting, split)
            cells = [*trial.accuracy.values(), trial.known if not trial.missing else [None], *outer.values()]
            rows.append([name, _plain(trial.setting), *map(_accuracy, cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines = [search_title(search, split), *map(str.rstrip, lines)]
    if lacking := [trial for trial in trials if trial.missing]:
        lines += [f"Not eligible, {t.missing} runs are missing: {_plain(t.setting)}" for t in lacking]
    if chosen is None:
        return [*lines, "Nothing is chosen: every setting lacks a run."]
    return [*lines, search.command(chosen.setting, split)]


def _plain(setting: Setting) -> str:
    """Return a setting as overrides without their prefix."""
    return " ".join(override.removeprefix("method.") for override in setting.overrides)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None


def _accuracy(values: Sequence[float | None]) -> str:
    """Return mean ± standard deviation as text; a dash if a value is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return MISSING
    return number(mean(known)) + (f" ± {number(stdev(known))}" if len(known) > 1 else "")


def _text(value: bool | int | float | None) -> str:
    """Return the text of a cell: yes or nothing for a mark, three digits for an accuracy."""
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value) if isinstance(value, int) else number(value)
