"""The report of a reproduction: tables, figures and verdicts from run records, and the page of them all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from calib.data.study import Study
from calib.errors import CalibError
from calib.records.record import Finished, Record
from calib.report.beyond.named import named_section
from calib.report.beyond.section import beyond_section, is_beyond
from calib.report.claims.verdicts import claims_table, verdicts
from calib.report.costs import cost_table
from calib.report.exhibits import Table, write_table
from calib.report.figures.draw import Figures, draw
from calib.report.groups import settings
from calib.report.page.page import Content, Section, write_page
from calib.report.page.parts import Shown
from calib.report.paper import PROTOCOLS, spelled
from calib.report.printed import Lines, printed_tables
from calib.report.results import result_rows
from calib.runs.series import Job


def write_report(
    jobs: Sequence[Job], studies: Mapping[str, Study], out: Path, workers: int, failures: Mapping[str, str]
) -> Path:
    """Write ``<out>/report/``: tables, figures, ``runs.csv`` and ``index.html``, from what is recorded.

    Args:
        jobs: all runs that there should be.
        studies: name -> study, with its values as loaded, not scaled.
        workers: how many figures are drawn at once.
        failures: run or study -> why it is missing.

    Returns:
        The page.

    Raises:
        CalibError: nothing is recorded, a record does not fit its study, or the folder cannot be written to.
    """
    folder = out / "report"
    with Record(folder).locked():  # by another sweep, which draws the same from the same records
        return _written(jobs, studies, folder, workers, failures)


def _written(
    jobs: Sequence[Job], studies: Mapping[str, Study], folder: Path, workers: int, failures: Mapping[str, str]
) -> Path:
    damaged = [sentence for job in jobs if (sentence := job.run.record.damage())]
    finished = [one for job in jobs if (one := job.finished)]
    if not finished:
        raise CalibError(
            f"Nothing of what is planned is recorded in {folder.parent}, so there is nothing to report."
        )
    results = pd.DataFrame([{"variant": f.variant} | row for f in finished for row in result_rows(f.result)])
    Record(folder).write_table("runs.csv", results, digits=6)

    protocols = [p for p in PROTOCOLS if any(job.run.config.protocol.name == p for job in jobs)]
    by_study = {name: [job for job in jobs if job.run.study.name == name] for name in studies}
    of_paper = {name: [job for job in part if not is_beyond(job)] for name, part in by_study.items()}
    tables = {name: _tables(results, part, name, protocols) for name, part in of_paper.items()}
    figures = {
        name: draw(studies[name], part, folder / "figures", workers) for name, part in of_paper.items()
    }
    grouped = {name: settings(part, finished) for name, part in by_study.items()}
    others = [
        section
        for section in (
            beyond_section(grouped, folder / "figures"),
            named_section(grouped, folder / "figures", workers),
        )
        if section
    ]
    silhouettes = {path: one for drawn in figures.values() for path, one in drawn.silhouettes.items()}
    found = verdicts(finished, studies, silhouettes, protocols)
    costs = [cost_table(results, name) for name in studies]
    ours = [table for section in others for table in section.tables]
    for table in (*(t for group in tables.values() for t in group), *ours, *costs, claims_table(found)):
        write_table(table, folder / "tables")

    failed = [f"{what}: {why}" for what, why in failures.items()]
    sections = [_section(studies[name], tables[name], figures[name], folder / "figures") for name in studies]
    content = Content(
        verdicts=found,
        sections=[*sections, *others, Section("Cost", tables=costs)],
        missing=[*failed, *damaged, *(sentence for drawn in figures.values() for sentence in drawn.missing)],
        facts=_facts(finished, len(jobs)),
        tables=folder / "tables",
    )
    write_page(folder / "index.html", content)
    return folder / "index.html"


def _tables(results: pd.DataFrame, jobs: Sequence[Job], study: str, protocols: Sequence[str]) -> list[Table]:
    lines: dict[str, dict[tuple[str, str], None]] = {}
    for job in jobs:
        for target in job.run.split.targets:
            lines.setdefault(job.variant, {})[job.run.split.label, target] = None
    planned: Lines = {variant: list(found) for variant, found in lines.items()}
    return [table for protocol in protocols for table in printed_tables(results, planned, study, protocol)]


def _section(study: Study, tables: Sequence[Table], figures: Figures, folder: Path) -> Section:
    """A study's part of the page: all its tables, the figures of its first split under each protocol."""
    name = study.name
    shown: dict[str, list[str]] = {}
    for protocol, split in figures.splits:
        shown.setdefault(protocol, []).append(split)
    first = [figures.splits[protocol, splits[0]] for protocol, splits in shown.items()]
    command = f"make report STUDIES={name}"
    samples = sum(len(batch) for batch in study.batches.values())
    text = (
        f"{len(study.batches)} batches, {samples} samples, {len(study.features)} features, "
        f"{len(study.classes)} classes. The maps and distances below are those of the first split; "
        "those of the others lie in the folder of the figures."
    )
    drawn = [one for gallery in (*first, figures.study) for one in gallery.drawn]
    return Section(spelled(name), text, tables, [Shown(one, folder, command) for one in drawn])


def _facts(finished: Sequence[Finished], planned: int) -> dict[str, dict[str, object]]:
    """Hardware, versions, checksums and code of all records; several values where they differ."""
    results = [one.result for one in finished]

    def every(group: str) -> dict[str, object]:
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
