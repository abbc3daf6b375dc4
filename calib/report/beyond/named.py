"""The report's section on the methods that the paper's introduction names and does not test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from calib.errors import DamagedError
from calib.records.record import Record
from calib.report.beyond.comparison import COLUMNS, cells, compared, name
from calib.report.exhibits import Table
from calib.report.figures.draw import fill_maps
from calib.report.figures.gallery import Gallery, map_folder
from calib.report.figures.maps import map_figure
from calib.report.figures.tsne import Map, MapSettings, record_map
from calib.report.groups import ARCSINH, CONVERGED, LOGISTIC, Group
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.report.paper import spelled
from calib.runs.run import Run

NAMED = ("sva", "fsva", "ratio_g", "mnn", "cca", "seurat", "harmony", "mmd_resnet")
"""The introduction's methods in its order, but for Harmony, which is younger and of the same kind."""

BESIDE = ("baseline", "combat", "normae", "bermuda", "desc", "recon_t", "joint", "joint_plus")
"""The methods of the paper's tables, and ours, which the table shows them with."""

UNCALIBRATED = "baseline"


TEXT = (
    "The introduction has a sentence each for SVA, fSVA, Ratio_G, MNN, CCA, Seurat and MMD-ResNet, and no "
    "number. Here they correct the same studies, before the same D as the paper's comparators and before "
    "logistic regression. Harmony joins them."
)

CAPTION = (
    "Protocol paper (joint also released). Mean over all splits' targets, at sample level; ± standard "
    "deviation over seeds; AUC of probabilities. Data: as the paper's comparators get them (intensities, "
    "or logarithms of counts), or arcsinh(x / 100) of intensities, since SVA, MNN, CCA and Seurat were "
    "made for logarithmic values (Harmony and MMD-ResNet take arcsinh by themselves). Difference: accuracy "
    "minus that of the same classifier on the same data (of Harmony and MMD-ResNet: on arcsinh of "
    "intensities) without calibration, paired by subject and seed, "
    "with the 95 % interval of a bootstrap of whole subjects and of seeds; a setting with one seed is "
    "compared with every seed. Converged: with the learning rates of training=converged "
    "(docs/pancreas.md), where the printed ones leave D untrained. Sorted by accuracy. † uses target "
    "labels. ‡ gives one answer for all replicates of a sample."
)

HEADS = ["method", "data", "classifier", *COLUMNS.values(), "minus no calibration", "seeds"]


def named_numbers(study: str, found: Sequence[Group]) -> pd.DataFrame:
    """One row a method, protocol, kind of data and classifier, the best first; none if no such method ran."""
    shown = [one for one in found if one.method in NAMED or _stands_beside(one)]
    if not any(one.runs and one.method in NAMED for one in shown):
        return pd.DataFrame()
    raw = {_words(one.variant): one for one in shown if one.method == UNCALIBRATED and one.runs}

    def uncalibrated(one: Group) -> Group | None:
        words = _words(one.variant)
        if one.method == "joint_plus":  # whose own networks and scale are no one else's
            return None
        own = raw.get(words | {ARCSINH}) if one.takes_arcsinh else None
        return own or raw.get(words)

    numbers = compared(study, shown, uncalibrated)
    words = numbers.pop("variant").str.split()
    numbers.insert(4, "data", ["arcsinh" if ARCSINH in given else "as they are" for given in words])
    numbers.insert(5, "classifier", [_classifier(given) for given in words])
    return numbers


def _words(variant: str) -> frozenset[str]:
    """Return the words of a variant: the data's scale before a correction, the classifier after it."""
    return frozenset(variant.split())


def _stands_beside(one: Group) -> bool:
    protocols = ("paper", "released") if one.method == "joint" else ("paper",)
    if one.method == UNCALIBRATED:
        return one.protocol == "paper"
    return one.method in BESIDE and one.protocol in protocols and one.variant in ("", CONVERGED, LOGISTIC)


def named_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text."""
    rows = [
        [
            name(row) + (f", {row['protocol']}" if row["protocol"] != "paper" else ""),
            row["data"],
            row["classifier"],
            *cells(row),
        ]
        for row in numbers.to_dict("records")
    ]
    title = f"{spelled(study)}: named in the paper, tested here"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond,named"
    return Table(f"named_{study}", title, CAPTION, HEADS, rows, numbers, command)


def named_section(found: Mapping[str, Sequence[Group]], folder: Path, workers: int) -> Section | None:
    """The section, or None where none of these methods is recorded.

    Args:
        found: study -> its settings.
        folder: of the figures, which are written here.
        workers: how many maps are made at once.

    Raises:
        CalibError: a record cannot be read, or the folder cannot be written to.
    """
    tables: list[Table] = []
    gallery = Gallery(folder)
    Record(folder).make_folder()
    for study, its in found.items():
        numbers = named_numbers(study, its)
        if len(numbers):
            tables.append(named_table(study, numbers))
            _draw(gallery, [one for one in its if not one.variant and one.protocol == "paper"], workers)
    if not tables:
        return None
    shown = [Shown(one, folder, "make report SERIES=paper,beyond,named") for one in gallery.drawn]
    return Section("Named in the paper, tested here", TEXT, tables, shown)


def _draw(gallery: Gallery, found: Sequence[Group], workers: int) -> None:
    """Maps of the study's first split and seed, uncalibrated data first."""
    runs = {one.method: one.jobs[0].run for one in found}
    shown = [runs[method] for method in (UNCALIBRATED, *NAMED) if method in runs]
    first = shown[0]
    how = MapSettings(seed=int(first.config.seed))
    fill_maps(first.study, shown, how.seed, workers)
    maps = {_heading(run): _map(run, how) for run in shown}
    gallery.add(
        f"tsne_named_{first.study.name}",
        f"t-SNE after each method that the paper only names: {spelled(first.study.name)}",
        f"As the maps above ({first.study.name}: sources {', '.join(first.split.sources)}, target "
        f"{', '.join(first.split.targets)}; intensities or counts as the paper's comparators get them, seed "
        f"{how.seed}). Left coloured by batch, right by class, with the mean silhouette in the corrected "
        "space. CCA and Harmony give dimensions of their own; MMD-ResNet maps the sources onto the target.",
        map_figure(maps, first.study, first.split),
    )


def _heading(run: Run) -> str:
    method = run.config.method
    return "Raw data" if method.name == UNCALIBRATED else str(method.card.label)


def _map(run: Run, how: MapSettings) -> Map | None:
    if not run.record.is_finished():
        return None
    try:
        return record_map(run.record, run.study, map_folder(run), how)
    except DamagedError:
        return None


def _classifier(words: Sequence[str]) -> str:
    if LOGISTIC in words:
        return "logistic regression"
    return "D, converged" if CONVERGED in words else "D"
