"""The report of a reproduction: tables, figures and verdicts from run records, and the page of them all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from calib.data.study import Study
from calib.errors import CalibError
from calib.records.record import Finished, Record
from calib.report.beyond.named import named_section
from calib.report.beyond.section import beyond_section, is_beyond
from calib.report.cautions_table import cautions_section
from calib.report.claims.tables import claims_table
from calib.report.claims.verdicts import verdicts
from calib.report.costs import cost_table
from calib.report.exhibits import Table, write_table
from calib.report.figures.draw import Figures, draw
from calib.report.forests import forests
from calib.report.groups import group_jobs
from calib.report.made_by import as_run
from calib.report.mixes.section import apart_from_mixes, mix_section
from calib.report.page.page import Content, Section, write_page
from calib.report.page.parts import Shown
from calib.report.paper import PANCREAS, PARTS_OF_PANCREAS, PROTOCOLS, spelled
from calib.report.printed import Lines, lines_of, printed_tables
from calib.report.results import results_table
from calib.report.table_three import table_three
from calib.report.zoo.section import apart_from_zoo, zoo_section
from calib.runs.planner import Job

FAMILY = (PANCREAS, *PARTS_OF_PANCREAS)
"""Studies of Table 3."""

TABLE_THREE = "Table 3: pancreas"
"""Title of the section with Table 3."""


def write_report(
    jobs: Sequence[Job], studies: Mapping[str, Study], out: Path, workers: int, failures: Mapping[str, str]
) -> Path:
    """Write ``<out>/report/``: tables, figures, ``runs.csv`` and ``index.html``, from the recorded runs.

    Args:
        jobs: all planned runs.
        studies: name -> study, with its values as loaded, not scaled.
        out: folder of the records.
        workers: number of figures drawn at once.
        failures: run or study -> the reason why it is missing.

    Returns:
        The page.

    Raises:
        CalibError: nothing is recorded, a record does not fit its study, or the folder cannot be written to.
    """
    folder = out / "report"
    with Record(folder).locked():  # another sweep may draw the same figures from the same records
        return _written(jobs, studies, folder, workers, failures)


def _written(
    jobs: Sequence[Job], studies: Mapping[str, Study], folder: Path, workers: int, failures: Mapping[str, str]
) -> Path:
    """Write the report and return its page."""
    damaged = [sentence for job in jobs if (sentence := job.run.record.damage())]
    finished = [record for job in jobs if (record := job.finished)]
    if not finished:
        raise CalibError(
            f"Nothing of what is planned is recorded in {folder.parent}, so there is nothing to report."
        )
    results = results_table(finished)
    Record(folder).write_table("runs.csv", results, digits=6)

    everything = jobs
    jobs, of_mix = apart_from_mixes(jobs)
    jobs, of_zoo = apart_from_zoo(jobs)
    studies = {name: study for name, study in studies.items() if any(name == j.run.study.name for j in jobs)}
    kept = {job.run.record.path for job in jobs}
    all_finished, finished = finished, [record for record in finished if record.path in kept]
    protocols = [p for p in PROTOCOLS if any(job.run.config.protocol.name == p for job in jobs)]
    by_study = {name: [job for job in jobs if job.run.study.name == name] for name in studies}
    of_paper = {name: [job for job in part if not is_beyond(job)] for name, part in by_study.items()}
    lines = {name: lines_of(part) for name, part in of_paper.items()}
    tables = {name: _printed_tables(results, of_study, name, protocols) for name, of_study in lines.items()}
    figures = {
        name: draw(studies[name], part, folder / "figures", workers) for name, part in of_paper.items()
    }
    further = _further_sections(by_study, finished, folder / "figures", workers)
    if public := zoo_section(of_zoo, all_finished, folder / "figures"):
        further.append(public)
    if mixed := mix_section(of_mix, all_finished, folder / "figures"):
        further.append(mixed)
    if warned := cautions_section(finished):
        further.append(warned)
    judged = verdicts(finished, studies, protocols)
    costs = [table for name in studies if (table := cost_table(results, name)).rows]
    threes = [table_three(results, lines, protocol) for protocol in protocols]
    threes = [table for table in threes if table.numbers["ours"].notna().any()]
    sections = [
        _section(study, by_study[name], tables[name], figures[name], folder / "figures")
        for name, study in studies.items()
    ]
    if threes:
        place = next((i for i, name in enumerate(studies) if name in FAMILY), len(sections))
        sections.insert(place, Section(TABLE_THREE, _about_table_three(failures), threes))
    sections += [*further, *([Section("Cost", tables=costs)] if costs else [])]
    sections = [_as_run(section, everything, folder.parent) for section in sections]
    for table in (*(table for section in sections for table in section.tables), claims_table(judged)):
        write_table(table, folder / "tables")
    failed = [f"{name}: {reason}" for name, reason in failures.items()]
    if lacking := len(everything) - len(all_finished):
        failed.append(f"{lacking:,} of {len(everything):,} planned runs are not recorded.")
    content = Content(
        verdicts=judged,
        forests=forests({name: group_jobs(part, finished) for name, part in of_paper.items()}),
        sections=sections,
        missing=[*failed, *damaged, *(sentence for drawn in figures.values() for sentence in drawn.missing)],
        facts=_facts(all_finished, len(everything)),
        tables=folder / "tables",
    )
    write_page(folder / "index.html", content)
    return folder / "index.html"


def _as_run(section: Section, jobs: Sequence[Job], out: Path) -> Section:
    """Return a section whose commands make what it shows when they are typed as printed."""
    tables = [replace(table, command=as_run(table.command, jobs, out)) for table in section.tables]
    figures = [replace(shown, command=as_run(shown.command, jobs, out)) for shown in section.figures]
    return replace(section, tables=tables, figures=figures)


def _printed_tables(results: pd.DataFrame, lines: Lines, study: str, protocols: Sequence[str]) -> list[Table]:
    """Return the paper's tables of one study under each protocol, those that have a number of ours."""
    made = [table for protocol in protocols for table in printed_tables(results, lines, study, protocol)]
    return [table for table in made if table.numbers["ours"].notna().any()]


