"""Write the measured numbers of the docs: docs/results/, and the tables in README.md and docs/*.md.

Without options the records of the planned runs and the verdicts of the report are read from --out, written to
docs/results/*.csv, and all tables are made anew from these files.

A table stands in a page between ``<!-- table: kind arguments -->`` and ``<!-- end -->``. Rows can be chosen
by the texts of their first cells: ``<!-- table: kind arguments | Joint+; ComBat, paper -->`` keeps these rows
and says how many there are in all.

Options: --out FOLDER (where the records are, default outputs), --tables-only (make the tables from the
committed docs/results/*.csv), --check (change nothing; fail if a table or a derived file is not up to date).
"""

import argparse
import re
import shutil
import sys
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from calib.failures import command
from calib.report.beyond.section import SERIES, TABLES
from calib.report.claims.tables import claims_table, verdict_counts, verdicts_table
from calib.report.costs import cost_table
from calib.report.docs.averages import accuracy_by_split, draw_averages
from calib.report.docs.blocks import SINGLE, only
from calib.report.docs.tables import (
    accuracy_table,
    averages_table,
    methods_table,
    metrics_table,
    options_table,
    readings_table,
    settings_table,
    single_source_table,
)
from calib.report.exhibits import Ruling, Table, Verdict, markdown
from calib.report.paper import PARTS_OF_PANCREAS
from calib.report.printed import printed_tables
from calib.report.results import results_table
from calib.report.table_three import table_three
from calib.runs.archive import Archive
from calib.runs.planner import Planner
from calib.runs.series import PLAN, Series, read_series, read_variants
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
RESULTS = ROOT / "docs" / "results" / "runs.csv"
ARCHIVE = RESULTS.with_name("archive")
CLAIMS = RESULTS.with_name("claims.csv")
BEYOND = RESULTS.with_name("beyond.csv")
ACCURACY = RESULTS.with_name("accuracy_by_split.csv")
"""Derived from ``RESULTS``: every cell of the accuracy tables beside the printed one."""

FIGURE = ROOT / "docs" / "figures" / "averages.png"
PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{page}.md" for page in ("paper", "methods", "pancreas", "beyond", "named")),
)

TEXTS = dict.fromkeys(
    (
        "study",
        "method",
        "label",
        "protocol",
        "variant",
        "data",
        "classifier",
        "walk",
        "option",
        "besides",
        "probabilities",
        "axis",
        "chosen_by",
        "reads",
        "together_reads",
    ),
    str,
)
"""Columns of text in the numbers of the section beyond the paper."""


def planned_series() -> list[Series]:
    """Return the runs behind docs/paper.md and docs/pancreas.md; none is on the large pancreas study."""
    reached = ["mi", "chd", *PARTS_OF_PANCREAS]
    small = [one.narrowed(studies=reached) for one in read_series(CONF / PLAN, "paper")]
    return [*(one for one in small if one), *read_series(CONF / PLAN, "readings,notes")]


def beyond_series() -> list[Series]:
    """Return the other runs behind docs/beyond.md and docs/named.md."""
    return read_series(CONF / PLAN, f"{SERIES},choice,ablation")


def collect(out: Path, series: Sequence[Series]) -> pd.DataFrame:
    """Return the planned runs that are recorded, one row a run and target."""
    jobs = Planner(CONF, out).jobs(series)
    found = [one for job in jobs if (one := job.finished)]
    say(f"{len(found)} of {len(jobs)} runs are recorded in {out}")
    return results_table(found)


def readings(_: pd.DataFrame, *studies: str) -> str:
    """Return the joint model under each reading of the text as Markdown, from the archived runs."""
    archive = Archive(ARCHIVE)
    series = [one.narrowed(studies, ["joint"]) for one in read_series(CONF / PLAN, "paper,readings")]
    jobs = Planner(CONF, ROOT / "outputs", load=archive.load).jobs([one for one in series if one])
    found = [job.named(kept.result) for job in jobs if (kept := archive.find(job))]
    return readings_table(results_table(found), *studies)


def read_results() -> pd.DataFrame:
    """Return the committed results, one row a run and target."""
    return pd.read_csv(RESULTS, comment="#", dtype={"target": str}).fillna({"variant": "", "walks": ""})


def costs(results: pd.DataFrame, study: str) -> str:
    """Return the cost of each method as Markdown."""
    table = cost_table(results, study)
    return markdown(table.heads, table.rows)


def printed(results: pd.DataFrame, number: str, study: str, protocol: str) -> str:
    """Return one of the paper's tables as Markdown, with its caption."""
    published = results[(results["study"] == study) & (results["variant"] == "")]
    lines = sorted(set(zip(published["split"], published["target"], strict=True)))
    tables = printed_tables(results, {"": lines}, study, protocol)
    (table,) = (one for one in tables if one.name == f"table_{number}_{protocol}")
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def three(results: pd.DataFrame, protocol: str) -> str:
    """Return Table 3 as Markdown, with its caption."""
    lines: dict[str, dict[str, list[tuple[str, str]]]] = {}
    places = ["study", "variant", "split", "target"]
    for study, variant, split, target in sorted(set(results[places].itertuples(index=False, name=None))):
        lines.setdefault(study, {}).setdefault(variant, []).append((split, target))
    table = table_three(results, lines, protocol)
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def read_verdicts() -> list[Verdict]:
    """Return the committed verdicts."""
    rows = pd.read_csv(CLAIMS, dtype=str, keep_default_na=False).to_dict("records")
    return [Verdict(**{**row, "outcome": Ruling(row["outcome"]), **_tests(row)}) for row in rows]


def _tests(row: Mapping[Hashable, str]) -> dict[str, float | None]:
    """Return the p values of a committed verdict; None where it rests on no test."""
    return {name: float(row[name]) if row[name] else None for name in ("p", "p_holm")}


