"""Rows that are left out of a study by the value of a column, such as pooled samples and blanks."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cautions import counted
from calib.data.settings import Word, as_word, as_words, found_name, spelled
from calib.data.sheet import text
from calib.errors import CalibError, DataError, nearest

log = logging.getLogger(__name__)

KEY = "dataset.exclude"


@dataclass
class Exclusions:
    """The setting ``dataset.exclude``, and what it has met in the files that were read so far.

    Attributes:
        values: column -> its values whose rows are left out.
        strict: whether every column has to be in every file, and every value in one of them. A later file,
            which a trained model is to predict, need not have them.
        key: name of the setting, for messages.
    """

    values: Mapping[Word, Sequence[Word]]
    strict: bool = True
    key: str = KEY
    _met: dict[Word, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, setting: object, strict: bool = True, key: str = KEY) -> "Exclusions":
        """Return the setting in its type; null excludes nothing.

        Raises:
            CalibError: it is no mapping of columns to values.
        """
        if setting is None:
            return cls({}, strict, key)
        if not isinstance(setting, Mapping) or not setting:
            raise CalibError(
                f"{key}={setting} must give columns the values that mark these samples, as in "
                f"{key}='{{type: [QC, blank]}}'."
            )
        return cls(
            {as_word(key, column): as_words(f"{key}.{column}", values) for column, values in setting.items()},
            strict,
            key,
        )

    @property
    def columns(self) -> list[Word]:
        """Return the columns whose values are compared; they are no features."""
        return list(self.values)

    def kept(self, table: pd.DataFrame, file: Path) -> NDArray[np.bool_]:
        """Return which rows of a file's table stay ``(rows,)``, and log how many do not.

        Raises:
            DataError: the table lacks a column, or no row stays.
        """
        out = self.found(table, file)
        if out.all():
            raise DataError(f"File {file}: {self.key} leaves out all rows.")
        if out.any():
            log.info("%s: %s left out by %s", file, counted(int(out.sum()), "row"), self.key)
        return ~out

    def found(self, table: pd.DataFrame, file: Path) -> NDArray[np.bool_]:
        """Return which rows of a file's table have one of the values ``(rows,)``.

        Raises:
            DataError: the table lacks a column.
        """
        rows = np.zeros(len(table), bool)
        for word, values in self.values.items():
            column = found_name(word, map(str, table.columns))
            if column is None and not self.strict:
                continue
            if column is None:
                raise DataError(
                    f"File {file} has no column '{spelled(word)}', which {self.key} names"
                    f"{nearest(spelled(word), map(str, table.columns))}"
                )
            cells = text(table[column])
            present = [str(value) for value in pd.unique(cells.dropna())]
            self._met.setdefault(word, set()).update(present)
            names = [name for value in values if (name := found_name(value, present)) is not None]
            rows |= cells.isin(names).to_numpy(bool)
        return rows

    def check_met(self, files: Iterable[Path]) -> None:
        """Raise DataError if a value was in none of the files that were read."""
        for word, values in self.values.items():
            present = sorted(self._met.get(word, ()))
            for value in values:
                if self.strict and found_name(value, present) is None:
                    raise DataError(
                        f"File {', '.join(map(str, files))}: column '{spelled(word)}' has no value "
                        f"'{spelled(value)}', which {self.key} names{nearest(spelled(value), present)}"
                    )
