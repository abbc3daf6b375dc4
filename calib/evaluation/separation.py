"""Silhouettes of standardised data, which measure whether batches mix and classes separate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, IntArray

LIMIT = 5000
"""Most rows of a study that enter a silhouette or a map."""


def standardised(z: FloatArray) -> FloatArray:
    """Return each dimension with mean 0 and variance 1 over all rows, in float64; constants become 0.

    Spaces of 20 codes and of 200 intensities have different scales. Without this, neither their distances nor
    their maps could be compared.
    """
    z = z.astype(np.float64)
    centred = z - z.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 1e-7 * np.abs(z).max(axis=0, initial=0)  # float32 makes constants slightly unequal
    return np.where(varies, centred, 0) / np.where(varies, spread, 1)


def chosen_rows(count: int, seed: int, limit: int = LIMIT) -> NDArray[np.int64]:
    """Return all row numbers, or ``limit`` of them drawn without replacement, in ascending order.

    The draw depends only on the number of rows and the seed, so all methods of a study show the same samples.
    """
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, limit]).permutation(count)[:limit])


def silhouette(x: FloatArray, group: NDArray[np.int64]) -> float:
    """Compute the mean silhouette of the rows, from -1 to 1.

    It is above 0 where groups lie apart, and about 0 where they mix.

    Args:
        x: data ``(rows, dimensions)``.
        group: number of each row's group, negative where unknown; such rows are left out.

    Returns:
        The mean silhouette, NaN where fewer than two groups are known or every row has its own group.
    """
    from sklearn.metrics import silhouette_score  # takes seconds, which a training need not wait for

    x, group = x[group >= 0], group[group >= 0]
    if not 2 <= len(np.unique(group)) < len(group):
        return float("nan")
    return float(silhouette_score(x, group))


def separation(parts: Sequence[Matrix], y: Sequence[IntArray | None]) -> dict[str, float | None]:
    """Compute the mean silhouettes of standardised data by batch and by class.

    Of more than ``LIMIT`` rows a draw is taken, the same for every method.

    Args:
        parts: data of each batch ``(samples, dimensions)``.
        y: class index of each row of these parts ``(samples,)``; None or negative where unknown.

    Returns:
        ``batch`` and ``class``; None where there are no two groups.
    """
    batch = np.repeat(np.arange(len(parts)), [part.shape[0] for part in parts])
    known = [np.full(part.shape[0], -1) if of is None else of for part, of in zip(parts, y, strict=True)]
    shown = chosen_rows(len(batch), seed=0)
    first = np.cumsum([0, *(part.shape[0] for part in parts)])
    rows = [shown[batch[shown] == number] - first[number] for number in range(len(parts))]
    x = standardised(np.concatenate([dense(part[of]) for part, of in zip(parts, rows, strict=True)]))
    groups = {"batch": batch[shown], "class": np.concatenate(known)[shown]}
    measured = {name: silhouette(x, group) for name, group in groups.items()}
    return {name: None if np.isnan(value) else value for name, value in measured.items()}
