"""The paper's own numbers (Niu et al. 2021, Tables 1 to 3; CC BY 4.0), as printed."""

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
