"""Files of simulated plates, as people have them: one row a sample, the last plate without labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from calib.data.simulate import simulate
from calib.data.study import Study


def made_study(subjects: Sequence[int] = (24, 22, 26, 20), effect: float = 0.9, seed: int = 0) -> Study:
    """Return a simulated study of two classes with a plate for each number of subjects, two samples a subject."""
    study, _ = simulate(
        subjects=list(subjects), replicates=2, features=16, informative=6, effect=effect, additive=0.2,
        multiplicative=0.3, bend=0.1, seed=seed,
    )  # fmt: skip
    return study


def made_table(study: Study, blank: Sequence[str]) -> tuple[pd.DataFrame, pd.Series]:
    """Return a study as a table with the labels of some plates left empty, and all true labels."""
    parts, truth = [], []
    for name, batch in study.batches.items():
        assert batch.y is not None
        assert batch.subject is not None
        labels = np.array(study.classes, object)[batch.y]
        truth += labels.tolist()
        part = pd.DataFrame(batch.dense, columns=[f"mz_{i}" for i in range(batch.x.shape[1])])
        part.insert(0, "plate", name)
        part.insert(1, "diagnosis", None if name in blank else labels)
        part.insert(2, "patient", [f"{name}-{number}" for number in batch.subject])
        part.insert(3, "well", [f"{name}/{row}" for row in range(len(batch))])
        parts.append(part)
    return pd.concat(parts, ignore_index=True), pd.Series(truth)


def made_file(folder: Path, blank: Sequence[str] = ("4",), **settings: object) -> Path:
    """Write such a table as ``cohort.csv`` and return the file."""
    table, _ = made_table(made_study(**settings), blank)  # type: ignore[arg-type]
    file = folder / "cohort.csv"
    table.to_csv(file, index=False)
    return file


COLUMNS = ("batch=plate", "label=diagnosis", "subject=patient", "sample=well")
"""The settings that name the columns of such a file."""
