"""The report's section on the methods that the paper's introduction names but does not test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from calib.errors import DamagedError
from calib.report.beyond.comparison import HEADS, LAST, cells, compared, method_name
from calib.report.beyond.dimensions import CONTROL, dimensions, equal_control
from calib.report.exhibits import Table
from calib.report.figures.draw import fill_maps
from calib.report.figures.gallery import Gallery, draw_waiting, map_folder
from calib.report.figures.maps import map_figure
from calib.report.figures.tsne import Map, MapSettings, record_map
from calib.report.groups import ARCSINH, CLASSIFIERS, CONVERGED, LOGISTIC, LOGISTIC_CV, Group, difference
from calib.report.numbers import estimate_columns, signed_with_interval
from calib.report.page.page import Section
from calib.report.page.parts import Shown
from calib.report.paper import spelled
from calib.report.readings import CHOSEN, INTERVALS, READS, TARGETS
from calib.runs.run import Run

NAMED = ("sva", "fsva", "ratio_g", "mnn", "cca", "seurat", "harmony", "mmd_resnet")
"""The introduction's methods in its order, and Harmony, which is younger and of the same kind."""

WORDS = {
    "harmony_100": "100 components",
    "pca_16": "16 components",
    "pca_100": "100 components",
    "pca_128": "128 components",
    "by_batch": "each batch standardised first",
}
"""Word that changes a correction -> the addition to the method's name; of others it is the word itself."""

SAID = {ARCSINH, CONVERGED, *CLASSIFIERS}
"""Words of a variant that have columns of their own."""

BESIDE = ("baseline", "combat", "normae", "bermuda", "desc", "recon_t", "joint", "joint_plus")
"""Methods of the paper's tables, and Joint+, which the table shows for comparison."""

UNCALIBRATED = "baseline"

TEXT = (
    "The introduction has a sentence each for SVA, fSVA, Ratio_G, MNN, CCA, Seurat and MMD-ResNet, and no "
    "number. Here they correct the same studies, before the same D as the paper's comparators and before "
    "logistic regression. Harmony joins them."
)

CAPTION = (
    "Protocol paper (joint also released). Mean over all splits' targets, at sample level; ± standard "
    f"deviation over seeds. {TARGETS} AUC of probabilities. Data: as the paper's comparators get them "
    "(intensities, or logarithms of counts), or arcsinh(x / 100) of intensities, since SVA, MNN, CCA and "
    "Seurat were made for logarithmic values (Harmony and MMD-ResNet take arcsinh by themselves). "
    "Difference: accuracy minus that of the same classifier on the same data (of Harmony and MMD-ResNet: on "
    f"arcsinh of intensities) without calibration, paired by subject and seed, with {INTERVALS} {READS} "
    "Converged: with the learning rates of training=converged (docs/pancreas.md), where the printed ones "
    "leave D untrained. Logistic regression is on the scale of the sources, with C = 1, or with C chosen by "
    f"folds of the sources. Sorted by accuracy. {CHOSEN} Seeds: any where the seed changes nothing. † uses "
    "target labels. ‡ gives one answer for all replicates of a sample."
)

EQUAL = (
    " Minus PCA: the difference to as many principal components as the method leaves, without calibration, "
    "before the same classifier, so that fewer dimensions count on both sides."
)
"""Addition to the caption, where there are controls of equal dimension."""


