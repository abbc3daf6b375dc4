"""The report's section beyond the paper: comparison, attribution, trust and growth, as far as recorded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from calib.records.record import Record
from calib.report.beyond.attribution import walk_figure, walk_numbers, walk_table
from calib.report.beyond.comparison import comparison_numbers, comparison_table
from calib.report.beyond.growth import compares, growth_figure, growth_numbers, growth_table
from calib.report.beyond.named import named_table
from calib.report.beyond.trust import trust_numbers, trust_table, trusted
from calib.report.beyond.trust_figure import Curves, trust_figure
from calib.report.exhibits import Table
from calib.report.figures.gallery import Gallery, draw_waiting
from calib.report.groups import Group
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.report.paper import PROTOCOLS, spelled
from calib.report.printed import METHODS
from calib.report.readings import INTERVALS
from calib.runs.planner import Job

TABLES: Mapping[str, Callable[[str, pd.DataFrame], Table]] = {
    "comparison": comparison_table,
    "attribution": walk_table,
    "trust": trust_table,
    "growth": growth_table,
    "named": named_table,
}
"""Kind of table -> function that makes it from a study and its numbers; kind and study are its name."""

TEXT = (
    "What the paper does not have: other methods under the same rules, what each option is worth, whether a "
    "probability can be believed, and how much evidence it takes. The section shows what has been run by now."
)

ATTRIBUTION = (
    "Accuracy of the joint model along each walk, and the change at each step; every step sets "
    f"one option more. {INTERVALS}"
)
TRUST = (
    "a: accuracy against confidence of all splits' targets and seeds, in 15 bins, those with at least 0.5 % "
    "of the samples; dashed: a probability that means what it says; hollow: after a temperature fitted on "
    "source labels alone. b: share of wrong answers where the least confident samples get none, mean over "
    "targets and seeds."
)
GROWTH = f"Accuracy against the number of source batches and of labelled subjects. {INTERVALS}"
"""Captions of the figures."""

SERIES = "beyond,attribution,trust,growth,named"
"""Lists of conf/reproduce.yaml that make the runs of the section."""


def is_beyond(job: Job) -> bool:
    """Return whether a run is not one of the paper's: its method or its protocol is ours."""
    config = job.run.config
    return config.method.name not in METHODS or config.protocol.name not in PROTOCOLS


def beyond_section(studies: Mapping[str, Sequence[Group]], folder: Path) -> Section | None:
    """Return the section, or None if nothing of it is recorded.

    Args:
        studies: name of a study -> its groups of runs.
        folder: folder of the figures, which are written here with the numbers behind them.

    Raises:
        CalibError: a record cannot be read, or the folder cannot be written to.
    """
    tables: list[Table] = []
    gallery = Gallery(folder)
    for study, groups in studies.items():
        numbers = _draw(study, groups, gallery)
        if _has_method_beyond(groups):
            numbers = {"comparison": comparison_numbers(study, groups)} | numbers
        tables += [TABLES[kind](study, rows) for kind, rows in numbers.items()]
    if not tables:
        return None
    draw_waiting([gallery])
    shown = [Shown(drawn, folder, f"make report SERIES=paper,{SERIES}") for drawn in gallery.drawn]
    return Section("Beyond the paper", TEXT, tables, shown)


def _has_method_beyond(groups: Sequence[Group]) -> bool:
    """Return whether a run beyond the paper is recorded with the published values."""
    return any(group.runs and is_beyond(group.jobs[0]) for group in groups if not group.variant)


def _draw(study: str, groups: Sequence[Group], gallery: Gallery) -> dict[str, pd.DataFrame]:
    """Draw the figures of one study, and write and return the numbers behind each, by kind."""
    numbers: dict[str, pd.DataFrame] = {}
    steps = walk_numbers(study, groups)
    if len(steps) and steps["change_value"].notna().any():
        numbers["attribution"] = steps
        title = f"What each option is worth: {spelled(study)}"
        gallery.add(f"attribution_{study}", title, ATTRIBUTION, walk_figure, steps)
    methods = trusted(groups)
    if any(method.group.method not in METHODS for method in methods):
        numbers["trust"] = trust_numbers(study, methods)
        title = f"May a prediction be trusted? {spelled(study)}"
        gallery.add(f"trust_{study}", title, TRUST, trust_figure, list(map(Curves.of, methods)))
    counts = growth_numbers(study, groups)
    if compares(counts):
        numbers["growth"] = counts
        title = f"How much evidence it takes: {spelled(study)}"
        gallery.add(f"growth_{study}", title, GROWTH, growth_figure, counts)
    for kind, rows in numbers.items():
        Record(gallery.folder).write_table(f"{kind}_{study}.csv", rows, digits=6)
    return numbers
