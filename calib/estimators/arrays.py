"""What estimators are given, as a study: values, labels, batches and subjects of samples in one array."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import column_or_1d

from calib.data.arrays_study import Names, batches_in_order, study_from_arrays
from calib.data.matrix import Matrix
from calib.data.study import IntArray, Samples, Study
from calib.data.subjects import with_subject_labels
from calib.errors import CalibError
from calib.failures import no_solution

REMEDY = (
    "give the samples of each class a subject of their own, leave out subject=, or choose a method that does "
    "not average."
)
"""What to do about a subject with samples of several classes."""


def is_anndata(data: object) -> bool:
    """Return whether ``data`` is an AnnData."""
    return all(hasattr(data, name) for name in ("X", "obs", "var", "var_names"))


def values_of(data: Any) -> Any:
    """Return the values of an AnnData as a table with the names of its features; other data as they are."""
    if not is_anndata(data):
        return data
    x = data.X
    if hasattr(x, "tocsr"):
        return x.tocsr()
    return pd.DataFrame(np.asarray(x), columns=[str(name) for name in data.var_names])


def column_of(data: Any, column: Any, what: str) -> Any:
    """Return a value for each sample: of an AnnData, a text names a column of its ``obs``.

    Raises:
        ValueError: there is no such column.
    """
    if not (is_anndata(data) and isinstance(column, str)):
        return column
    if column not in data.obs:
        raise ValueError(f"{what}={column!r} is no column of obs; it has {', '.join(map(str, data.obs))}.")
    return data.obs[column].to_numpy()


def names_of(values: ArrayLike | None, rows: int, what: str) -> Names | None:
    """Return the name of each sample's batch, subject or replicate ``(samples,)``; None where none is given.

    Raises:
        ValueError: there are more or fewer than ``rows``, one is missing, or two are written alike.
    """
    if values is None:
        return None
    given = column_or_1d(values)
    if len(given) != rows:
        raise ValueError(f"{what} names {len(given)} samples, but X has {rows}.")
    if pd.isna(given).any():
        raise ValueError(f"{what} is missing for {pd.isna(given).sum()} samples.")
    unique = pd.unique(given)
    written = [str(name) for name in unique]
    if len(set(written)) < len(unique):
        twice = next(name for name in written if written.count(name) > 1)
        raise ValueError(
            f"{what} has several names that are all written {twice}, such as a number and a text; give all "
            f"samples of a {what} the same one."
        )
    return np.array([str(name) for name in given])


def parts_of(x: Matrix, batch: Any, replicate: Any) -> tuple[list[Samples], NDArray[np.intp]]:
    """Return samples by batch, and the place of each of the given samples among them ``(samples,)``.

    Args:
        x: data ``(samples, features)``.
        batch, replicate: names for each sample ``(samples,)``, None where unknown.

    Raises:
        ValueError: as ``names_of``.
    """
    rows = x.shape[0]
    measured = names_of(replicate, rows, "replicate")
    groups = batches_in_order(names_of(batch, rows, "batch"), rows)
    parts = [
        Samples(name, x[own], replicate=None if measured is None else measured[own])
        for name, own in groups.items()
    ]
    return parts, np.argsort(np.concatenate(list(groups.values())), kind="stable")


def study_of(
    x: Matrix,
    y: IntArray,
    classes: Sequence[str],
    features: Sequence[str],
    batch: Names | None = None,
    subject: Names | None = None,
    replicate: Names | None = None,
) -> Study:
    """Return the samples as a study.

    See ``data.arrays_study.study_from_arrays``.

    Args:
        x: data ``(samples, features)``.
        y: class index of each sample, -1 where it has no label ``(samples,)``.
        classes, features: their names.
        batch, subject, replicate: names for each sample ``(samples,)``, None where unknown. Without
            replicates the samples of a subject are taken for such.
    """
    study = study_from_arrays("arrays", x, y, classes, features, batch, subject, replicate)
    return study if subject is None else with_subject_labels(study, "refuse", REMEDY)


def feature_names(estimator: BaseEstimator) -> list[str]:
    """Return the names of the features that an estimator was fitted to, or their positions."""
    return [str(name) for name in getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))]


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Turn errors in the data or settings into what scikit-learn raises for them.

    Raises:
        ValueError: such an error was raised within.
    """
    known: tuple[type[Exception], ...] = (CalibError, *no_solution())
    try:
        yield
    except known as error:
        raise ValueError(str(error)) from error
