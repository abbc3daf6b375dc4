"""The one reader of ``predictions.csv``, the table of predicted samples in every run's record.

::

    read = read_predictions(record.path / "predictions.csv")             # text only
    tallies(read.table)                                                  # right answers of each subject
    read = read_predictions(record.path / "predictions.csv", classes)    # with probabilities
    part = read.of_batch("3")
    log_loss(part.probability, part.y)                                   # where all(part.y >= 0)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calib.errors import DamagedError
from calib.files import read_table

if TYPE_CHECKING:
    import pandas as pd

    from calib.data.study import FloatArray, IntArray

PREDICTIONS = "predictions.csv"
"""The table's name in a record."""

OF_SUBJECTS = "predictions_subjects.csv"
"""The table of predicted subjects, in the record of a run whose study knows them."""

TEXT = ("batch", "row", "subject", "label", "predicted")
"""Columns that are read as text; ``subject`` and ``label`` are "" where they are unknown."""

PROBABILITY = "p_"
"""The columns of probabilities are called ``p_<class>``."""

CALIBRATED = "calibrated_"
"""The columns of probabilities after a temperature, where one is known: ``calibrated_<class>``."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of a run for all its target batches, or for some of their samples.

    Attributes:
        table: the columns that were asked for, as text, with a row for each sample;
            ``calib.evaluation.intervals.tallies`` counts it where it has all of ``TEXT``.
        classes: names of the classes in the order of the class index.
        probability: the probability of each class ``(samples, classes)``.
    """

    table: "pd.DataFrame"
    classes: Sequence[str]
    probability: "FloatArray"

    @property
    def y(self) -> "IntArray":
        """Class index of each true label ``(samples,)``; -1 where there is none of these classes."""
        import pandas as pd

        return pd.Index(list(self.classes)).get_indexer(pd.Index(self.table["label"])).astype(np.int64)

    def rows(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """The chosen samples only.

        Args:
            chosen: whether each sample is kept ``(samples,)``.
        """
        return Predictions(self.table[chosen], self.classes, self.probability[chosen])

    def of_batch(self, name: str) -> "Predictions":
        """The samples of one target batch; there are none where the run has no such target."""
        return self.rows((self.table["batch"] == name).to_numpy())


def read_predictions(file: Path, classes: Sequence[str] = (), text: Sequence[str] = TEXT) -> Predictions:
    """Read a ``predictions.csv``.

    Args:
        file: the table, as ``calib.runs.outcome.predictions`` makes it.
        classes: names of the classes whose probabilities and indices are needed; without any only the text is
            read, which is faster.
        text: the columns of ``TEXT`` that are needed, in the order of ``Predictions.table``.

    Raises:
        DamagedError: the file is not there, cannot be read, or lacks one of these columns.
    """
    shares = [PROBABILITY + name for name in classes]
    kinds: dict[str, type] = dict.fromkeys(text, str) | dict.fromkeys(shares, float)
    table = read_table(file, dtype=kinds, keep_default_na=False, usecols=lambda name: name in kinds)
    if missing := set(kinds) - set(table.columns):
        raise DamagedError(f"File {file} has no column '{min(missing)}'; is it a run's predictions.csv?")
    return Predictions(table[list(text)], tuple(classes), table[shares].to_numpy(np.float64))
