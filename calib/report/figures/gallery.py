"""All figures of a study, from run records to files, each with a caption that says what was drawn."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from calib.data.study import Study
from calib.errors import CalibError, DamagedError
from calib.evaluation.differential import ALPHA, LEVELS, differential, p_values
from calib.evaluation.distances import DRAWS, most_rows
from calib.files import read_table, safe_name
from calib.losses import PAPER_WIDTHS
from calib.records.record import Record
from calib.report.figures.curves import distance_figure, loss_figure
from calib.report.figures.features import overlap_figure
from calib.report.figures.maps import map_figure
from calib.report.figures.style import save
from calib.report.figures.tsne import Map, MapSettings, record_map
from calib.report.paper import COMMON_FEATURES, MAP_FIGURES, spelled
from calib.runs.run import Run

MAPPED = ("baseline", "combat", "normae", "bermuda", "desc", "joint")
"""The methods of the paper's Figures 2 to 4, in their order; baseline stands for the raw data."""

EXPECTED = (*MAPPED, "recon_t")
"""Methods whose absence is told; any other is shown where it has been run."""

UNCORRECTED = ("baseline", "cross_validation")
"""Methods that leave the data as they are: nothing to show after calibration."""

HEADINGS = {
    "sample": "Samples, as the authors count",
    "subject": "Subjects: mean over replicates",
}


@dataclass(frozen=True)
class Drawn:
    """One figure: its name (kind, study and, where it depends on them, split, protocol and seed)."""

    name: str
    title: str
    caption: str
    files: list[str]


@dataclass
class Gallery:
    """The figures of one study, split, protocol and seed in a folder, and a sentence for each gap.

    ``silhouettes``: folder of a mapped record -> mean silhouettes by ``batch`` and ``class``.
    """

    folder: Path
    drawn: list[Drawn] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    silhouettes: dict[Path, dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, title: str, caption: str, figure: Figure) -> None:
        """Write a figure as PNG and PDF."""
        name = safe_name(name)
        files = [file.name for file in save(figure, self.folder, name)]
        self.drawn.append(Drawn(name, title, caption, files))

    def write_list(self, name: str) -> None:
        """Write names, captions and gaps to ``<name>.json``."""
        content = {"figures": [asdict(one) for one in self.drawn], "missing": self.missing}
        Record(self.folder).write_text(f"{safe_name(name)}.json", json.dumps(content, indent=1))


def draw_split(study: Study, runs: Mapping[str, Run], folder: Path) -> Gallery:
    """Draw the maps and the distances of batches of one split, protocol and seed, as far as records allow.

    Args:
        study: any, with the batches of the runs.
        runs: method -> its planned run; joint is among them.
        folder: where figures, the tables behind them and a list ``figures_<...>.json`` are written.

    Raises:
        CalibError: a record does not fit the study, or a folder cannot be written to.
    """
    gallery = Gallery(folder)
    Record(folder).make_folder()
    recorded = {name: run for name, run in runs.items() if run.record.is_finished()}
    for name, run in runs.items():
        if name not in recorded and name in EXPECTED:
            gallery.missing.append(f"{run} has not been run.")
    _maps(gallery, runs, recorded)
    _distances(gallery, runs, recorded)
    gallery.write_list(f"figures_{_place(runs['joint'])}")
    return gallery


def draw_study(
    study: Study, trainings: Mapping[str, Mapping[str, Mapping[int, Run]]], folder: Path
) -> Gallery:
    """Draw what does not depend on a split: differential features, and the losses of every joint run.

    Args:
        study: with its values as loaded, not scaled.
        trainings: protocol -> split label -> seed -> planned run of the joint model.
        folder: as for ``draw_split``.

    Raises:
        CalibError: a folder cannot be written to.
    """
    gallery = Gallery(folder)
    Record(folder).make_folder()
    _overlaps(gallery, study)
    for splits in trainings.values():
        _losses(gallery, study, splits)
    gallery.write_list(f"figures_{study.name}")
    return gallery


def map_folder(run: Run) -> Path:
    """Where the maps of a run's study are kept, those of every method, split and seed."""
    return Path(str(run.config.out)) / "maps" / safe_name(run.study.name)


def _place(run: Run) -> str:
    config = run.config
    return f"{run.study.name}_{run.split.label}_{config.protocol.name}_seed{config.seed}"


def _where(run: Run) -> str:
    return f"{spelled(run.study.name)}, split {run.split.label}, protocol {run.config.protocol.name}"


def _said(run: Run) -> str:
    sources, targets = (", ".join(side) for side in (run.split.sources, run.split.targets))
    config = run.config
    return (
        f"{run.study.name}: sources {sources}, target {targets}; protocol {config.protocol.name}, "
        f"seed {config.seed}, last epoch"
    )


