"""The paper's own numbers (Niu et al. 2021, Tables 1 to 3; CC BY 4.0), as printed."""

from dataclasses import dataclass
from importlib.resources import files

import pandas as pd


def paper_numbers() -> pd.DataFrame:
    """One row a printed cell: ``table, dataset, method, sources, target, metric, value``.

    ``sources`` and ``target`` name batches by position, ``average`` marks a printed mean.
    """
    with (files("calib.report") / "paper_numbers.csv").open() as stream:
        return pd.read_csv(stream, dtype={"sources": str, "target": str})


def paper_accuracy(study: str, method: str) -> dict[tuple[str, str], float]:
    """Accuracies of Tables 1b, 2b and 3: (sources, target) -> value; empty where none is printed."""
    table = paper_numbers()
    chosen = table[
        (table["dataset"] == study)
        & (table["method"] == method)
        & (table["metric"] == "ACC")
        & table["table"].isin(["1b", "2b", "3"])
    ]
    return dict(zip(zip(chosen["sources"], chosen["target"], strict=True), chosen["value"], strict=True))


MAP_FIGURES = {"mi": 2, "chd": 3, "pancreas": 4}
"""Which figure shows a study's t-SNE maps."""

COMMON_FEATURES = {"mi": 82}
"""Features differential in every batch, from the text on Figure S1a."""


@dataclass(frozen=True)
class Cohort:
    """Printed sizes of a study: samples and subjects of each batch or, where one number, of all; features."""

    samples: tuple[int, ...]
    subjects: tuple[int, ...] = ()
    features: int | None = None


COHORTS = {
    "mi": Cohort((1330, 1305, 1345), (266, 261, 269)),
    "chd": Cohort((1559, 1478, 1523, 1449), (312, 296, 305, 290)),
    "pancreas": Cohort((4036,), features=325),
}
"""Cohort sizes, from the sections on each data set."""

DISTANCES = {"chd": ("3", "4")}
"""The pair of batches whose MMD the paper shows, Figure S1b."""
