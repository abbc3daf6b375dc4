"""The section on targets of another class mix or another size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from calib.records.record import Finished, Record
from calib.report.exhibits import Table
from calib.report.figures.gallery import Gallery, draw_waiting
from calib.report.mixes.figure import mix_figure, size_figure
from calib.report.mixes.scores import estimate_numbers, mix_numbers
from calib.report.mixes.tables import METRICS, estimate_table, own_table, share_table, size_table
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.runs.planner import Job

FILES = ("class_mix.csv", "class_mix_estimate.csv")
"""Files in docs/results that hold the numbers of the section."""

LISTS = ("mix", "mix_again", "mix_own", "sizes")
"""Lists of conf/reproduce.yaml that make the runs of the section."""

COMMAND = f"make report SERIES={','.join(LISTS)}"

TITLE = "Another class mix, and small batches"

TEXT = (
    "Targets are drawn to have 10 to 90 % cases, or cut into small parts; sources stay as they are. Methods "
    "that scale each batch by itself take it for granted that all batches have the same mix; see "
    "docs/class-mix.md."
)

BY_MIX = (
    "Balanced accuracy over the share of cases in the target; bands are 95 % by subject. Dotted: the true "
    "mix is known, a bound."
)

BY_SIZE = (
    "Balanced accuracy over the number of subjects in the target, all parts of a target together; bands are "
    "95 % by subject."
)


@dataclass(frozen=True)
class Mixes:
    """All numbers of the section.

    Attributes:
        numbers: the rows of ``scores.mix_numbers``.
        estimates: the rows of ``scores.estimate_numbers``.
    """

    numbers: pd.DataFrame
    estimates: pd.DataFrame

    @classmethod
    def of_runs(cls, jobs: Sequence[Job], finished: Sequence[Finished]) -> "Mixes":
        """Return the numbers of the planned runs of its lists that are recorded."""
        return cls(mix_numbers(jobs, finished), estimate_numbers(finished, jobs))

    @classmethod
    def of_files(cls, folder: Path) -> "Mixes":
        """Return the numbers that ``write`` has written into a folder; none where it has written none."""
        if not all((folder / name).is_file() for name in FILES):
            return cls(mix_numbers([], []), estimate_numbers([], []))
        numbers, estimates = (pd.read_csv(folder / name, dtype={"variant": str}) for name in FILES)
        return cls(numbers.fillna({"variant": ""}), estimates)

    def write(self, folder: Path) -> None:
        """Write the numbers into a folder."""
        for name, table in zip(FILES, (self.numbers, self.estimates), strict=True):
            Record(folder).write_table(name, table, digits=6)

    def tables(self) -> list[Table]:
        """Return all tables."""
        made = [
            *(share_table(self.numbers, metric, "mix", COMMAND) for metric in METRICS),
            *(
                share_table(self.numbers, "balanced_accuracy", kind, COMMAND)
                for kind in ("again", "opposite")
            ),
            own_table(self.numbers, COMMAND),
            size_table(self.numbers, COMMAND),
            estimate_table(self.estimates, COMMAND),
        ]
        return [table for table in made if table is not None]

    def draw(self, folder: Path) -> Gallery:
        """Draw the figures into a folder."""
        gallery = Gallery(folder)
        kinds = {"mix": (mix_figure, BY_MIX), "size": (size_figure, BY_SIZE)}
        for kind, (draw, caption) in kinds.items():
            studies = list(dict.fromkeys(self.numbers[self.numbers["kind"] == kind]["study"]))
            if studies:
                title = "Class mix of the target" if kind == "mix" else "Size of the target"
                gallery.add(f"class_{kind}", title, caption, draw, self.numbers, studies)
        draw_waiting([gallery])
        return gallery


def apart_from_mixes(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Return the runs of the other sections, and those of this section."""
    own = [job for job in jobs if set(job.series) & set(LISTS)]
    return [job for job in jobs if not set(job.series) <= set(LISTS)], own


def mix_section(jobs: Sequence[Job], finished: Sequence[Finished], folder: Path) -> Section | None:
    """Return the section, or None where nothing of it is recorded.

    Args:
        jobs: the planned runs of its lists.
        finished: the recorded runs.
        folder: folder of the figures, which are written here.

    Raises:
        CalibError: a record cannot be read, or the folder cannot be written to.
    """
    mixes = Mixes.of_runs(jobs, finished)
    if mixes.numbers.empty:
        return None
    drawn = mixes.draw(folder).drawn
    return Section(TITLE, TEXT, mixes.tables(), [Shown(figure, folder, COMMAND) for figure in drawn])
