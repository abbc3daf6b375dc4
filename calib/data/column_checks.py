"""Columns of a table that are hardly measurements: copies of the label or batch, run order, ids, constants.

Such a column lets a method answer without having learnt anything that holds for the next plate. Only the user
knows, so nothing is left out: ``warn_of_columns`` names the columns and says how to leave them out. The
labels of all labelled batches are looked at, for the warning alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib.data.cautions import listed, note
from calib.data.column_rules import Array, blocks_of, by_intervals, by_values, tells, tells_within
from calib.data.names import as_list
from calib.data.partial_labels import whole_plate
from calib.data.study import Study

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
BESIDE = frozenset(
    ("years", "yr", "yrs", "months", "days", "kg", "cm", "at", "no", "nr", "number", "code", "name")
)
"""Words that a name has beside such words, as in ``age_years`` and ``age at diagnosis``."""

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
        which = "the column" if len(self.columns) == 1 else "each of the columns"
        return (
            f"{which} {listed(self.columns, SHOWN)} {CAUSES[self.kind]}; if it is no measurement, leave it "
            f"out with dataset.ignore={as_list(self.columns, SHOWN)}."
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
        "constant": np.concatenate([_constant(block) for block in blocks_of(x)]),
        "monotone": np.concatenate([_monotone(block) for block in blocks_of(x)]),
        "id": _ids(x),
        "name": np.array([_names_no_measurement(feature) for feature in study.features]),
    }
    kinds = np.array(["", *CAUSES])
    first = np.argmax([np.zeros(len(study.features), bool), *(cause[kind] for kind in CAUSES)], axis=0)
    found = kinds[first]
    named = np.array(study.features, object)
    return [Finding(kind, list(named[found == kind])) for kind in CAUSES if (found == kind).any()]


def _names_no_measurement(feature: str) -> bool:
    """Return whether a column has a name that columns of measurements do not have."""
    words = [word for word in re.split(r"[\W_]+", feature.lower()) if word]
    known = [word in NO_MEASUREMENTS for word in words]
    beside = all(is_known or word in BESIDE for word, is_known in zip(words, known, strict=True))
    return "".join(words) in NO_MEASUREMENTS or (any(known) and beside)


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
    whole = np.concatenate([_whole(block) for block in blocks_of(x)])
    apart = whole & np.concatenate([_apart(block) for block in blocks_of(x)])
    close = np.all([np.ptp(batch, axis=0) < 2 * len(batch) for batch in x], axis=0)
    return apart & (close | (whole.mean() < 0.5 and apart.sum() <= FEW))


def _apart(x: Sequence[Array]) -> Array:
    """Return whether the values of each column never repeat in a batch."""
    return np.all([(np.diff(np.sort(batch, axis=0), axis=0) > 0).all(axis=0) for batch in x], axis=0)


def _tells_label(study: Study) -> Array:
    """Return whether a rule on each column alone tells the label.

    By the rule, the values of each class lie in an interval, of all batches together or of each batch by
    itself, or each of a few values belongs to one class.
    """
    known = [(batch.dense, batch.y) for batch in study.batches.values() if batch.y is not None]
    if not known:
        return np.zeros(len(study.features), bool)
    x, y = [rows for rows, _ in known], [labels for _, labels in known]
    together = tells(x, np.concatenate(y), lambda rows, y: by_intervals(rows, y) | by_values(rows, y))
    return together | tells_within(x, y)


def _tells_batch(study: Study) -> Array:
    """Return whether each of a column's few values belongs to one batch.

    That the values of each batch lie in an interval is no reason for doubt: batch effects do that.
    """
    x = [batch.dense for batch in study.batches.values()]
    plates = [whole_plate(name, study.batches) for name in study.batches]
    number = [plates.index(plate) for plate in plates]  # the parts of a batch are one
    return tells(x, np.repeat(number, [len(batch) for batch in x]), by_values)
