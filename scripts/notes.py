"""Collect the records of the notes' runs and renew the tables in docs/; ``make notes``.

Options: --out FOLDER (where the records are, default outputs), --tables-only (renew the tables from the
committed docs/results/spine.csv), --check (fail if a table in docs/ is not what that file gives).
"""

import argparse
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from calib.build import compose
from calib.data.split import all_splits
from calib.errors import CalibError
from calib.planning import Run, load, plan
from calib.report.tables import accuracy_table, metrics_table, options_table, settings_table
from calib.store import result_rows

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
RESULTS = ROOT / "docs" / "results" / "spine.csv"
OPTIONS = ROOT / "docs" / "results" / "mi_options.csv"
CELLS = ROOT / "docs" / "results" / "pancreas_mini.csv"
PAGES = (ROOT / "docs" / "reproduction-notes.md", ROOT / "docs" / "pancreas.md")
METHODS = ("joint", "recon_t", "baseline", "combat", "cross_validation")
PROTOCOLS = ("paper", "released")
STUDIES = ("mi", "chd")
SEEDS = range(5)
COMMAND = (
    "python run.py -m dataset=mi split=all method=joint,recon_t,baseline,combat,cross_validation "
    "protocol=paper,released seed=0,1,2,3,4 (and dataset=chd); make notes"
)


def planned(out: Path) -> Iterator[Run]:
    """Every run that the notes rest on."""
    for name in STUDIES:
        study, data = load(compose(CONF, f"dataset={name}"))
        for method in METHODS:
            for protocol in PROTOCOLS:
                for seed in SEEDS:
                    choice = [f"dataset={name}", f"method={method}", f"protocol={protocol}"]
                    config = compose(CONF, *choice, f"seed={seed}", f"out={out}")
                    for split in all_splits(study):
                        yield plan(config, study, data, split)


def collect(out: Path) -> pd.DataFrame:
    """The recorded ones among the planned runs, one row a run and target."""
    runs = list(tqdm(planned(out), desc="planned runs", unit="run", disable=None))
    found = [result for run in runs if (result := run.record.result())]
    print(f"{len(found)} of {len(runs)} runs are recorded in {out}")
    return pd.DataFrame([row for result in found for row in result_rows(result)])


def renewed(text: str, results: pd.DataFrame) -> str:
    """A page with each table between ``<!-- table: kind arguments -->`` and ``<!-- end -->`` made anew."""
    cells = pd.read_csv(CELLS, comment="#", dtype={"target": str})
    single = pd.read_csv(OPTIONS, comment="#", dtype={"target": str})
    makers = {
        "accuracy": partial(accuracy_table, results),
        "metrics": partial(metrics_table, results),
        "options": partial(options_table, single, results),
        "settings": partial(settings_table, cells),
    }

    def make(found: re.Match[str]) -> str:
        kind, *arguments = found[1].split()
        return f"<!-- table: {found[1]} -->\n{makers[kind](*arguments)}\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->\n.*?<!-- end -->", make, text, flags=re.DOTALL)


def main() -> None:
    """Follow the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs")
    parser.add_argument("--tables-only", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not (options.tables_only or options.check):
        table = collect(options.out)
        if table.empty:
            sys.exit(f"Error: no planned run is recorded in {options.out}; make them with: {COMMAND}")
        text = f"# {COMMAND}\n" + table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        RESULTS.write_text(text, encoding="utf-8")
    results = pd.read_csv(RESULTS, comment="#", dtype={"target": str})
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