def _maps(gallery: Gallery, runs: Mapping[str, Run], recorded: Mapping[str, Run]) -> None:
    joint = runs["joint"]
    maps: dict[str, Map | None] = {}
    lines = []
    for name in MAPPED:
        heading = "Raw data" if name == "baseline" else _label(runs, name)
        maps[heading] = None
        if name in recorded:
            run = recorded[name]
            settings = MapSettings(seed=int(run.config.seed))
            try:
                one = record_map(run.record, run.study, map_folder(run), settings)
            except DamagedError as error:
                gallery.missing.append(str(error))
                continue
            maps[heading] = one
            gallery.silhouettes[run.record.path] = one.silhouette
            lines.append({"method": name, "key": run.key, "rows": len(one.xy), **one.silhouette})
    if lines:
        Record(gallery.folder).write_table(
            safe_name(f"silhouettes_{_place(joint)}") + ".csv", pd.DataFrame(lines), digits=6
        )
    number = MAP_FIGURES.get(joint.study.name)
    total = sum(len(joint.study.batches[name]) for name in (*joint.split.sources, *joint.split.targets))
    shown = lines[0]["rows"] if lines else 0
    rows = f"all {total} samples" if shown == total else f"{shown} of {total} samples, drawn at random"
    caption = (
        f"t-SNE of the data before and after each calibration ({_said(joint)}); {rows}. Left coloured by "
        "batch, right by class, with the mean silhouette in the calibrated space, not in the map. Every "
        "dimension is standardised first; perplexity 30, started from two principal components. "
        + ("The paper does not say which split it drew." if number else "")
    )
    title = (
        f"Figure {number}. " if number else ""
    ) + f"t-SNE before and after each calibration: {_where(joint)}"
    gallery.add(f"tsne_{_place(joint)}", title, caption, map_figure(maps, joint.study, joint.split))


def _overlaps(gallery: Gallery, study: Study) -> None:
    found: dict[str, pd.DataFrame | None] = {}
    tables, untested = [], 0
    for level in LEVELS:
        try:
            p = p_values(study, level)
        except CalibError as error:
            gallery.missing.append(f"Differential features at level {level}: {error}")
            found[HEADINGS[level]] = None
            continue
        found[HEADINGS[level]] = differential(p)
        tables.append(p.reset_index().assign(level=level))
        untested += int(p.isna().to_numpy().sum())
    if not tables:
        return
    table = pd.concat(tables)
    Record(gallery.folder).write_table(safe_name(f"differential_{study.name}") + ".csv", table, digits=6)
    number = COMMON_FEATURES.get(study.name)
    caption = (
        f"{spelled(study.name)}: features that differ between {study.classes[1]} and "
        f"{study.classes[0]} in each batch (raw p < {ALPHA:g}, quasi-likelihood GLM with log link and "
        "variance mu^2, which stands in for BPSC), and the batches in which they do; black: all batches."
        + (f" {untested} tests were not possible: a mean is not positive." if untested else "")
    )
    figure = overlap_figure(found, list(study.batches), {HEADINGS["sample"]: number} if number else {})
    title = f"Figure S1a. Differential features of each batch: {spelled(study.name)}"
    gallery.add(f"S1a_{study.name}", title, caption, figure)


def _distances(gallery: Gallery, runs: Mapping[str, Run], recorded: Mapping[str, Run]) -> None:
    joint = runs["joint"]
    order = dict.fromkeys((*EXPECTED, *runs))
    distances = {
        _label(runs, name): read_table(recorded[name].record.path / "mmd.csv", dtype=_NAMES)
        if name in recorded
        else None
        for name in order
        if name not in UNCORRECTED and (name in recorded or name in EXPECTED)
    }
    most = most_rows(len(joint.study.batches))
    drawn = {name: min(most, len(batch)) for name, batch in joint.study.batches.items()}
    floors = {
        (a, b): len(PAPER_WIDTHS) * (1 / drawn[a] + 1 / drawn[b]) for a in drawn for b in drawn if a != b
    }
    caption = (
        f"Biased squared MMD between batches over {DRAWS} draws of {most} rows, "
        f"or all of a smaller batch, before and after each calibration ({_said(joint)}). Dashed: the value "
        "where samples are too far apart for every kernel, so that nothing is measured. Boxes: quartiles; "
        "whiskers: 1.5 times the box."
    )
    title = f"Figure S1b. Distances between batches: {_where(joint)}"
    gallery.add(f"S1b_{_place(joint)}", title, caption, distance_figure(distances, floors))


def _losses(gallery: Gallery, study: Study, trainings: Mapping[str, Mapping[int, Run]]) -> None:
    histories = {
        f"split {split}": {
            seed: read_table(run.record.path / "history.csv")
            for seed, run in seeds.items()
            if run.record.is_finished()
        }
        for split, seeds in trainings.items()
    }
    joint = next(run for seeds in trainings.values() for run in seeds.values())
    gallery.missing += [
        f"Joint training on {study.name} {name}, protocol {joint.config.protocol.name}, has not been run."
        for name, row in histories.items()
        if not row
    ]
    count = np.sum([len(row) for row in histories.values()])
    protocol = joint.config.protocol.name
    caption = (
        f"Losses of the joint training over epochs, {study.name}, protocol {protocol}: {count} runs, a row a "
        "split. Step A trains C and D, step B trains C and R (Eq. 4); logarithmic where a loss falls tenfold."
        + (
            " Dashed: the L_C of samples too far apart for every kernel, which has no gradient."
            if (floor := _floor(joint))
            else ""
        )
    )
    floors = {"L_C (A)": floor, "L_C (B)": floor} if floor else {}
    title = f"Losses of the joint training: {spelled(study.name)}, protocol {protocol}"
    gallery.add(f"losses_{study.name}_{protocol}", title, caption, loss_figure(histories, floors))


def _floor(joint: Run) -> float | None:
    """L_C where every kernel between two samples is 0: what is left is each sample's with itself."""
    rules, batches = joint.config.protocol, len(joint.study.batches)
    pairs = {"mean": 1, "sum_ordered": batches * (batches - 1)}.get(rules.mmd_pairs)
    if pairs is None or isinstance(rules.kernel_widths, str):
        return None
    return float(pairs * len(rules.kernel_widths) * 2 / joint.config.method.batch_size)


_NAMES = {"batch_a": str, "batch_b": str}


def _label(runs: Mapping[str, Run], name: str) -> str:
    return str(runs[name].config.method.card.label) if name in runs else name
