"""Collect the records of the notes' runs and the report's verdicts, and renew the tables in docs/ and README.

Options: --out FOLDER (where the records are, default outputs), --tables-only (renew the tables from the
committed docs/results/*.csv), --check (fail if a table in docs/ is not what those files give).
"""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from calib.errors import CalibError
from calib.report.beyond.section import SERIES, TABLES
from calib.report.claims.verdicts import claims_table
from calib.report.costs import cost_table
from calib.report.doc_tables import (
    accuracy_table,
    comparison_table,
    metrics_table,
    options_table,
    settings_table,
    single_source_table,
)
from calib.report.exhibits import Outcome, Verdict, markdown
from calib.report.paper import ONE_SOURCE
from calib.report.printed import printed_tables
from calib.report.results import result_rows
from calib.runs.series import Planner, Series, read_series

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
RESULTS = ROOT / "docs" / "results" / "runs.csv"
CLAIMS = RESULTS.with_name("claims.csv")
BEYOND = RESULTS.with_name("beyond.csv")
PAGES = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{page}.md"
        for page in ("reproduction-notes", "methods", "pancreas", "beyond", "named")
    ),
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
    ),
    str,
)
"""Columns of text in the numbers of the section beyond the paper."""

STANDARDISED = f"{ONE_SOURCE} protocol.batch_scale=standardise method.epochs=100"
SINGLE = {
    "pairwise": ("pairwise", "paper", ONE_SOURCE),
    "pairwise, batches standardised, 100 epochs": ("pairwise", "paper", STANDARDISED),
    "joint from one source, `paper`": ("joint", "paper", ONE_SOURCE),
    "joint from one source, `released`": ("joint", "released", ONE_SOURCE),
}


def planned_series() -> list[Series]:
    """All that the notes rest on: the paper's own runs but for the big pancreas study, and theirs."""
    small = [one.narrowed(studies=["mi", "chd"]) for one in read_series(CONF / "reproduce.yaml", "paper")]
    return [*(one for one in small if one), *read_series(CONF / "reproduce.yaml", "notes")]


def beyond_series() -> list[Series]:
    """What docs/beyond.md rests on besides."""
    return read_series(CONF / "reproduce.yaml", f"{SERIES},choice,ablation")


def collect(out: Path, series: Sequence[Series]) -> pd.DataFrame:
    """The recorded ones among the planned runs, one row a run and target."""
    jobs = list(tqdm(Planner(CONF, out).jobs(series), desc="planned runs", unit="run", disable=None))
    found = [one for job in jobs if (one := job.finished)]
    print(f"{len(found)} of {len(jobs)} runs are recorded in {out}")
    return pd.DataFrame([{"variant": one.variant} | row for one in found for row in result_rows(one.result)])


def read_results() -> pd.DataFrame:
    """The committed results, one row a run and target."""
    return pd.read_csv(RESULTS, comment="#", dtype={"target": str}).fillna({"variant": ""})


def costs(results: pd.DataFrame, study: str) -> str:
    """The cost of each method as Markdown."""
    table = cost_table(results, study)
    return markdown(table.heads, table.rows)


def printed(results: pd.DataFrame, number: str, study: str, protocol: str) -> str:
    """One of the paper's tables as Markdown, with its caption."""
    published = results[(results["study"] == study) & (results["variant"] == "")]
    lines = sorted(set(zip(published["split"], published["target"], strict=True)))
    tables = printed_tables(results, {"": lines}, study, protocol)
    (table,) = (one for one in tables if one.name == f"table_{number}_{protocol}")
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def claims(_: pd.DataFrame) -> str:
    """The committed verdicts as Markdown, with their rules."""
    rows = pd.read_csv(CLAIMS, dtype=str, keep_default_na=False).to_dict("records")
    table = claims_table([Verdict(**{**row, "outcome": Outcome(row["outcome"])}) for row in rows])
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def beyond(_: pd.DataFrame, kind: str, study: str) -> str:
    """A table of the report's section beyond the paper as Markdown, from its committed numbers."""
    file = BEYOND.with_name(f"beyond_{kind}.csv")
    numbers = (
        pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=TEXTS) if file.is_file() else None
    )
    if numbers is None or study not in set(numbers["study"]):
        return f"Not run yet; `make report SERIES=paper,{SERIES}` and `make notes` fill this in."
    chosen = numbers[numbers["study"] == study]
    texts = chosen.columns.intersection(list(TEXTS))
    table = TABLES[kind](study, chosen.fillna(dict.fromkeys(texts, "")))
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def keep_beyond(tables: Path) -> None:
    """Copy the numbers of the report's section beyond the paper, all studies of a kind into one file."""
    for kind in TABLES:
        parts = [
            pd.read_csv(file, dtype=str, keep_default_na=False)
            for file in sorted(tables.glob(f"{kind}_*.csv"))
        ]
        if parts:
            kept = pd.concat(parts)
            kept.to_csv(BEYOND.with_name(f"beyond_{kind}.csv"), index=False, lineterminator="\n")


def write_results(file: Path, table: pd.DataFrame, series: Sequence[Series]) -> None:
    """Write rows of results below the commands that make them."""
    made_by = "".join(
        f"# {command}\n" for command in [*(c for one in series for c in one.commands), "make notes"]
    )
    rows = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    file.write_text(made_by + rows, encoding="utf-8")


def renewed(text: str, results: pd.DataFrame) -> str:
    """A page with each table between ``<!-- table: kind arguments -->`` and ``<!-- end -->`` made anew."""
    makers = {
        "accuracy": accuracy_table,
        "beyond": beyond,
        "claims": claims,
        "comparison": comparison_table,
        "cost": costs,
        "metrics": metrics_table,
        "options": options_table,
        "printed": printed,
        "settings": settings_table,
        "single_source": partial(single_source_table, columns=SINGLE),
    }

    def make(found: re.Match[str]) -> str:
        kind, *arguments = found[1].split()
        return f"<!-- table: {found[1]} -->\n{makers[kind](results, *arguments)}\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->\n.*?<!-- end -->", make, text, flags=re.DOTALL)


def main() -> None:
    """Follow the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs")
    parser.add_argument("--tables-only", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not (options.tables_only or options.check):
        table = collect(options.out, planned_series())
        if table.empty:
            commands = "\n".join(command for one in planned_series() for command in one.commands)
            sys.exit(f"Error: no planned run is recorded in {options.out}; make them with:\n{commands}")
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
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if not options.check:
            page.write_text(renewed(text, results), encoding="utf-8")
        elif renewed(text, results) != text:
            sys.exit(f"Error: the tables in {page.name} are not those of {RESULTS.name}; run make notes.")


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
