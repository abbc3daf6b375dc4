"""Properties of a study that may decide which method helps, and their correlation with methods' gains."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from calib.data.study import Study
from calib.evaluation.significance import holm
from calib.report.zoo.scores import Entry, chance, uncalibrated

SPELLED = {
    "batches": "batches",
    "samples": "samples",
    "smallest": "smallest batch",
    "features": "features",
    "classes": "classes",
    "mix": "class mix apart",
    "silhouette_batch": "silhouette by batch",
    "silhouette_class": "silhouette by class",
    "by_itself": "no calibration",
}
"""Property -> its heading."""


def study_numbers(studies: Mapping[str, Sequence[Entry]], parts: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each study: its size, its class mixes, and how far its batches lie apart.

    ``mix`` is the mean over pairs of batches of the total variation distance between their shares of classes:
    0 where all have the same mix, 1 where no two have a class in common. ``samples_of_subject`` is the mean
    number of samples of a subject in a batch. The silhouettes are those of the values as loaded.
    """
    rows = []
    for name, methods in studies.items():
        study = methods[0].group.study
        none = uncalibrated(methods)
        rows.append(
            {
                "study": name,
                "part": parts.get(name, "paper"),
                **_sizes(study),
                "mix": _mix(study),
                **_silhouettes(none),
                "chance": chance(study),
                "by_itself": none.metrics["balanced_accuracy"].estimate().value if none else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _sizes(study: Study) -> dict[str, float]:
    """Return the numbers of batches, samples, features, classes and of samples of a subject."""
    batches = list(study.batches.values())
    replicated = [len(b) / len(np.unique(b.replicate)) for b in batches if b.replicate is not None]
    return {
        "batches": len(batches),
        "samples": sum(map(len, batches)),
        "smallest": min(map(len, batches)),
        "features": len(study.features),
        "classes": len(study.classes),
        "samples_of_subject": float(np.mean(replicated)) if replicated else 1.0,
    }


def _mix(study: Study) -> float:
    """Return how far the class mixes of the batches lie apart."""
    shares = [
        np.bincount(batch.y, minlength=len(study.classes)) / len(batch)
        for batch in study.batches.values()
        if batch.y is not None
    ]
    return float(np.mean([np.abs(a - b).sum() / 2 for a, b in combinations(shares, 2)]))


def _silhouettes(none: Entry | None) -> dict[str, float]:
    """Return the silhouettes of uncalibrated data by batch and by class, mean over splits."""
    found = [
        one.result.get("silhouette") or {}
        for pairs in (none.group.records.values() if none else ())
        for _, one in pairs
    ]
    return {
        f"silhouette_{by}": float(np.mean([s[by] for s in found if s.get(by) is not None] or [np.nan]))
        for by in ("batch", "class")
    }


def correlations(scores: pd.DataFrame, properties: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation of each method's gain with each property, over studies.

    Only methods that all studies have are shown; Holm's adjustment is over all of the table.
    """
    gains = scores.pivot_table(index="study", columns="name", values="balanced_accuracy_gain")
    gains = gains.dropna(axis=1)
    known = properties.set_index("study").loc[gains.index]
    rows = []
    for method in gains:
        for name in SPELLED:
            values = known[name].to_numpy(float)
            some = np.isfinite(values)
            enough = some.sum() >= 5 and len(np.unique(values[some])) > 1 and gains[method].nunique() > 1
            rho, p = spearmanr(values[some], gains[method][some]) if enough else (np.nan, np.nan)
            rows.append({"name": method, "property": name, "rho": float(rho), "p": float(p)})
    table = pd.DataFrame(rows, columns=["name", "property", "rho", "p"])
    return table.assign(p_holm=holm(table["p"].tolist())) if len(table) else table
