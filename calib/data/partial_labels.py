"""Batches that are labelled in part, whose samples without a label become a batch of their own."""

from collections.abc import Container
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cautions import counted, note
from calib.data.study import IntArray
from calib.errors import DataError

UNLABELLED = " (unlabelled)"
"""What is added to the name of a batch for its samples without a label."""


def unlabelled_part(batch: str) -> str:
    """Return the name of the batch that holds the unlabelled samples of a batch."""
    return batch + UNLABELLED


def whole_plate(batch: str, names: Container[str]) -> str:
    """Return the batch that a batch is the unlabelled part of, or the batch itself.

    Args:
        batch: name of the batch.
        names: names of all batches.
    """
    whole = batch.removesuffix(UNLABELLED)
    return whole if whole in names else batch


def unlabelled_apart(batch: NDArray[Any], y: IntArray, file: str) -> tuple[NDArray[Any], IntArray]:
    """Give the unlabelled samples of each batch that is labelled in part a batch of their own, and note it.

    The new batches come after all others, so that the positions of those stay. They have no labels, so they
    can be targets only.

    Args:
        batch: name of each sample's batch ``(samples,)``.
        y: class index of each sample ``(samples,)``, -1 where the label is missing.
        file: name of the file, for messages.

    Returns:
        The new name of each sample's batch, and the order of the samples in which new batches come last.

    Raises:
        DataError: a batch of the file has the name that a new batch would get.
    """
    names = list(pd.unique(batch))
    divided, moved = batch.copy(), np.zeros(len(y), bool)
    for name in names:
        rows = batch == name
        without = rows & (y < 0)
        count, total = int(without.sum()), int(rows.sum())
        if not 0 < count < total:
            continue
        part = unlabelled_part(name)
        if part in names:
            raise DataError(
                f"File {file}: {count} samples of batch '{name}' have no label and would become batch "
                f"'{part}', which there is already; give one of the two another name."
            )
        moved |= without
        divided[without] = part
        note(
            "labelled_in_part",
            f"Batch '{name}' is labelled in part: {counted(count, 'sample')} of {total} without a label "
            f"became batch '{part}', which can be a target only.",
        )
    return divided, np.argsort(moved, kind="stable")
