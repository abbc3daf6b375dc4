"""Features that have no value in a whole batch, which no statistic of that batch can fill."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cautions import counted, listed, note
from calib.data.sheet import Sheet
from calib.data.table_files import Impute
from calib.errors import DataError

MissingFeatures = Literal["leave_out", "other_batches"]
MISSING_FEATURES = ("leave_out", "other_batches")
"""Choices for such a feature: leave it out of all batches, or fill it from the other batches."""

STATISTICS: dict[str | None, Callable[..., Any]] = {"mean": np.nanmean, "median": np.nanmedian}
"""The values of ``dataset.impute`` that need a finite value of every feature in every batch."""


def lacking(x: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """Return which features have no finite value ``(features,)``, for each batch in which there are such."""
    absent = {name: np.logical_not(np.isfinite(values).any(axis=0)) for name, values in x.items()}
    return {name: mask for name, mask in absent.items() if mask.any()}


def remaining(
    absent: Mapping[str, NDArray[np.bool_]], features: Sequence[str], where: str
) -> NDArray[np.bool_]:
    """Return which features remain ``(features,)`` where every batch needs a value, and note the others.

    Args:
        absent: batch -> whether it has no value of each feature; one batch at least.
        features: name of every feature.
        where: name of the file or study, for messages.

    Raises:
        DataError: no feature remains.
    """
    gone = np.logical_or.reduce(list(absent.values()))
    names = [name for name, out in zip(features, gone, strict=True) if out]
    by_batch = ", ".join(f"'{batch}' lacks {mask.sum():,}" for batch, mask in absent.items())
    if gone.all():
        raise DataError(
            f"{where}: every feature has no value in some batch ({by_batch}); leave out a batch, or "
            "set dataset.impute=zero."
        )
    note(
        "features_left_out",
        f"{where}: {len(names):,} of {counted(len(features), 'feature')} have no value in a whole batch "
        f"({by_batch}) and are left out: {listed(names)}.",
    )
    return np.logical_not(gone)


def note_zeros(absent: Mapping[str, NDArray[np.bool_]], where: str) -> None:
    """Note features that are absent from a whole batch, where ``impute`` fills them with zero."""
    if absent:
        counts = ", ".join(f"{mask.sum():,} of '{name}'" for name, mask in absent.items())
        note(
            "features_filled",
            f"{where}: features that have no value in a whole batch are filled with zero: {counts}.",
        )


def with_shared_features(
    sheet: Sheet, references: Sheet | None, impute: Impute | None, rule: MissingFeatures
) -> tuple[Sheet, Sheet | None]:
    """Return samples and reference samples in which every batch has a value of every feature.

    Nothing is done where ``impute`` refuses missing values (None). Where it needs no such value (zero), a
    warning is all that is added.

    Args:
        sheet: samples with missing values as NaN.
        references: reference samples of the same features, or None.
        impute: value that is to replace missing values; see ``table_files.filled``.
        rule: ``leave_out`` leaves a feature that one batch lacks out of all batches. ``other_batches`` fills
            it in that batch with the mean or median (as ``impute``) of the samples of all others, and leaves
            out only what no batch has or reference samples lack.

    Raises:
        DataError: no feature remains.
    """
    if impute is None:
        return sheet, references
    absent, where = lacking(_values(sheet)), f"File {sheet.file}"
    if impute not in STATISTICS:
        note_zeros(absent, where)
        return sheet, references
    if rule == "other_batches" and absent:
        sheet = _filled_from_others(sheet, absent, impute)
        absent = lacking(_values(sheet))
    for name, mask in ({} if references is None else lacking(_values(references))).items():
        absent[name] = absent.get(name, False) | mask
    if not absent:
        return sheet, references
    chosen = remaining(absent, sheet.features, where)
    return sheet.of_features(chosen), None if references is None else references.of_features(chosen)


def _values(sheet: Sheet) -> dict[str, NDArray[np.float64]]:
    """Return the values of each batch ``(samples, features)``, by its name."""
    return {name: sheet.values[sheet.batch == name] for name in pd.unique(sheet.batch)}


def _filled_from_others(sheet: Sheet, absent: Mapping[str, NDArray[np.bool_]], impute: Impute) -> Sheet:
    """Return the sheet with the features that a batch lacks filled from the samples of the other batches."""
    values = np.where(np.isfinite(sheet.values), sheet.values, np.nan)
    known: NDArray[np.bool_] = np.logical_or.reduce(np.isfinite(values))
    fill = np.full(len(known), np.nan)
    fill[known] = STATISTICS[impute](values[:, known], axis=0)
    filled = sheet.values.copy()
    for name, mask in absent.items():
        filled[np.ix_(sheet.batch == name, mask & known)] = fill[mask & known]
    numbers = {name: int((mask & known).sum()) for name, mask in absent.items()}
    counts = ", ".join(f"{number:,} of '{name}'" for name, number in numbers.items() if number)
    if not counts:  # no batch has a value
        return sheet
    note(
        "features_filled",
        f"File {sheet.file}: features that have no value in a whole batch are filled with the {impute} of "
        f"the other batches: {counts}.",
    )
    return replace(sheet, values=filled)
