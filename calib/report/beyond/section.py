"""The report's section beyond the paper: comparison, attribution, trust and evidence, as far as recorded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from calib.records.record import Record
from calib.report.beyond.attribution import walk_figure, walk_numbers, walk_table
from calib.report.beyond.comparison import comparison_numbers, comparison_table
from calib.report.beyond.growth import compares, growth_figure, growth_numbers, growth_table
from calib.report.beyond.named import named_table
from calib.report.beyond.trust import trust_figure, trust_numbers, trust_table, trusted
from calib.report.exhibits import Table
from calib.report.figures.gallery import Gallery
from calib.report.groups import Group
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.report.paper import PROTOCOLS, spelled
from calib.report.printed import METHODS
from calib.runs.series import Job

TABLES: Mapping[str, Callable[[str, pd.DataFrame], Table]] = {
    "comparison": comparison_table,
    "attribution": walk_table,
    "trust": trust_table,
    "growth": growth_table,
    "named": named_table,
}
"""Kind -> table from a study and its numbers; the kind and the study are the table's name."""

TEXT = (
    "What the paper does not have: other methods under the same rules, what each option is worth, whether a "
    "probability can be believed, and how much evidence it takes. The section shows what has been run by now."
)

SERIES = "beyond,attribution,trust,growth,named"


def is_beyond(job: Job) -> bool:
    """Whether a run is none of the paper's: another method, or a protocol of ours."""
    config = job.run.config
    return config.method.name not in METHODS or config.protocol.name not in PROTOCOLS


def beyond_section(found: Mapping[str, Sequence[Group]], folder: Path) -> Section | None:
    """The section, or None where nothing of it is recorded.

    Args:
        found: study -> its settings.
        folder: of the figures, which are written here with the numbers behind them.

    Raises:
        CalibError: a record cannot be read, or the folder cannot be written to.
    """
    tables: list[Table] = []
    gallery = Gallery(folder)
    Record(folder).make_folder()
    for study, its in found.items():
        made = _study(study, its, gallery)
        tables += [TABLES[kind](study, numbers) for kind, numbers in made.items()]
    if not tables:
        return None
    shown = [Shown(one, folder, f"make report SERIES=paper,{SERIES}") for one in gallery.drawn]
    return Section("Beyond the paper", TEXT, tables, shown)


def _study(study: str, found: Sequence[Group], gallery: Gallery) -> dict[str, pd.DataFrame]:
    """Kind -> numbers, of what has any; their figures are added to the gallery."""
    made: dict[str, pd.DataFrame] = {}
    if any(one.runs and is_beyond(one.jobs[0]) for one in found if not one.variant):
        made["comparison"] = comparison_numbers(study, found)
    steps = walk_numbers(study, found)
    if len(steps) and steps["change_value"].notna().any():
        made["attribution"] = steps
        gallery.add(
            f"attribution_{study}",
            f"What each option is worth: {spelled(study)}",
            "Accuracy of the joint model along each walk (left) and the change at each step (right), with "
            "95 % intervals of a bootstrap of whole subjects and of seeds; every step sets one option more.",
            walk_figure(steps),
        )
    judged = trusted(found)
    if any(one.group.method not in METHODS for one in judged):
        made["trust"] = trust_numbers(study, judged)
        gallery.add(
            f"trust_{study}",
            f"May a prediction be trusted? {spelled(study)}",
            "a: accuracy against confidence of all splits' targets and seeds, in 15 bins, those with at "
            "least 0.5 % of the samples; dashed: a probability that means what it says; hollow: after a "
            "temperature fitted on source labels alone. b: share of wrong answers where the least confident "
            "samples get none, mean over targets and seeds.",
            trust_figure(judged),
        )
    counts = growth_numbers(study, found)
    if compares(counts):
        made["growth"] = counts
        gallery.add(
            f"growth_{study}",
            f"How much evidence it takes: {spelled(study)}",
            "Accuracy against the number of source batches (left) and of labelled subjects (right), with 95 "
            "% intervals of a bootstrap of whole subjects and of seeds.",
            growth_figure(counts),
        )
    for kind, numbers in made.items():
        if kind != "comparison":  # which has no figure
            Record(gallery.folder).write_table(f"{kind}_{study}.csv", numbers, digits=6)
    return made
