"""Reference samples, which measure the same material in every batch and are not classified."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.matrix import as_floats, infinite_feature
from calib.data.partial_labels import unlabelled_part
from calib.data.sheet import Sheet
from calib.data.study import Study
from calib.errors import DataError

MARKS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""Words in the reference column -> whether they mark a reference sample."""


def marked(column: pd.Series, where: str) -> NDArray[np.bool_]:
    """Return whether a column of text marks each sample ``(samples,)``.

    Args:
        column: true, yes or 1 for reference samples, and false, no, 0 or nothing for others.
        where: name of the column, for messages.

    Raises:
        DataError: a cell has another content.
    """
    marks = column.str.lower().map(MARKS)
    if (wrong := marks.isna() & column.notna()).any():
        raise DataError(
            f"{where} has '{column[wrong].iloc[0]}'; mark reference samples by true, yes or 1, others by "
            "false, no, 0 or an empty cell."
        )
    return (marks == True).to_numpy(bool)  # noqa: E712


def set_apart(sheet: Sheet) -> tuple[Sheet, Sheet | None]:
    """Return the samples to be classified, and the reference samples where a column marks them.

    Raises:
        DataError: the column marks none of the samples, or all.
    """
    if sheet.reference is None:
        return sheet, None
    if sheet.reference.all() or not sheet.reference.any():
        share = "all" if sheet.reference.all() else "none"
        raise DataError(
            f"File {sheet.file}: {share} of the samples are reference samples; check dataset.reference."
        )
    return sheet.of_rows(~sheet.reference), sheet.of_rows(sheet.reference)


def with_references(study: Study, references: Sheet) -> Study:
    """Return the study with each batch's reference samples, which its unlabelled part has as well.

    Raises:
        DataError: a batch has reference samples only, or one of their values is missing or infinite.
    """
    batches = dict(study.batches)
    for name in pd.unique(references.batch):
        if name not in batches:
            raise DataError(f"File {references.file}: batch '{name}' has reference samples only.")
        reference = as_floats(references.values[references.batch == name])
        if (wrong := infinite_feature(reference)) is not None:
            raise DataError(
                f"File {references.file}: reference samples of batch '{name}' have missing or infinite "
                f"values, the first in '{references.features[wrong]}'; repair the file."
            )
        for own in (name, unlabelled_part(name)):
            if own in batches:
                batches[own] = replace(batches[own], reference=reference)
    return replace(study, batches=batches)