def claims(_: pd.DataFrame) -> str:
    """Return a line a claim with its verdicts as Markdown; the measured values stand in the file."""
    link = f"[{CLAIMS.name}](results/{CLAIMS.name})"
    return f"{verdicts_table(read_verdicts())}\n\nValues, intervals and rules: {link}."


def counts(_: pd.DataFrame) -> str:
    """Return how many claims were reproduced as Markdown."""
    return verdict_counts(read_verdicts())


def rules(_: pd.DataFrame) -> str:
    """Return the rules that decide the verdicts, as a numbered list, below what the values are."""
    caption = claims_table(read_verdicts()).caption
    values, *numbered = re.split(r" ?Rule \d+: ", caption)
    lines = [f"{number}. {rule}" for number, rule in enumerate(numbered, start=1)]
    return "\n".join([values, "", *lines])


def beyond_file(kind: str) -> Path:
    """Return the file with the numbers of one kind of table beyond the paper."""
    return BEYOND.with_name(f"beyond_{kind}.csv")


def beyond_table(kind: str, study: str) -> Table | None:
    """Return a table of the report's section beyond the paper, or None without committed numbers."""
    file = beyond_file(kind)
    if not file.is_file():
        return None
    numbers = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=TEXTS)
    chosen = numbers[numbers["study"] == study]
    if chosen.empty:
        return None
    texts = chosen.columns.intersection(list(TEXTS))
    return TABLES[kind](study, chosen.fillna(dict.fromkeys(texts, "")))


def beyond(_: pd.DataFrame, kind: str, study: str) -> str:
    """Return such a table as Markdown; its caption is a block of its own, ``caption kind``."""
    table = beyond_table(kind, study)
    if table is None:
        return f"Not run yet; `make report SERIES=paper,{SERIES}` and `make notes` fill this in."
    file = beyond_file(kind).name
    return f"{markdown(table.heads, table.rows)}\n\nNumbers: [{file}](results/{file})."


def caption(_: pd.DataFrame, kind: str) -> str:
    """Return the caption that the tables of one kind beyond the paper share."""
    tables = (beyond_table(kind, study) for study in ("mi", "chd", "pancreas_mini"))
    return next(table.caption for table in tables if table)


def keep_beyond(tables: Path) -> None:
    """Copy the numbers of the report's section beyond the paper: one file for each kind of table."""
    for kind in TABLES:
        parts = [
            pd.read_csv(file, dtype=str, keep_default_na=False)
            for file in sorted(tables.glob(f"{kind}_*.csv"))
        ]
        if parts:
            kept = pd.concat(parts)
            kept.to_csv(beyond_file(kind), index=False, lineterminator="\n")


def commands(series: Sequence[Series]) -> list[str]:
    """Return the command lines that make the runs of the series."""
    names = read_variants(CONF / PLAN)
    return [command for one in series for command in one.commands(names)]


def write_results(file: Path, table: pd.DataFrame, series: Sequence[Series]) -> None:
    """Write rows of results, with the commands that make them as the file's first lines."""
    made_by = "".join(f"# {command}\n" for command in [*commands(series), "make notes"])
    rows = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    file.write_text(made_by + rows, encoding="utf-8")


def renewed(text: str, results: pd.DataFrame) -> str:
    """Return a page with each of its tables made anew.

    Raises:
        CalibError: a chosen row is not in its table.
    """
    makers = {
        "accuracy": accuracy_table,
        "averages": averages_table,
        "beyond": beyond,
        "caption": caption,
        "claims": claims,
        "comparison": methods_table,
        "cost": costs,
        "counts": counts,
        "metrics": metrics_table,
        "options": options_table,
        "printed": printed,
        "readings": readings,
        "rules": rules,
        "settings": settings_table,
        "three": three,
        "single_source": partial(single_source_table, columns=SINGLE),
    }

    def make(found: re.Match[str]) -> str:
        what, bar, rows = found[1].partition(" | ")
        kind, *arguments = what.split()
        block = makers[kind](results, *arguments)
        block = only(block, [row.strip() for row in rows.split(";")]) if bar else block
        return f"<!-- table: {found[1]} -->\n{block}\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->\n.*?<!-- end -->", make, text, flags=re.DOTALL)


def derived(results: pd.DataFrame) -> str:
    """Return the content of ``ACCURACY``."""
    return accuracy_by_split(results).to_csv(index=False, float_format="%.3f", lineterminator="\n")


def main() -> None:
    """Do as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs")
    parser.add_argument("--tables-only", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not (options.tables_only or options.check):
        table = collect(options.out, planned_series())
        if table.empty:
            made_by = "\n".join(commands(planned_series()))
            sys.exit(f"Error: no planned run is recorded in {options.out}; make them with:\n{made_by}")
        write_results(RESULTS, table, planned_series())
        others = collect(options.out, beyond_series())
        if len(others):
            write_results(BEYOND, others, beyond_series())
            keep_beyond(options.out / "report" / "tables")
        verdicts = options.out / "report" / "tables" / CLAIMS.name
        if not verdicts.is_file():
            sys.exit("Error: there are no verdicts yet; make report STUDIES=mi,chd first.")
        shutil.copyfile(verdicts, CLAIMS)
    results = read_results()
    files = {ACCURACY: derived(results)}
    files |= {page: renewed(page.read_text(encoding="utf-8"), results) for page in PAGES}
    for file, text in files.items():
        if not options.check:
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            sys.exit(f"Error: the tables in {file.name} are not those of {RESULTS.name}; run make notes.")
    if not options.check:
        draw_averages(results, FIGURE)


if __name__ == "__main__":
    with command():
        main()
