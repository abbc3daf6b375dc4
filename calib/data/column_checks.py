"""Columns of a table that are hardly measurements: copies of the label or batch, run order, ids, constants.

Such a column lets a method answer without having learnt anything that holds for the next plate. Only the user
knows, so nothing is left out: ``warn_of_columns`` names the columns and says how to leave them out. The
labels of all labelled batches are looked at, for the warning alone.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib.data.cautions import listed, note
from calib.data.names import as_list
from calib.data.study import Study

Array = NDArray[Any]

ACCURACY = 0.99
"""Share of the samples that a rule on one column has to get right to be named."""
ROWS = 5000
"""Most rows on which rules are tried; of more, evenly spaced ones are taken."""
BLOCK = 256
"""Columns that are looked at together."""
CHANCE = 1e-3
"""Largest expected number of random columns that would be named."""
STEPS = 12
"""Least number of changes of value in a monotone column."""
IDS = 40
"""Least number of rows for which whole numbers that never repeat are named."""
FEW = 3
"""Most columns of a study that are named for a reason that many measurements may have by themselves."""
SHOWN = 5
"""Columns that a warning spells out."""
NO_MEASUREMENTS = frozenset(
    ("age", "sex", "gender", "bmi", "weight", "height", "id", "index", "row", "order", "injection",
     "injectionorder", "run", "runorder", "acquisitionorder", "position", "well", "plate", "batch", "board",
     "label", "class", "diagnosis", "group", "subject", "subjectid", "patient", "patientid", "donor",
     "sample", "sampleid", "replicate", "date", "time", "year", "site", "operator")
)  # fmt: skip
"""Names, without signs between the words, that columns of measurements do not have."""

CAUSES = {
    "label": "alone tells the label of more than 99 % of the labelled samples, as a copy of the label does",
    "batch": "alone tells the batch of more than 99 % of the samples, as a copy of the batch does",
    "constant": "has the same value in all samples and tells nothing",
    "monotone": "only rises or only falls from row to row in every batch, as a run order does",
    "id": "holds whole numbers that never repeat in a batch, as an id or an injection number does",
    "name": "has a name that measurements seldom have",
}
"""Kind of finding -> what is said of a column, in the order in which a column is looked at."""


@dataclass(frozen=True)
class Finding:
    """Columns that are hardly measurements, and why: one of the ``CAUSES``."""

    kind: str
    columns: Sequence[str]

    def __str__(self) -> str:
        return (
            f"each of the columns {listed(self.columns, SHOWN)} {CAUSES[self.kind]}; if it is no "
            f"measurement, leave it out with dataset.ignore={as_list(self.columns, SHOWN)}."
        )


def warn_of_columns(study: Study) -> None:
    """Note each finding in a study of tables."""
    for finding in findings(study):
        note(f"column_{finding.kind}", f"Study '{study.name}': {finding}")


def findings(study: Study) -> list[Finding]:
    """Return the columns that are hardly measurements, each under the first cause that holds."""
    x = [batch.dense for batch in study.batches.values()]
    cause = {
        "label": _tells_label(study),
        "batch": _tells_batch(study),
        "constant": np.concatenate([_constant(block) for block in _blocks(x)]),
        "monotone": np.concatenate([_monotone(block) for block in _blocks(x)]),
        "id": _ids(x),
        "name": np.array([re.sub(r"[\W_]+", "", f.lower()) in NO_MEASUREMENTS for f in study.features]),
    }
    kinds = np.array(["", *CAUSES])
    first = np.argmax([np.zeros(len(study.features), bool), *(cause[kind] for kind in CAUSES)], axis=0)
    found = kinds[first]
    named = np.array(study.features, object)
    return [Finding(kind, list(named[found == kind])) for kind in CAUSES if (found == kind).any()]


def _blocks(x: Sequence[Array]) -> Iterator[list[Array]]:
    """Yield the batches with only some of their columns, block by block."""
    for start in range(0, x[0].shape[1], BLOCK):
        yield [batch[:, start : start + BLOCK] for batch in x]


def _constant(x: Sequence[Array]) -> Array:
    """Return whether each column has one value only."""
    low = np.min([batch.min(axis=0) for batch in x], axis=0)
    return low == np.max([batch.max(axis=0) for batch in x], axis=0)


def _whole(x: Sequence[Array]) -> Array:
    """Return whether each column has whole numbers only."""
    return np.all([(batch == np.round(batch)).all(axis=0) for batch in x], axis=0)


def _monotone(x: Sequence[Array]) -> Array:
    """Return whether each column only rises, or only falls, from row to row in every batch."""
    steps = [np.diff(batch, axis=0) for batch in x if len(batch) > 1]
    if not steps:
        return np.zeros(x[0].shape[1], bool)
    rises = np.all([(step >= 0).all(axis=0) for step in steps], axis=0)
    falls = np.all([(step <= 0).all(axis=0) for step in steps], axis=0)
    return (rises | falls) & (np.sum([(step != 0).sum(axis=0) for step in steps], axis=0) >= STEPS)


def _ids(x: Sequence[Array]) -> Array:
    """Return whether each column has whole numbers that never repeat in a batch.

    Counts may do so by chance. So the numbers also have to be close together, or to stand in few columns
    among others that hold fractions.
    """
    if sum(map(len, x)) < IDS:
        return np.zeros(x[0].shape[1], bool)
    whole = np.concatenate([_whole(block) for block in _blocks(x)])
    apart = whole & np.concatenate([_apart(block) for block in _blocks(x)])
    close = np.all([np.ptp(batch, axis=0) < 2 * len(batch) for batch in x], axis=0)
    return apart & (close | (whole.mean() < 0.5 and apart.sum() <= FEW))


def _apart(x: Sequence[Array]) -> Array:
    """Return whether the values of each column never repeat in a batch."""
    return np.all([(np.diff(np.sort(batch, axis=0), axis=0) > 0).all(axis=0) for batch in x], axis=0)


def _tells_label(study: Study) -> Array:
    """Return whether a rule on each column alone tells the label.

    By the rule, the values of each class lie in an interval, or each of a few values belongs to one class.
    """
    known = [batch for batch in study.batches.values() if batch.y is not None]
    if not known:
        return np.zeros(len(study.features), bool)
    y = np.concatenate([batch.y for batch in known if batch.y is not None])
    x = [batch.dense for batch in known]
    return _tells(x, y, lambda rows, y: _by_intervals(rows, y) | _by_values(rows, y))


def _tells_batch(study: Study) -> Array:
    """Return whether each of a column's few values belongs to one batch.

    That the values of each batch lie in an interval is no reason for doubt: batch effects do that.
    """
    x = [batch.dense for batch in study.batches.values()]
    return _tells(x, np.repeat(np.arange(len(x)), [len(batch) for batch in x]), _by_values)


def _tells(x: Sequence[Array], y: Array, rule: Callable[[Array, Array], Array]) -> Array:
    """Return whether a rule on each column alone tells the class of a row.

    Args:
        x: the batches.
        y: class of every row ``(rows,)``.
        rule: ``_by_values``, for example.
    """
    chosen = np.arange(0, len(y), max(len(y) // ROWS, 1))
    y = y[chosen]
    sizes = np.unique(y, return_counts=True)[1]
    columns = x[0].shape[1]
    if len(sizes) < 2 or not all(_beyond_chance(len(y), int(size), columns) for size in sizes):
        return np.zeros(columns, bool)
    return np.concatenate([rule(np.concatenate(block)[chosen], y) for block in _blocks(x)])


def _beyond_chance(rows: int, size: int, columns: int) -> bool:
    """Return whether random columns would hardly have an interval that holds just one class."""
    return math.log(math.comb(rows, size)) > math.log(rows**2 / 2 * columns / CHANCE)


def _by_intervals(x: Array, y: Array) -> Array:
    """Return whether the values of each class lie in an interval of each column ``(columns,)``."""
    order = np.argsort(x, axis=0, kind="stable")
    ordered = np.take_along_axis(x, order, axis=0)
    cut = np.ones((len(x) + 1, x.shape[1]), bool)  # an interval does not end between equal values
    cut[1:-1] = ordered[1:] != ordered[:-1]
    told = np.ones(x.shape[1], bool)
    for one in np.unique(y):
        inside = (y == one)[order]
        gain = np.zeros((len(x) + 1, x.shape[1]))
        gain[1:] = np.cumsum(np.where(inside, 1, -1), axis=0)
        low = np.minimum.accumulate(np.where(cut, gain, np.inf), axis=0)
        most = np.where(cut, gain - low, -np.inf).max(axis=0)  # rows of the class less others in the interval
        size = int((y == one).sum())
        told &= _few(size - most, len(y), size)
    return told


def _by_values(x: Array, y: Array) -> Array:
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