def named_numbers(study: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row for each method, protocol, kind of data and classifier, the best first.

    There is no row if none of the named methods has a complete seed.
    """
    shown = [group for group in groups if group.method in (*NAMED, CONTROL) or _is_beside(group)]
    if not any(group.runs and group.method in NAMED for group in shown):
        return pd.DataFrame()
    raw = {_words(group.variant): group for group in shown if group.method == UNCALIBRATED and group.runs}

    def uncalibrated(group: Group) -> Group | None:
        """Return the group of the same classifier on the same data without calibration."""
        words = _words(group.variant) & SAID
        if group.method == "joint_plus":  # no other method has its networks and scale
            return None
        on_arcsinh = raw.get(words | {ARCSINH}) if group.takes_arcsinh else None
        return on_arcsinh or raw.get(words)

    numbers = compared(study, shown, uncalibrated)
    equal = {(group.method, group.protocol, group.variant): _beside_equal(group, shown) for group in shown}
    places = numbers[["method", "protocol", "variant"]].itertuples(index=False, name=None)
    numbers = numbers.assign(**pd.DataFrame([equal[place] for place in places]))
    words = numbers.pop("variant").str.split()
    numbers["label"] = [
        ", ".join([label, *(WORDS.get(word, word) for word in of_row if word not in SAID)])
        for label, of_row in zip(numbers["label"], words, strict=True)
    ]
    numbers.insert(4, "data", ["arcsinh" if ARCSINH in of_row else "as they are" for of_row in words])
    numbers.insert(5, "classifier", [_classifier(of_row) for of_row in words])
    return numbers


def _beside_equal(group: Group, groups: Sequence[Group]) -> dict[str, float]:
    """Return the dimensions that a method leaves, and the difference to as many principal components."""
    control, count = equal_control(group, groups), dimensions(group)
    apart = difference(group.runs, control.runs) if control else None
    leaves = np.nan if count is None else float(count)
    return {"dimensions": leaves, **estimate_columns(apart, "difference", prefix="equal_")}


def _words(variant: str) -> frozenset[str]:
    """Return the words of a variant: the data's scale before a correction, the classifier after it."""
    return frozenset(variant.split())


def _is_beside(group: Group) -> bool:
    """Return whether a group is shown for comparison."""
    protocols = ("paper", "released") if group.method == "joint" else ("paper",)
    if group.method == UNCALIBRATED:
        return group.protocol == "paper"
    known = group.variant in ("", CONVERGED, LOGISTIC, LOGISTIC_CV)
    return group.method in BESIDE and group.protocol in protocols and known


def _classifier(words: Sequence[str]) -> str:
    """Return the classifier that a variant's words choose."""
    for word in words:
        if word in CLASSIFIERS:
            return CLASSIFIERS[word]
    return "D, converged" if CONVERGED in words else "D"


def named_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``named_numbers`` as a table."""
    rows = [
        [
            method_name(row) + (f", {row['protocol']}" if row["protocol"] != "paper" else ""),
            row["data"],
            row["classifier"],
            *cells(row),
        ]
        for row in numbers.to_dict("records")
    ]
    heads, caption = ["method", "data", "classifier", *HEADS, "minus no calibration", "reads", *LAST], CAPTION
    if "equal_difference" in numbers and numbers["equal_difference"].notna().any():
        place = -len(LAST)
        heads[place:place] = ["minus PCA"]
        caption += EQUAL
        for line, row in zip(rows, numbers.to_dict("records"), strict=True):
            apart = (row["equal_difference"], row["equal_low"], row["equal_high"])
            line[place:place] = [signed_with_interval(*apart)]
    title = f"{spelled(study)}: named in the paper, tested here"
    command = f"make reproduce-all STUDIES={study} SERIES=paper,beyond,named"
    return Table(f"named_{study}", title, caption, heads, rows, numbers, command)


def named_section(studies: Mapping[str, Sequence[Group]], folder: Path, workers: int) -> Section | None:
    """Return the section, or None if none of these methods is recorded.

    Args:
        studies: name of a study -> its groups of runs.
        folder: folder of the figures, which are written here.
        workers: number of maps made at once.

    Raises:
        CalibError: a record cannot be read, or the folder cannot be written to.
    """
    tables: list[Table] = []
    gallery = Gallery(folder)
    for study, groups in studies.items():
        numbers = named_numbers(study, groups)
        if len(numbers):
            tables.append(named_table(study, numbers))
            published = [group for group in groups if not group.variant and group.protocol == "paper"]
            _draw_maps(gallery, published, workers)
    if not tables:
        return None
    draw_waiting([gallery], workers)
    shown = [Shown(drawn, folder, "make report SERIES=paper,beyond,named") for drawn in gallery.drawn]
    return Section("Named in the paper, tested here", TEXT, tables, shown)


def _draw_maps(gallery: Gallery, groups: Sequence[Group], workers: int) -> None:
    """Draw the maps of a study's first split and seed, uncalibrated data first."""
    runs = {group.method: group.jobs[0].run for group in groups}
    shown = [runs[method] for method in (UNCALIBRATED, *NAMED) if method in runs]
    first = shown[0]
    settings = MapSettings(seed=int(first.config.seed))
    fill_maps(first.study, shown, settings.seed, workers)
    made = {_heading(run): _map(run, settings) for run in shown}
    maps = {heading: drawn for heading, drawn in made.items() if drawn is not None}
    if not maps:
        return
    gallery.add(
        f"tsne_named_{first.study.name}",
        f"t-SNE after each method that the paper only names: {spelled(first.study.name)}",
        f"As the maps above ({first.study.name}: sources {', '.join(first.split.sources)}, target "
        f"{', '.join(first.split.targets)}; intensities or counts as the paper's comparators get them, seed "
        f"{settings.seed}). Left coloured by batch, right by class, with the mean silhouette in the "
        "corrected space. CCA and Harmony give dimensions of their own; MMD-ResNet maps the sources onto the "
        "target.",
        map_figure,
        maps,
        list(first.study.batches),
        first.study.classes,
        first.split,
    )


def _heading(run: Run) -> str:
    """Return the heading of a run's map."""
    method = run.config.method
    return "Raw data" if method.name == UNCALIBRATED else str(method.card.label)


def _map(run: Run, settings: MapSettings) -> Map | None:
    """Return the map of a run, or None if its record is missing or damaged."""
    if not run.record.is_finished():
        return None
    try:
        return record_map(run.record, run.study, map_folder(run), settings)
    except DamagedError:
        return None
