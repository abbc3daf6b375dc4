"""Values of some features shuffled within a plate."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from calib.data.matrix import Matrix
from calib.data.study import IntArray, Subjects

Rng = np.random.Generator


def shuffled_rows(rng: Rng, samples: int, subject: Subjects | None) -> NDArray[np.intp]:
    """Return an order of the rows of a plate that keeps the samples of a subject together.

    Rows are laid out by subject, and beside them the rows of the same subjects in another order. Where
    subjects have the same number of samples, each gets all samples of another one.

    Args:
        rng: source of the order.
        samples: number of rows.
        subject: subject of each row ``(samples,)``; None: each row is one.

    Returns:
        The row whose values each row gets ``(samples,)``; every row occurs once.
    """
    if subject is None:
        return rng.permutation(samples)
    _, owner = np.unique(subject, return_inverse=True)
    place = rng.permutation(owner.max() + 1)
    found = np.empty(samples, np.intp)
    found[np.argsort(owner, kind="stable")] = np.argsort(place[owner], kind="stable")
    return found


def with_shuffled(x: Matrix, features: IntArray, rows: NDArray[np.intp]) -> Matrix:
    """Return a plate in which some features have the values of other rows; sparse data stay sparse.

    Args:
        x: data ``(samples, features)``.
        features: positions of the features that are shuffled, together.
        rows: the row whose values each row gets ``(samples,)``.
    """
    if isinstance(x, np.ndarray):
        made = x.copy()
        made[:, features] = x[np.ix_(rows, features)]
        return made
    columns = x.tocsc(copy=True)
    goes_to = np.empty(len(rows), columns.indices.dtype)
    goes_to[rows] = np.arange(len(rows))
    for feature in features:
        own = slice(columns.indptr[feature], columns.indptr[feature + 1])
        columns.indices[own] = goes_to[columns.indices[own]]
    columns.has_sorted_indices = False
    return sparse.csr_array(columns)
