"""Rules on one column that tell the class of a row: of intervals of values, and of a few single values.

They show which columns may be copies of the label or the batch; see ``column_checks``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ACCURACY = 0.99
"""Share of the samples that a rule on one column has to get right to be named."""
ROWS = 5000
"""Most rows on which rules are tried; of more, evenly spaced ones are taken."""
BLOCK = 256
"""Columns that are looked at together."""
CHANCE = 1e-3
"""Largest expected number of random columns that would be named."""


def blocks_of(x: Sequence[Array]) -> Iterator[list[Array]]:
    """Yield the batches with only some of their columns, block by block."""
    for start in range(0, x[0].shape[1], BLOCK):
        yield [batch[:, start : start + BLOCK] for batch in x]


def tells(x: Sequence[Array], y: Array, rule: Callable[[Array, Array], Array]) -> Array:
    """Return whether a rule on each column alone tells the class of a row.

    Args:
        x: the batches.
        y: class of every row ``(rows,)``.
        rule: ``by_values``, for example.
    """
    chosen = np.arange(0, len(y), max(len(y) // ROWS, 1))
    y = y[chosen]
    sizes = np.unique(y, return_counts=True)[1]
    columns = x[0].shape[1]
    if len(sizes) < 2 or not all(_beyond_chance([(len(y), int(size))], columns) for size in sizes):
        return np.zeros(columns, bool)
    return np.concatenate([rule(np.concatenate(block)[chosen], y) for block in blocks_of(x)])


def tells_within(x: Sequence[Array], y: Sequence[Array]) -> Array:
    """Return whether the values of each class lie in an interval of each batch by itself ``(columns,)``.

    So they do in the order of measurement, where each plate has measured one class after the other, and such
    a column tells the label to a method that scales each batch by itself.

    Args:
        x: the labelled batches.
        y: class of every row of each batch.
    """
    step = max(sum(map(len, y)) // ROWS, 1)
    parts = [(rows[::step], labels[::step]) for rows, labels in zip(x, y, strict=True)]
    parts = [part for part in parts if len(np.unique(part[1])) > 1]
    told = np.full(x[0].shape[1], bool(parts))
    for one in np.unique(np.concatenate([labels for _, labels in parts])) if parts else ():
        sizes = [(len(labels), int((labels == one).sum())) for _, labels in parts]
        if not _beyond_chance(sizes, len(told)):
            return np.zeros(len(told), bool)
        total, size = (sum(numbers) for numbers in zip(*sizes, strict=True))
        blocks = zip(*(blocks_of([rows]) for rows, _ in parts), strict=True)
        wrong = [
            np.sum([_wrong(rows, y, one) for (rows,), (_, y) in zip(block, parts, strict=True)], axis=0)
            for block in blocks
        ]
        told &= _few(np.concatenate(wrong), total, size)
    return told


def _beyond_chance(sizes: Sequence[tuple[int, int]], columns: int) -> bool:
    """Return whether random columns would hardly have intervals that hold just one class.

    Args:
        sizes: number of rows and of rows of the class, of each batch that has an interval of its own.
        columns: number of columns.
    """
    ways = sum(math.log(math.comb(rows, size)) - math.log(rows**2 / 2) for rows, size in sizes)
    return ways > math.log(columns / CHANCE)


def by_intervals(x: Array, y: Array) -> Array:
    """Return whether the values of each class lie in an interval of each column ``(columns,)``."""
    told = np.ones(x.shape[1], bool)
    for one in np.unique(y):
        told &= _few(_wrong(x, y, one), len(y), int((y == one).sum()))
    return told


def _wrong(x: Array, y: Array, one: Any) -> Array:
    """Return how many rows a column's best interval for a class gets wrong ``(columns,)``.

    They are the rows of the class outside and those of other classes inside.
    """
    order = np.argsort(x, axis=0, kind="stable")
    ordered = np.take_along_axis(x, order, axis=0)
    cut = np.ones((len(x) + 1, x.shape[1]), bool)  # an interval does not end between equal values
    cut[1:-1] = ordered[1:] != ordered[:-1]
    gain = np.zeros((len(x) + 1, x.shape[1]))
    gain[1:] = np.cumsum(np.where((y == one)[order], 1, -1), axis=0)
    low = np.minimum.accumulate(np.where(cut, gain, np.inf), axis=0)
    most = np.where(cut, gain - low, -np.inf).max(axis=0)  # rows of the class less others in the interval
    wrong: Array = (y == one).sum() - most
    return wrong


def by_values(x: Array, y: Array) -> Array:
    """Return whether each of a column's few values belongs to one class ``(columns,)``."""
    told = np.zeros(x.shape[1], bool)
    smallest = int(np.unique(y, return_counts=True)[1].min())
    number = np.unique(y, return_inverse=True)[1]
    for column in range(x.shape[1]):
        if len(np.unique(x[:50, column])) > 10:  # most measurements, at once
            continue
        values, place = np.unique(x[:, column], return_inverse=True)
        if len(values) <= len(x) // 10:
            table = np.bincount(
                place * (number.max() + 1) + number, minlength=len(values) * (number.max() + 1)
            )
            right = table.reshape(len(values), -1).max(axis=1).sum()
            told[column] = _few(len(x) - right, len(x), smallest)
    return told


def _few(errors: Any, rows: int, size: int) -> Any:
    """Return whether so few rows are wrong that the rule holds for a class of this size."""
    return (errors <= (1 - ACCURACY) * rows) & (errors <= size / 10)
