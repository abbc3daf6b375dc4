"""Collect the records of the notes' runs and renew the tables in docs/; ``make notes``.

Options: --out FOLDER (where the records are, default outputs), --tables-only (renew the tables from the
committed docs/results/runs.csv), --check (fail if a table in docs/ is not what that file gives).
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from calib.build import compose
from calib.data.split import all_splits
from calib.errors import CalibError
from calib.planning import Run, load, plan
from calib.report.tables import (
    accuracy_table,
    comparison_table,
    cost_table,
    metrics_table,
    options_table,
    settings_table,
    single_source_table,
)
from calib.store import result_rows

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
RESULTS = ROOT / "docs" / "results" / "runs.csv"
PAGES = tuple(ROOT / "docs" / f"{page}.md" for page in ("reproduction-notes", "methods", "pancreas"))


@dataclass(frozen=True)
class Series:
    """Runs that the notes rest on: all splits of each study, every combination of the rest.

    ``variants`` are overrides besides the published values, "" for none.
    """

    methods: Sequence[str]
    seeds: Sequence[int]
    variants: Sequence[str] = ("",)
    protocols: Sequence[str] = ("paper", "released")
    studies: Sequence[str] = ("mi", "chd")


ONE_SOURCE = "dataset.n_sources=1"
STANDARDISED = f"{ONE_SOURCE} protocol.batch_scale=standardise method.epochs=100"
SINGLE = {
    "pairwise": ("pairwise", "paper", ONE_SOURCE),
    "pairwise, batches standardised, 100 epochs": ("pairwise", "paper", STANDARDISED),
    "joint from one source, `paper`": ("joint", "paper", ONE_SOURCE),
    "joint from one source, `released`": ("joint", "released", ONE_SOURCE),
}
CONVERGED = "training=converged"
ONE_OPTION = (
    "protocol.optimizer=shared",
    "protocol.optimizer=shared protocol.idle_gradient=zero",
    "protocol.rebuild_optimizer_each_epoch=true",
    "protocol.class_loss_over_sources=sum",
    "protocol.redraw_each_repetition=false",
    "protocol.mmd_pairs=sum_ordered",
    "protocol.reconstruction_over_sources=sum",
    "protocol.residual=activated",
)
SERIES = (
    Series(["joint", "recon_t", "baseline", "combat", "cross_validation"], range(5)),
    Series(["normae", "bermuda", "desc"], range(3), protocols=["paper"]),
    Series(["desc"], range(3), ["method.corrector.scale=all"], ["paper"]),
    Series(["desc"], range(3), ["method.corrector.rounds=0"], ["paper"], ["mi"]),
    Series(["normae"], [0], ["method.corrector.lr_adversary=5e-3"], ["paper"], ["mi"]),
    Series(["pairwise"], [0], [ONE_SOURCE], ["paper"]),
    Series(["pairwise"], [0], [STANDARDISED], ["paper"], ["mi"]),
    Series(["joint"], [0], [ONE_SOURCE]),
    Series(["joint"], range(2), ONE_OPTION, ["paper"], ["mi"]),
    Series(["joint", "baseline"], range(3), ["", CONVERGED], studies=["pancreas_mini"]),
    Series(
        ["recon_t", "combat", "normae", "bermuda", "desc"],
        range(3),
        ["", CONVERGED],
        ["paper"],
        ["pancreas_mini"],
    ),
    Series(["pairwise", "cross_validation"], range(3), [""], ["paper"], ["pancreas_mini"]),
    Series(
        ["joint"],
        range(3),
        ["method.epochs=990", f"{CONVERGED} method.lr=3e-4"],
        ["paper"],
        ["pancreas_mini"],
    ),
    Series(["baseline"], range(3), ["method.classifier.epochs=900"], ["paper"], ["pancreas_mini"]),
)


def commands() -> list[str]:
    """The command line of every series."""
    return [
        f"python run.py -m dataset={','.join(s.studies)} split=all method={','.join(s.methods)} "
        f"protocol={','.join(s.protocols)} seed={','.join(map(str, s.seeds))} {variant}".strip()
        for s in SERIES
        for variant in s.variants
    ]


def planned(out: Path) -> Iterator[tuple[str, Run]]:
    """Every run that the notes rest on, with its variant."""
    for series in SERIES:
        for name, variant in product(series.studies, series.variants):
            fixed = [f"dataset={name}", f"out={out}", *variant.split()]
            study, data = load(compose(CONF, *fixed, f"method={series.methods[0]}"))
            for method, protocol, seed in product(series.methods, series.protocols, series.seeds):
                config = compose(CONF, f"method={method}", f"protocol={protocol}", f"seed={seed}", *fixed)
                for split in all_splits(study):
                    yield variant, plan(config, study, data, split)


def collect(out: Path) -> pd.DataFrame:
    """The recorded ones among the planned runs, one row a run and target."""
    runs = list(tqdm(planned(out), desc="planned runs", unit="run", disable=None))
    found = [(variant, result) for variant, run in runs if (result := run.record.result())]
    print(f"{len(found)} of {len(runs)} runs are recorded in {out}")
    return pd.DataFrame(
        [{"variant": variant} | row for variant, result in found for row in result_rows(result)]
    )


def read_results() -> pd.DataFrame:
    """The committed results, one row a run and target."""
    return pd.read_csv(RESULTS, comment="#", dtype={"target": str}).fillna({"variant": ""})


def renewed(text: str, results: pd.DataFrame) -> str:
    """A page with each table between ``<!-- table: kind arguments -->`` and ``<!-- end -->`` made anew."""
    makers = {
        "accuracy": accuracy_table,
        "comparison": comparison_table,
        "cost": cost_table,
        "metrics": metrics_table,
        "options": options_table,
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
    made_by = "".join(f"# {command}\n" for command in [*commands(), "make notes"])
    if not (options.tables_only or options.check):
        table = collect(options.out)
        if table.empty:
            sys.exit(f"Error: no planned run is recorded in {options.out}; make them with:\n{made_by}")
        rows = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        RESULTS.write_text(made_by + rows, encoding="utf-8")
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