def _about_table_three(failures: Mapping[str, str]) -> str:
    """Return the text above Table 3."""
    missing = f"The paper's study is not here: {failures[PANCREAS]} " if PANCREAS in failures else ""
    return missing + "Maps and distances of each study are in its own section."


def _further_sections(
    jobs: Mapping[str, Sequence[Job]], finished: Sequence[Finished], figures: Path, workers: int
) -> list[Section]:
    """Return the sections on methods that are not in the paper's tables, as far as they are recorded."""
    groups = {name: group_jobs(part, finished) for name, part in jobs.items()}
    sections = (
        beyond_section(groups, figures),
        named_section(groups, figures, workers),
    )
    return [section for section in sections if section]


def _section(
    study: Study, jobs: Sequence[Job], tables: Sequence[Table], figures: Figures, folder: Path
) -> Section:
    """Return a study's section: all its tables, and the figures of its first split under each protocol."""
    name = study.name
    splits: dict[str, list[str]] = {}
    for rules, split in figures.splits:
        splits.setdefault(rules, []).append(split)
    if name in PARTS_OF_PANCREAS:  # with two trainings under each protocol, all would make the page long
        splits = {rules: labels for rules, labels in splits.items() if rules.startswith(PROTOCOLS[0])}
    first = [figures.splits[rules, labels[0]] for rules, labels in splits.items()]
    command = f"make report STUDIES={name}"
    samples = sum(len(batch) for batch in study.batches.values())
    text = (
        f"{len(study.batches)} batches, {samples} samples, {len(study.features)} features, "
        f"{len(study.classes)} classes. {_described(jobs)}The maps and distances below are those of the "
        "first split; those of the others lie in the folder of the figures."
    )
    drawn = [figure for gallery in (*first, figures.study) for figure in gallery.drawn]
    return Section(spelled(name), text, tables, [Shown(figure, folder, command) for figure in drawn])


def _described(jobs: Sequence[Job]) -> str:
    """Return a sentence on the data of a study from its card, or "" if it has none."""
    card = jobs[0].run.config.dataset.get("card") if jobs else None
    return f"{card.summary}; licence: {card.licence}; doi {card.doi}. " if card else ""


def _facts(finished: Sequence[Finished], planned: int) -> dict[str, dict[str, object]]:
    """Return hardware, versions, checksums and code of all records, with every value that occurs."""
    results = [record.result for record in finished]

    def every(group: str) -> dict[str, object]:
        """Return name -> all values of a group of facts."""
        names = dict.fromkeys(name for result in results for name in result[group] or {})
        return {
            name: ", ".join(
                dict.fromkeys(str((result[group] or {}).get(name, "unknown")) for result in results)
            )
            for name in names
        }

    checksums = dict.fromkeys((r["study"], r["data_sha256"]) for r in results)
    seconds = sum(result["seconds"]["total"] for result in results)
    return {
        "Runs": {"planned": planned, "recorded": len(finished), "hours of one core": f"{seconds / 3600:.1f}"},
        "Hardware": every("hardware"),
        "Versions": every("versions"),
        "Data (sha256 of values, labels and subjects)": {f"{study}": sha for study, sha in checksums},
        "Code": every("git"),
    }
