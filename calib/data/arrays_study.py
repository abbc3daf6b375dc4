"""A study from arrays: values, class indices, and names of each sample's batch, subject and replicate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cautions import counted, note
from calib.data.matrix import Matrix, as_floats
from calib.data.names import natural
from calib.data.partial_labels import unlabelled_part
from calib.data.study import Batch, IntArray, Study

Names = NDArray[np.str_]

ALL = "all"
"""The batch of all samples, where no batches are named."""


def batches_in_order(batch: Names | None, rows: int) -> dict[str, NDArray[np.intp]]:
    """Return the row numbers of every batch by its name, in natural order."""
    if batch is None:
        return {ALL: np.arange(rows)}
    return {str(name): np.flatnonzero(batch == name) for name in sorted(pd.unique(batch), key=natural)}


def study_from_arrays(
    name: str,
    x: Matrix,
    y: IntArray,
    classes: Sequence[str],
    features: Sequence[str],
    batch: Names | None = None,
    subject: Names | None = None,
    replicate: Names | None = None,
    sample: Names | None = None,
) -> Study:
    """Return the samples as a study.

    As in a file, batches are in natural order, and the unlabelled samples of a batch that is labelled in part
    become a batch of their own, after all others.

    Args:
        name: name of the study.
        x: data ``(samples, features)``.
        y: class index of each sample, -1 where it has no label ``(samples,)``.
        classes, features: their names.
        batch, subject, replicate, sample: names for each sample ``(samples,)``, None where unknown. Without
            replicates the samples of a subject are taken for such.
    """
    parts: dict[str, NDArray[np.intp]] = {}
    apart: dict[str, NDArray[np.intp]] = {}
    for own, rows in batches_in_order(batch, len(y)).items():
        without = rows[y[rows] < 0]
        if not 0 < len(without) < len(rows):
            parts[own] = rows
            continue
        parts[own], apart[unlabelled_part(own)] = rows[y[rows] >= 0], without
        note(
            "labelled_in_part",
            f"Batch '{own}' is labelled in part: {counted(len(without), 'sample')} of {len(rows):,} without "
            f"a label became batch '{unlabelled_part(own)}', which is a target.",
        )
    measures = subject if replicate is None else replicate
    batches = {
        own: Batch(
            own,
            as_floats(x[rows]),
            y[rows] if (y[rows] >= 0).all() else None,
            None if subject is None else subject[rows],
            names=None if sample is None else sample[rows],
            replicate=None if measures is None else measures[rows],
        )
        for own, rows in {**parts, **apart}.items()
    }
    return Study(name, batches, list(features), list(classes))
