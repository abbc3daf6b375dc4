"""Cells as they come out of a file, and the study that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.study import Batch, IntArray, Study
from calib.errors import DataError, nearest


@dataclass(frozen=True)
class Cells:
    """The wanted cells of a file, batch after batch.

    Attributes:
        values: ``(cells, features)``, sparse (CSR) where the file is, in its number type.
        names: the cells' names in the file ``(cells,)``.
        batch: the study's name of each cell's batch ``(cells,)``.
        label: label as text ``(cells,)``, missing where the file has none.
        subject: subject number ``(cells,)``, or None where no column names it.
    """

    file: Path
    values: Any
    names: NDArray[np.object_]
    features: list[str]
    batch: NDArray[np.object_]
    label: pd.Series
    subject: IntArray | None

    def of_features(self, kept: NDArray[Any]) -> "Cells":
        """Only the features at these positions, or where the mask is true."""
        names = np.array(self.features, object)[kept]
        return replace(self, values=self.values[:, kept], features=list(names))

    def of_cells(self, kept: NDArray[np.bool_]) -> "Cells":
        """Only the cells where the mask is true."""
        return replace(
            self,
            values=self.values[kept],
            names=self.names[kept],
            batch=self.batch[kept],
            label=self.label[kept].reset_index(drop=True),
            subject=None if self.subject is None else self.subject[kept],
        )


def class_indices(cells: Cells, labels: pd.Series, classes: Sequence[str]) -> IntArray:
    """Class index of every cell ``(cells,)``, -1 where a label is missing.

    Raises:
        DataError: a label is none of the classes.
    """
    index = pd.Index(classes).get_indexer(pd.Index(labels))
    wrong = (index < 0) & labels.notna().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"File {cells.file}, cell '{cells.names[row]}' of batch '{cells.batch[row]}': label "
            f"'{cells.label[row]}' is none of the classes {', '.join(classes)}"
            f"{nearest(str(cells.label[row]), classes)} Name the classes in the dataset's settings."
        )
    return index.astype(np.int64)


def as_study(name: str, cells: Cells, y: IntArray, classes: Sequence[str], n_sources: int) -> Study:
    """A study of the cells, dense, float64; a batch without any label becomes one without labels.

    Raises:
        DataError: there are fewer than two batches, a batch has labels for some cells only, or a value is
            missing or infinite.
    """
    batches = {}
    for batch in pd.unique(cells.batch):
        rows = cells.batch == batch
        x = cells.values[rows]
        x = np.asarray(x.toarray() if sparse.issparse(x) else x, np.float64)
        if not np.isfinite(x).all():
            feature = cells.features[int(np.argmax(~np.isfinite(x).all(axis=0)))]
            raise DataError(
                f"File {cells.file}: batch '{batch}' has missing or infinite values, the first in "
                f"'{feature}'; repair the file or name another layer with dataset.layer."
            )
        missing = int((y[rows] < 0).sum())
        if 0 < missing < len(x):
            raise DataError(
                f"File {cells.file}: {missing} of the {len(x)} cells of batch '{batch}' have no label; "
                "label all of a batch's cells or none of them."
            )
        subject = None if cells.subject is None else cells.subject[rows]
        batches[batch] = Batch(batch, x, None if missing else y[rows], subject)
    if len(batches) < 2:
        raise DataError(f"Study '{name}' has {len(batches)} batch; it needs at least two.")
    return Study(name, batches, cells.features, list(classes), n_sources)
