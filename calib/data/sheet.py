"""The common form of the samples read from a table or an h5ad file, and the study made from it.

``table_study``, ``h5ad`` and ``counts`` read files into a ``Sheet``; ``as_study`` makes the study.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.cautions import counted, listed, note
from calib.data.matrix import as_floats, infinite_feature
from calib.data.partial_labels import unlabelled_apart
from calib.data.study import Batch, IntArray, Study
from calib.data.table_files import whole_numbers
from calib.errors import DataError, misspelling, nearest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sheet:
    """The samples of a file, batch after batch.

    Attributes:
        file: name of the file, for messages.
        values: data ``(samples, features)`` in the file's number type, sparse (CSR) where the file is sparse.
        names: the samples' names, or their places in the file ``(samples,)``.
        features: names of the features.
        batch: the study's name of each sample's batch ``(samples,)``.
        label: label as text ``(samples,)``, missing where the file has none.
        subject: name of each sample's subject as text ``(samples,)``, or None where no column names it.
        reference: whether each sample is a reference sample ``(samples,)``, or None where no column says so.
        order: place of each sample in the order of measurement ``(samples,)``, or None where it is unknown.
        missing: whether each value is missing and will be filled ``(samples, features)``; None: none is.
    """

    file: str
    values: Any
    names: NDArray[np.str_]
    features: list[str]
    batch: NDArray[np.object_]
    label: pd.Series
    subject: NDArray[np.str_] | None
    reference: NDArray[np.bool_] | None = None
    order: NDArray[np.float64] | None = None
    missing: NDArray[np.bool_] | None = None

    def of_features(self, chosen: NDArray[Any]) -> "Sheet":
        """Return the sheet with only the features at these positions, or where the mask is true."""
        names = np.array(self.features, object)[chosen]
        missing = None if self.missing is None else self.missing[:, chosen]
        return replace(self, values=self.values[:, chosen], features=list(names), missing=missing)

    def of_rows(self, chosen: NDArray[Any]) -> "Sheet":
        """Return the sheet with only the samples at these positions, or where the mask is true."""
        return replace(
            self,
            values=self.values[chosen],
            names=self.names[chosen],
            batch=self.batch[chosen],
            label=self.label[chosen].reset_index(drop=True),
            subject=None if self.subject is None else self.subject[chosen],
            reference=None if self.reference is None else self.reference[chosen],
            order=None if self.order is None else self.order[chosen],
            missing=None if self.missing is None else self.missing[chosen],
        )

    def with_missing(self) -> "Sheet":
        """Return the sheet with the places of its missing and infinite values, before these are filled."""
        if sparse.issparse(self.values) or np.isfinite(self.values).all():
            return self
        return replace(self, missing=~np.isfinite(self.values))

    def aligned(self, features: Sequence[str]) -> "Sheet":
        """Return the sheet with just these features, in this order.

        Raises:
            DataError: a feature is missing.
        """
        if self.features == list(features):
            return self
        positions = pd.Index(self.features).get_indexer(pd.Index(features))
        if (positions < 0).any():
            missing = [name for name, position in zip(features, positions, strict=True) if position < 0]
            raise DataError(
                f"File {self.file} lacks {len(missing)} of {len(features)} features, the first "
                f"'{missing[0]}'{nearest(missing[0], self.features)} All batches need the same features."
            )
        log.info(
            "%s: %d of its %d features are used, put in order by name.",
            *(self.file, len(features), len(self.features)),
        )
        return self.of_features(positions)


def text(column: pd.Series) -> pd.Series:
    """Return a column as text: missing values stay missing, whole numbers have no decimal point."""
    column = whole_numbers(column)
    return column.astype(object).where(column.notna(), None).map(str, na_action="ignore")


def joined(sheets: Sequence[Sheet]) -> Sheet:
    """Return one sheet of several, with the features common to all in the order of the first.

    Raises:
        DataError: there is no common feature, or a batch is in two files.
    """
    first = sheets[0]
    if len(sheets) == 1:
        return first
    others = set.intersection(*(set(sheet.features) for sheet in sheets[1:]))
    common = [feature for feature in first.features if feature in others]
    if not common:
        other = next(sheet for sheet in sheets if not set(sheet.features) & set(first.features))
        raise DataError(
            f"Files {first.file} and {other.file} have no feature in common; the first ones are "
            f"'{first.features[0]}' and '{other.features[0]}'."
        )
    shared = set(common)
    every = list(dict.fromkeys(feature for sheet in sheets for feature in sheet.features))
    if lost := [feature for feature in every if feature not in shared]:
        note(
            "features_not_shared",
            f"Files {', '.join(sheet.file for sheet in sheets)}: {len(lost):,} of "
            f"{counted(len(every), 'feature')} are not in every file and are left out: {listed(lost)}.",
        )
    parts = [sheet.aligned(common) for sheet in sheets]
    seen: dict[str, str] = {}
    for sheet in sheets:
        for batch in pd.unique(sheet.batch):
            if batch in seen:
                raise DataError(
                    f"Batch '{batch}' is in {seen[batch]} and in {sheet.file}; give every batch its own name."
                )
            seen[batch] = sheet.file
    subjects = [sheet.subject for sheet in parts if sheet.subject is not None]
    references = [sheet.reference for sheet in parts if sheet.reference is not None]
    orders = [sheet.order for sheet in parts if sheet.order is not None]
    stack = sparse.vstack if sparse.issparse(first.values) else np.concatenate
    return Sheet(
        ", ".join(sheet.file for sheet in sheets),
        stack([sheet.values for sheet in parts]),
        np.concatenate([sheet.names for sheet in parts]),
        common,
        np.concatenate([sheet.batch for sheet in parts]),
        pd.concat([sheet.label for sheet in parts], ignore_index=True),
        np.concatenate(subjects) if len(subjects) == len(parts) else None,
        np.concatenate(references) if len(references) == len(parts) else None,
        np.concatenate(orders) if len(orders) == len(parts) else None,
    )


def labelled(
    sheet: Sheet, classes: Mapping[str, str] | None, positive: str | None, unlabelled: Sequence[str]
) -> tuple[IntArray, list[str]]:
    """Return the class index of every sample, -1 where the label is missing, and the names of the classes.

    Args:
        sheet: the samples.
        classes: label -> class name, in the order of the class index; labels with the same class name are one
            class. None: the labels that occur, sorted.
        positive: label of the positive class, which is moved to the end; None: the order stays.
        unlabelled: labels that mark a sample whose label is unknown.

    Raises:
        DataError: there are fewer than two classes, a label that occurs once looks like a misspelling of
            another, a label is not a class, or no sample has the positive label.
    """
    label = known_labels(sheet, unlabelled)
    found = label.value_counts()
    if classes is None:
        if len(found) < 2:
            raise DataError(
                f"File {sheet.file} has labels of {len(found)} class(es), "
                f"{', '.join(found.index) or 'that is none'}; at least two are needed: check "
                "dataset.label and dataset.unlabelled."
            )
        _check_spelling(sheet, label, found)
        classes = {value: value for value in sorted(found.index)}
    if positive is not None:
        if positive not in classes:
            raise DataError(
                f"File {sheet.file}: no sample has the positive label '{positive}'"
                f"{nearest(positive, classes)} There is: {', '.join(classes)}."
            )
        last = classes[positive]
        classes = dict(sorted(classes.items(), key=lambda pair: pair[1] == last))
    names = list(dict.fromkeys(classes.values()))
    number = np.array([names.index(name) for name in classes.values()] + [-1])  # -1 stays -1
    return number[class_indices(sheet, label, list(classes))], names


def _check_spelling(sheet: Sheet, label: pd.Series, found: pd.Series) -> None:
    """Raise DataError if a label that occurs once is probably a misspelling of another.

    Args:
        sheet: the samples.
        label: label of each sample.
        found: label -> number of its samples.
    """
    for once in map(str, found.index[found == 1]):
        if (meant := misspelling(once, map(str, found.index))) is not None:
            row = int(np.argmax(label == once))
            raise DataError(
                f"File {sheet.file}: label '{once}' occurs once, at {sheet.names[row]} of batch "
                f"'{sheet.batch[row]}'; did you mean '{meant}'? Correct it, or name all classes in "
                "dataset.classes if it is one of its own."
            )


def known_labels(sheet: Sheet, unlabelled: Sequence[str]) -> pd.Series:
    """Return the labels as text, missing where the file has none or a word of ``unlabelled``."""
    return sheet.label.where(~sheet.label.isin([str(word) for word in unlabelled]), None)


def class_indices(sheet: Sheet, labels: pd.Series, classes: Sequence[str]) -> IntArray:
    """Return the class index of every sample ``(samples,)``, -1 where a label is missing.

    Raises:
        DataError: a label is none of the classes.
    """
    index = pd.Index(classes).get_indexer(pd.Index(labels))
    wrong = (index < 0) & labels.notna().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"File {sheet.file}, {sheet.names[row]} of batch '{sheet.batch[row]}': label "
            f"'{sheet.label[row]}' is none of the classes {', '.join(classes)}"
            f"{nearest(str(sheet.label[row]), classes)} Name the classes in the dataset's settings."
        )
    return index.astype(np.int64)


def as_study(name: str, sheet: Sheet, y: IntArray, classes: Sequence[str], n_sources: int) -> Study:
    """Return the study of the samples; see ``batches_of``.

    The unlabelled samples of a batch that is labelled in part become a batch of their own, after all others.

    Raises:
        DataError: there are fewer than two batches, or a batch cannot be used.
    """
    owner, order = unlabelled_apart(sheet.batch, y, sheet.file)
    if (owner != sheet.batch).any():
        sheet, y = replace(sheet, batch=owner).of_rows(order), y[order]
    batches = batches_of(sheet, y)
    if len(batches) < 2:
        raise DataError(f"Study '{name}' has {len(batches)} batch; it needs at least two.")
    missing = {} if sheet.missing is None else {b: sheet.missing[sheet.batch == b] for b in batches}
    missing = {name: mask for name, mask in missing.items() if mask.any()}
    return Study(name, batches, sheet.features, list(classes), n_sources, missing=missing)


def batches_of(sheet: Sheet, y: IntArray) -> dict[str, Batch]:
    """Return the batches by name, with values as ``as_floats`` returns them.

    A batch in which a sample has no label becomes a batch without labels.

    Raises:
        DataError: a value is missing or infinite.
    """
    batches = {}
    for batch in pd.unique(sheet.batch):
        rows = sheet.batch == batch
        x = as_floats(sheet.values[rows])
        if (wrong := infinite_feature(x)) is not None:
            raise DataError(
                f"File {sheet.file}: batch '{batch}' has missing or infinite values, the first in "
                f"'{sheet.features[wrong]}'; repair the file or name another layer with dataset.layer."
            )
        known = y[rows] if (y[rows] >= 0).all() else None
        subject = None if sheet.subject is None else sheet.subject[rows]
        order = None if sheet.order is None else sheet.order[rows]
        batches[batch] = Batch(batch, x, known, subject, sheet.names[rows], subject, order=order)
    return batches
