"""The figures of one split: maps (Figures 2 to 4) and distances between batches (Figure S1b)."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from calib.errors import DamagedError
from calib.evaluation.distances import DRAWS, most_rows
from calib.files import safe_name
from calib.records.record import Record
from calib.report.figures.curves import distance_figure
from calib.report.figures.gallery import Gallery, map_folder, rules_of, tables_of
from calib.report.figures.maps import map_figure
from calib.report.figures.tsne import Map, MapSettings, record_map
from calib.report.paper import MAP_FIGURES, PANCREAS, PARTS_OF_PANCREAS, spelled
from calib.rules import PAPER_WIDTHS
from calib.runs.run import Run

MAPPED = ("baseline", "combat", "normae", "bermuda", "desc", "joint")
"""The methods of the paper's Figures 2 to 4, in their order; baseline stands for the raw data."""

EXPECTED = (*MAPPED, "recon_t")
"""Methods whose absence is a gap; any other method is shown if it has been run."""

UNCORRECTED = ("baseline", "cross_validation")
"""Methods that leave the data as they are, so that there is nothing to show after calibration."""

BATCH_NAMES = {"batch_a": str, "batch_b": str}


def draw_split(runs: Mapping[str, Run], folder: Path) -> Gallery:
    """Return the maps and distances of one split, protocol and seed to draw, as far as they are recorded.

    Args:
        runs: method -> its planned run; joint is among them.
        folder: folder of the figures, of the tables behind them and of a list ``figures_<...>.json``.

    Raises:
        CalibError: a record does not fit the study, or a folder cannot be written to.
    """
    gallery = Gallery(folder)
    recorded = {name: run for name, run in runs.items() if run.record.is_finished()}
    for name, run in runs.items():
        if name not in recorded and name in EXPECTED:
            gallery.missing.append(f"{run} has not been run.")
    _maps(gallery, runs, recorded)
    _distances(gallery, runs, recorded)
    gallery.write_list(f"figures_{_place(runs['joint'])}")
    return gallery


def _maps(gallery: Gallery, runs: Mapping[str, Run], recorded: Mapping[str, Run]) -> None:
    """Draw the maps of every method, and write their silhouettes."""
    joint = runs["joint"]
    maps: dict[str, Map] = {}
    silhouettes = []
    for name in MAPPED:
        heading = "Raw data" if name == "baseline" else _label(runs, name)
        if name in recorded:
            run = recorded[name]
            settings = MapSettings(seed=int(run.config.seed))
            try:
                drawn = record_map(run.record, run.study, map_folder(run), settings)
            except DamagedError as error:
                gallery.missing.append(str(error))
                continue
            maps[heading] = drawn
            silhouettes.append({"method": name, "key": run.key, "rows": len(drawn.xy), **drawn.silhouette})
    if not silhouettes:
        return
    Record(gallery.folder).write_table(
        safe_name(f"silhouettes_{_place(joint)}") + ".csv", pd.DataFrame(silhouettes), digits=6
    )
    number, part = MAP_FIGURES.get(joint.study.name), PARTS_OF_PANCREAS.get(joint.study.name)
    figure = f"Figure {number}. " if number else ""
    if part:
        figure = f"Figure {MAP_FIGURES[PANCREAS]} on other cells. "
    total = sum(len(joint.study.batches[name]) for name in (*joint.split.sources, *joint.split.targets))
    shown = silhouettes[0]["rows"]
    rows = f"all {total} samples" if shown == total else f"{shown} of {total} samples, drawn at random"
    caption = (
        f"t-SNE of the data before and after each calibration ({_setup(joint)}); {rows}. Left coloured by "
        "batch, right by class, with the mean silhouette in the calibrated space, not in the map. Every "
        "dimension is standardised first; perplexity 30, started from two principal components. "
        + ("The paper does not say which split it drew." if number else "")
        + (f"Not the paper's 4036 cells, but {part}." if part else "")
    )
    title = f"{figure}t-SNE before and after each calibration: {_where(joint)}"
    study = joint.study
    shown_of = (maps, list(study.batches), study.classes, joint.split)
    gallery.add(f"tsne_{_place(joint)}", title, caption, map_figure, *shown_of)


def _distances(gallery: Gallery, runs: Mapping[str, Run], recorded: Mapping[str, Run]) -> None:
    """Draw the distances between batches before and after each method."""
    joint = runs["joint"]
    order = dict.fromkeys((*EXPECTED, *runs))
    shown = [name for name in order if name not in UNCORRECTED and name in recorded]
    distances, without = tables_of(
        {_label(runs, name): recorded[name] for name in shown}, "mmd.csv", BATCH_NAMES
    )
    if without:
        gallery.missing.append(
            f"{_where(joint)}: no distances (mmd.csv) are recorded of {', '.join(without)}."
        )
    if not distances:
        return
    most = most_rows(len(joint.study.batches))
    drawn = {name: min(most, len(batch)) for name, batch in joint.study.batches.items()}
    floors = {
        (a, b): len(PAPER_WIDTHS) * (1 / drawn[a] + 1 / drawn[b]) for a in drawn for b in drawn if a != b
    }
    caption = (
        f"Biased squared MMD between batches over {DRAWS} draws of {most} rows, "
        f"or all of a smaller batch, before and after each calibration ({_setup(joint)}). Dashed: the value "
        "where samples are too far apart for every kernel, so that nothing is measured. Boxes: quartiles; "
        "whiskers: 1.5 times the box."
    )
    title = f"Figure S1b. Distances between batches: {_where(joint)}"
    gallery.add(f"S1b_{_place(joint)}", title, caption, distance_figure, distances, floors)


def _place(run: Run) -> str:
    """Return study, split, protocol and seed of a run, for names of files."""
    rules = rules_of(run).replace(", training ", "_")
    return f"{run.study.name}_{run.split.label}_{rules}_seed{run.config.seed}"


def _where(run: Run) -> str:
    """Return study, split, protocol and training of a run, for titles."""
    return f"{spelled(run.study.name)}, split {run.split.label}, protocol {rules_of(run)}"


def _setup(run: Run) -> str:
    """Return batches, protocol, training and seed of a run, for captions."""
    sources, targets = (", ".join(side) for side in (run.split.sources, run.split.targets))
    return (
        f"{run.study.name}: sources {sources}, target {targets}; protocol {rules_of(run)}, "
        f"seed {run.config.seed}, last epoch"
    )


def _label(runs: Mapping[str, Run], name: str) -> str:
    """Return the label of a method, or its name if it is not planned."""
    return str(runs[name].config.method.card.label) if name in runs else name
