"""The paper's own numbers (Niu et al. 2021, Tables 1 to 3; CC BY 4.0), as printed."""

from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

PROTOCOLS = ("paper", "released")
"""Protocols of the paper: the text as written, and the authors' code."""

ONE_SOURCE = "one_source"
"""Name of the variant with one source batch in a split, as for pairwise calibration in Tables 1a and 2a."""


def paper_numbers() -> pd.DataFrame:
    """Return a row for each printed number: ``table, dataset, method, sources, target, metric, value``.

    ``sources`` and ``target`` name batches by position, ``average`` marks a printed mean.
    """
    with (files("calib.report") / "paper_numbers.csv").open() as stream:
        return pd.read_csv(stream, dtype={"sources": str, "target": str})


def paper_accuracy(study: str, method: str) -> dict[tuple[str, str], float]:
    """Return the accuracies of Tables 1b, 2b and 3 by (sources, target); empty if none is printed."""
    table = paper_numbers()
    chosen = table[
        (table["dataset"] == study)
        & (table["method"] == method)
        & (table["metric"] == "ACC")
        & table["table"].isin(["1b", "2b", "3"])
    ]
    return dict(zip(zip(chosen["sources"], chosen["target"], strict=True), chosen["value"], strict=True))


def spelled(study: str) -> str:
    """Return a study's name as the paper writes it."""
    return study.upper() if study in ("mi", "chd") else study


PANCREAS = "pancreas"
"""Name of the study of Table 3 and Figure 4."""

PARTS_OF_PANCREAS = {
    "pancreas_mini": "300 cells of the paper's three protocols, 6 types",
    "pancreas_1000_three": "257 cells of the paper's three protocols, 11 types",
    "pancreas_500": "500 cells of five protocols, 6 types",
    "pancreas_1000": "1000 cells of five protocols, 13 types",
}
"""Study -> its content. They are real cells of the same public collection, but not the paper's 4036."""

MAP_FIGURES = {"mi": 2, "chd": 3, "pancreas": 4}
"""Study -> number of the figure with its t-SNE maps."""

COMMON_FEATURES = {"mi": 82}
"""Study -> number of features that differ in every batch, from the text on Figure S1a."""

CONTRADICTIONS = {
    "1a": (
        "The paper's Tables 1a and 1b differ for the same quantities: before calibration .721/.686/.599 and "
        "Baseline .723/.726/.664 (targets 1, 2, 3); joint .876/.807/.771 and .867/.807/.774.",
    ),
    "1b": (
        "The text calls its method superior over all others; in its own table ComBat (.779) and DESC (.775) "
        "are above it on target 3, Recon_T (.879) on target 1.",
    ),
    "2a": (
        "The paper's Table 2a is not the average of its Table 2b: joint .825/.815/.775/.746 here, "
        ".819/.802/.789/.734 from there.",
    ),
    "2b": (
        "The text calls its method optimal on all groups; in its own table Baseline and ComBat are above it "
        "in 1, 3 to 2, ComBat in 1, 3 to 4 and in 2, 3 to 1, 4, Recon_T in 1, 2 to 3, 4.",
    ),
    "3": (
        "The text names NormAE second on 1, 3 to 2 (.215); in its own table ComBat has .544, more than the "
        "joint model's .458, and NormAE is above it on 1, 2 to 3 (.432, .428).",
    ),
    "S1": ("The quoted gains in accuracy from 1, 2 to 3, 4 (.130, .194) are .142 and .167 from Table 2b.",),
}
"""Table -> sentences for its caption on where the paper's tables and text disagree."""

QUOTED_GAINS = {
    ("12", target, metric): value
    for target, values in {"3": (0.130, 0.037, 0.160, 0.256), "4": (0.194, 0.061, 0.193, 0.299)}.items()
    for metric, value in zip(("ACC", "F-score", "AUC", "MCC"), values, strict=True)
}
"""Gains of the joint model on CHD that the text quotes from Table S1: (sources, target, metric) -> value."""


@dataclass(frozen=True)
class Cohort:
    """Printed sizes of a study.

    Attributes:
        samples: samples of each batch, or one number for all batches.
        subjects: subjects of each batch; empty if they are not printed.
        features: number of features; None if it is not printed.
    """

    samples: tuple[int, ...]
    subjects: tuple[int, ...] = ()
    features: int | None = None


COHORTS = {
    "mi": Cohort((1330, 1305, 1345), (266, 261, 269)),
    "chd": Cohort((1559, 1478, 1523, 1449), (312, 296, 305, 290)),
    "pancreas": Cohort((4036,), features=325),
}
"""Study -> printed sizes, from the sections on each data set."""

DISTANCES = {"chd": ("3", "4")}
"""Study -> the pair of batches whose MMD the paper shows, in Figure S1b."""
