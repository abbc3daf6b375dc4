"""Folds of the sources, by which estimators of scikit-learn choose a setting or calibrate their decisions."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator, StratifiedGroupKFold, StratifiedKFold

from calib.data.study import IntArray, Samples


class SourceFolds(BaseCrossValidator):
    """Stratified folds of rows; all rows of a group are in one fold.

    Without groups the folds are blocks in the order of the rows. A class whose rows are all in one group is
    in every training part, since a classifier could not learn it otherwise. So a class may have fewer rows
    than there are folds, which scikit-learn's own folds do not allow within ``CalibratedClassifierCV``.

    Args:
        count: number of folds.
    """

    __metadata_request__split = {"groups": True}  # scikit-learn hands groups to whatever asks for them # noqa: RUF012

    def __init__(self, count: int) -> None:
        self.count = count

    def get_n_splits(self, *_: Any, **__: Any) -> int:
        """Return the number of folds."""
        return self.count

    def split(
        self,
        X: Any,  # noqa: N803
        y: IntArray | None = None,
        groups: IntArray | None = None,
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the training rows and the test rows of each fold."""
        y = np.asarray(y)
        unit = np.arange(len(y)) if groups is None else np.asarray(groups)
        classes, owner = np.unique(y, return_inverse=True)
        lone = [len(np.unique(unit[owner == i])) == 1 for i in range(len(classes))]
        kept = np.flatnonzero(np.array(lone)[owner])
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
            folds = list(kind(self.count).split(y, y, groups))
        for train, test in folds:
            yield np.union1d(train, kept), test


def source_folds(y: IntArray, groups: IntArray | None, count: int) -> SourceFolds:
    """Return ``count`` folds of the sources, fewer where there are not as many groups or rows of any class.

    Args:
        y: class index of each row ``(rows,)``.
        groups: number of each row's group ``(rows,)``, or None.
        count: wanted number of folds.
    """
    most = np.bincount(y).max() if groups is None else min(np.bincount(y).max(), len(np.unique(groups)))
    return SourceFolds(max(min(count, int(most)), 2))


def source_groups(sources: Sequence[Samples]) -> IntArray | None:
    """Return the number of the subject of each row of all sources ``(rows,)``, or None if one's are unknown.

    The subjects are those that methods may see (``Batch.replicate``). Names stand for the same subject in
    every source; numbers count anew in each.
    """
    keys: list[NDArray[Any]] = []
    for place, source in enumerate(sources):
        if source.replicate is None:
            return None
        names = np.asarray(source.replicate)
        named = names.dtype.kind in "OSU"
        keys.append(np.array([f"{'' if named else place} {name}" for name in names.tolist()], np.str_))
    found: IntArray = np.unique(np.concatenate(keys), return_inverse=True)[1]
    return found
