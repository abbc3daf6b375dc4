"""The section on public studies: tables, ranks, forest, properties, and what of the paper's claim holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from calib.records.record import Finished
from calib.registry import CONF
from calib.report.exhibits import Table
from calib.report.figures.gallery import Gallery, draw_waiting
from calib.report.groups import Group, group_jobs
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.report.zoo.best import best_table
from calib.report.zoo.cards import card_table
from calib.report.zoo.forest import forest_figure
from calib.report.zoo.properties import correlations, study_numbers
from calib.report.zoo.ranks import Ranks, rank_figure, ranked
from calib.report.zoo.scores import Entry, entries, score_numbers, uncalibrated
from calib.report.zoo.tables import (
    claim_table,
    correlation_table,
    metric_table,
    rank_table,
    refusal_table,
    study_table,
)
from calib.runs.planner import Job
from calib.runs.series import public_studies

LISTS = ("zoo", "zoo_slow")
"""Lists of conf/reproduce.yaml that make the runs of the section."""

PAPERS = ("mi", "chd")
"""Studies of the paper that are compared with them."""

FLOOR = "shuffled_labels"
"""A method that learns from labels in random order, so that it shows what chance gives."""

TITLE = "Public studies"

COMMAND = "make report SERIES=zoo,zoo_slow"

TEXT = (
    "Ten public studies of other laboratories and other measurements, divided by name in conf/zoo.yaml "
    "before any method was run on them: later work chooses by the development half, and the confirmation "
    "half is scored once. Each batch is left out in turn. Every method has the settings that it has for MI "
    "where its authors give no others; nothing is tuned for a study."
)

FOREST = (
    "Gain in balanced accuracy over logistic regression on uncalibrated values, paired by subject and seed, "
    "with 95 % intervals. Circle: the interval is above 0; square: below; diamond: 0 is in it. ×: the method "
    "refuses the study or has not been run. Lines that leave the panel are lower than it reaches."
)

RANKS = (
    "Mean rank by balanced accuracy over the studies that all methods here have; 1 is best. A bar joins "
    "methods that Nemenyi's test does not tell apart at .05. With so few studies only large differences can "
    "be told."
)


class Zoo:
    """All numbers of the section, each computed once.

    Args:
        studies: name of a study -> its groups of runs.

    Attributes:
        parts: study -> the part of conf/zoo.yaml that has it.
        studies: name of a study -> its methods, for studies with a score; the paper's are there once no
            calibration has one, so that a few runs of theirs do not take all means and ranks away.
        numbers: the rows of ``scores.score_numbers``.
        properties: the rows of ``properties.study_numbers``.
    """

    def __init__(self, studies: Mapping[str, Sequence[Group]]) -> None:
        self.parts = public_studies(CONF)
        order = [*self.parts, *(name for name in studies if name not in self.parts)]
        found = {name: entries(studies[name]) for name in order if name in studies}
        self.studies: dict[str, list[Entry]] = {
            name: methods
            for name, methods in found.items()
            if (any(one.metrics for one in methods) if name in self.parts else uncalibrated(methods))
        }
        self.numbers: pd.DataFrame = score_numbers(self.studies, self.parts)
        self.properties: pd.DataFrame = study_numbers(self.studies, self.parts)

    def ranks(self) -> Ranks | None:
        """Return the ranks of the methods."""
        return ranked(self._methods.pivot_table(index="study", columns="name", values="balanced_accuracy"))

    @property
    def _methods(self) -> pd.DataFrame:
        """Return the rows of methods: neither references, which use target labels, nor the floor."""
        known = self.numbers
        return known[~known["uses_target_labels"] & (known["method"] != FLOOR)]

    def tables(self) -> list[Table]:
        """Return all tables."""
        found = self.ranks()
        made = [
            card_table(self.parts),
            study_table(self.properties, self._methods),
            *(
                metric_table(metric, self.numbers, self.properties)
                for metric in ("balanced_accuracy", "mcc", "auc")
            ),
            None if found is None else rank_table(found, self.numbers),
            best_table(self.studies, self.parts, (FLOOR,)),
            claim_table(self.studies),
            correlation_table(correlations(self._methods, self.properties)),
            refusal_table(self.studies),
        ]
        return [table for table in made if table is not None]


def apart_from_zoo(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Return the runs of the other sections, and those that this section compares.

    The latter are the runs of its own lists and, on the paper's studies, all others. Without a run of its own
    lists there are none.
    """
    others = [job for job in jobs if not set(job.series) <= set(LISTS)]
    own = [job for job in jobs if set(job.series) & set(LISTS)]
    paper = [job for job in others if job.run.study.name in PAPERS]
    return others, [*own, *paper] if own else []


def zoo_section(jobs: Sequence[Job], finished: Sequence[Finished], folder: Path) -> Section | None:
    """Return the section, or None where nothing of it is recorded.

    Args:
        jobs: the planned runs that it compares.
        finished: the recorded runs.
        folder: folder of the figures, which are written here.

    Raises:
        CalibError: a record cannot be read, the folder cannot be written to, or scikit-posthocs is not there.
    """
    by_study: dict[str, list[Job]] = {}
    for job in jobs:
        by_study.setdefault(job.run.study.name, []).append(job)
    zoo = Zoo({name: group_jobs(own, finished) for name, own in by_study.items()})
    if zoo.numbers.empty:
        return None
    gallery = Gallery(folder)
    title = "Public studies: gain over no calibration"
    gallery.add("zoo_forest", title, FOREST, forest_figure, zoo.numbers, list(zoo.studies))
    if (found := zoo.ranks()) is not None:
        title = "Public studies: ranks of the methods"
        gallery.add("zoo_ranks", title, RANKS, rank_figure, found, stacked=False)
    draw_waiting([gallery])
    return Section(TITLE, TEXT, zoo.tables(), [Shown(drawn, folder, COMMAND) for drawn in gallery.drawn])
