"""The figures of a study that depend on no split: differential features (Figure S1a) and losses."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from calib.data.study import Study
from calib.errors import CalibError
from calib.evaluation.differential import ALPHA, LEVELS, differential, p_values
from calib.files import safe_name
from calib.records.record import Record
from calib.report.figures.curves import loss_figure
from calib.report.figures.features import overlap_figure
from calib.report.figures.gallery import Gallery, rules_of, tables_of
from calib.report.paper import COMMON_FEATURES, spelled
from calib.runs.run import Run

HEADINGS = {
    "sample": "Samples, as the authors count",
    "subject": "Subjects: mean over replicates",
}
"""Level of the test -> heading of its panel."""


def draw_study(
    study: Study, trainings: Mapping[str, Mapping[str, Mapping[int, Run]]], folder: Path
) -> Gallery:
    """Return the differential features and the losses of every joint run, which depend on no split, to draw.

    Args:
        study: with its values as loaded, not scaled.
        trainings: rules (``gallery.rules_of``) -> split label -> seed -> planned run of the joint model.
        folder: folder of the figures, of the tables behind them and of a list ``figures_<study>.json``.

    Raises:
        CalibError: a folder cannot be written to.
    """
    gallery = Gallery(folder)
    _overlaps(gallery, study)
    for splits in trainings.values():
        _losses(gallery, study, splits)
    gallery.write_list(f"figures_{study.name}")
    return gallery


def _overlaps(gallery: Gallery, study: Study) -> None:
    """Draw in how many batches features differ between the classes, and write the p values."""
    panels: dict[str, pd.DataFrame] = {}
    tables, untested = [], 0
    for level in LEVELS:
        try:
            p = p_values(study, level)
        except CalibError as error:
            gallery.missing.append(f"Differential features at level {level}: {error}")
            continue
        panels[HEADINGS[level]] = differential(p)
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
    printed = {HEADINGS["sample"]: number} if number else {}
    title = f"Figure S1a. Differential features of each batch: {spelled(study.name)}"
    gallery.add(f"S1a_{study.name}", title, caption, overlap_figure, panels, list(study.batches), printed)


def _losses(gallery: Gallery, study: Study, trainings: Mapping[str, Mapping[int, Run]]) -> None:
    """Draw the losses of every joint run under one protocol and training."""
    joint = next(run for seeds in trainings.values() for run in seeds.values())
    protocol = rules_of(joint)
    histories: dict[str, dict[int, pd.DataFrame]] = {}
    without = 0
    for split, seeds in trainings.items():
        recorded = {seed: run for seed, run in seeds.items() if run.record.is_finished()}
        if not recorded:
            name = f"{study.name} split {split}, protocol {protocol}"
            gallery.missing.append(f"Joint training on {name}, has not been run.")
        row, lacking = tables_of(recorded, "history.csv")
        histories |= {f"split {split}": row} if row else {}
        without += len(lacking)
    if without:
        what = f"{without} runs of the joint training on {study.name}, protocol {protocol}"
        gallery.missing.append(f"No losses (history.csv) are recorded of {what}.")
    if not histories:
        return
    count = sum(len(row) for row in histories.values())
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
    name = f"losses_{study.name}_{protocol.replace(', training ', '_')}"
    gallery.add(name, title, caption, loss_figure, histories, floors)


def _floor(joint: Run) -> float | None:
    """Return L_C if every kernel between two samples is 0, so that only a sample's own kernel counts."""
    rules, batches = joint.config.protocol, len(joint.study.batches)
    pairs = {"mean": 1, "sum_ordered": batches * (batches - 1)}.get(rules.mmd_pairs)
    if pairs is None or isinstance(rules.kernel_widths, str):
        return None
    return float(pairs * len(rules.kernel_widths) * 2 / joint.config.method.batch_size)
