"""What README and docs say of the archived runs, each thing computed once when it is first asked for."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from calib.data.study import Study
from calib.errors import CalibError
from calib.records.record import Finished
from calib.report.beyond.attribution import walk_numbers
from calib.report.beyond.comparison import comparison_numbers
from calib.report.beyond.growth import growth_numbers
from calib.report.beyond.named import named_numbers
from calib.report.beyond.section import SERIES, TABLES
from calib.report.beyond.trust import trust_numbers, trusted
from calib.report.claims.tables import claims_table
from calib.report.claims.verdicts import verdicts
from calib.report.exhibits import Table, Verdict
from calib.report.groups import Group, group_jobs
from calib.report.mixes.section import Mixes
from calib.report.mixes.tables import choice_table
from calib.report.paper import PROTOCOLS
from calib.report.printed import Lines, lines_of, printed_tables
from calib.report.promises import promises_table
from calib.report.results import results_table
from calib.report.table_three import table_three
from calib.report.zoo.section import Zoo, apart_from_zoo
from calib.runs.archive import Archive
from calib.runs.planner import Job, Planner
from calib.runs.series import ARCHIVED, PLAN, read_series

PAPER = ("paper", "readings", "notes")
"""Lists of conf/reproduce.yaml behind docs/paper.md and docs/pancreas.md."""

JUDGED = ("mi", "chd")
"""Studies whose claims the docs judge."""


class Archived:
    """The archived runs of the plan, and all numbers that come from them; nothing is trained or loaded.

    Args:
        conf: folder of the configuration.
        archive: the archive.
        lists: the lists of conf/reproduce.yaml to look at, with commas between them.

    Attributes:
        jobs: all planned runs on archived studies.
        finished: those that are archived, with their names in the plan.
    """

    def __init__(self, conf: Path, archive: Archive, lists: str = ARCHIVED) -> None:
        self.archive = archive
        planner = Planner(conf, Path("archive"), load=archive.load)
        entries = [one.narrowed(studies=archive.studies()) for one in read_series(conf / PLAN, lists)]
        self.jobs: Sequence[Job] = planner.jobs([one for one in entries if one])
        found = ((job, archive.finished(job)) for job in self.jobs)
        self.finished: Sequence[Finished] = [one for _, one in found if one is not None]

    @cached_property
    def studies(self) -> Mapping[str, Study]:
        """Return every archived study without its measured values, by name."""
        return {name: self.archive.study(name) for name in self.archive.studies()}

    @cached_property
    def results(self) -> pd.DataFrame:
        """Return the runs of the paper's lists, one row a run and target."""
        return results_table(one for one in self.finished if set(one.series) & set(PAPER))

    @cached_property
    def verdicts(self) -> Sequence[Verdict]:
        """Return the verdicts on the paper's claims."""
        judged = {name: self.studies[name] for name in JUDGED if name in self.studies}
        published = [one for one in self.finished if "paper" in one.series]
        return verdicts(published, judged, common=lambda study: self.archive.facts(study.name)["common"])

    @cached_property
    def lines(self) -> Mapping[str, Lines]:
        """Return study -> variant -> split and target of all planned runs of the paper's tables."""
        return {name: lines_of(self._of(name, ["paper"])) for name in self.studies}

    @cached_property
    def _groups(self) -> Mapping[str, Sequence[Group]]:
        """Return study -> the groups of runs that the tables beyond the paper compare."""
        lists = ["paper", *SERIES.split(",")]
        return {name: group_jobs(self._of(name, lists), self.finished) for name in self.studies}

    @cached_property
    def zoo(self) -> Zoo | None:
        """Return the comparison on public studies, or None where nothing of it is archived."""
        _, jobs = apart_from_zoo(self.jobs)
        names = dict.fromkeys(job.run.study.name for job in jobs)
        groups = {
            name: group_jobs([job for job in jobs if job.run.study.name == name], self.finished)
            for name in names
        }
        found = Zoo(groups)
        return None if found.numbers.empty else found

    @cached_property
    def mixes(self) -> Mixes:
        """Return the scores on targets of another class mix or size, which have files of their own."""
        return Mixes.of_files(self.archive.folder.parent)

    @cached_property
    def mix_choice(self) -> Table:
        """Return the log of what was tried for the estimate of a class mix."""
        return choice_table(pd.read_csv(self.archive.folder.parent / "mix_choice.csv"))

    @cached_property
    def promises(self) -> Table | None:
        """Return what ``calib answer`` promised for blank plates, beside what was true."""
        file = self.archive.folder.parent / "answers.csv"
        return promises_table(pd.read_csv(file, dtype={"plate": str})) if file.is_file() else None

    def group(self, study: str, method: str, protocol: str, variant: str = "") -> Group:
        """Return the runs of a method.

        Raises:
            CalibError: they are not planned.
        """
        for group in self._groups.get(study, ()):
            if (group.method, group.protocol, group.variant) == (method, protocol, variant):
                return group
        named = " ".join((study, method, protocol, variant)).strip()
        raise CalibError(f"The plan has no archived study and runs called '{named}'.")

    def _of(self, study: str, lists: Sequence[str]) -> list[Job]:
        """Return the planned runs of a study that one of these lists has."""
        return [job for job in self.jobs if job.run.study.name == study and set(job.series) & set(lists)]

    def numbers(self, kind: str, study: str) -> pd.DataFrame:
        """Return the numbers of a table beyond the paper; no row where nothing of it is archived."""
        groups = self._groups.get(study)
        if not groups:
            return pd.DataFrame()
        if kind == "trust":
            return trust_numbers(study, trusted(groups))
        makers = {
            "comparison": comparison_numbers,
            "attribution": walk_numbers,
            "growth": growth_numbers,
            "named": named_numbers,
        }
        return makers[kind](study, groups)

    def beyond(self, kind: str, study: str) -> Table | None:
        """Return a table beyond the paper, or None where nothing of it is archived."""
        key = kind, study
        if key not in self._beyond:
            numbers = self.numbers(kind, study)
            self._beyond[key] = TABLES[kind](study, numbers) if len(numbers) else None
        return self._beyond[key]

    @cached_property
    def _beyond(self) -> dict[tuple[str, str], Table | None]:
        """Return the tables that have been made."""
        return {}

    def printed(self, study: str, protocol: str) -> list[Table]:
        """Return the paper's tables of a study under one protocol."""
        return printed_tables(self.results, self.lines[study], study, protocol)

    def three(self, protocol: str) -> Table:
        """Return Table 3 under one protocol."""
        return table_three(self.results, self.lines, protocol)

    def tables(self) -> list[Table]:
        """Return all tables."""
        of_paper = [] if self.results.empty else [name for name in self.studies if self._of(name, PAPER)]
        printed = [table for name in of_paper for p in PROTOCOLS for table in self.printed(name, p)]
        made = (self.beyond(kind, name) for kind in TABLES for name in self.studies)
        beyond = [table for table in made if table]
        threes = [self.three(protocol) for protocol in PROTOCOLS] if of_paper else []
        public = self.zoo.tables() if self.zoo else []
        return [
            *printed,
            *threes,
            claims_table(self.verdicts),
            *beyond,
            *public,
            *self.mixes.tables(),
        ]
