"""The cells of a table as numbers, and what to do about cells that are none."""

import re
from datetime import date, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.names import as_list
from calib.errors import DataError

GROUPS = r"\d{1,3}([.,' \u00a0\u2009\u202f\u2019]\d{3})+([.,]\d+)?"
"""Digits with signs between thousands, as in ``1,234.5`` and ``1 234``."""
DECORATED = re.compile(
    rf"[^\w\s]{{0,2}}\s*[+\u2212-]?({GROUPS}|\d*[.,]?\d+)([eE][+-]?\d+)?(\s*[%*\u2030]|\s+[\w\u00b5/]{{1,6}})?"
)
"""A number as people write it and programs do not read it: ``< 0.5``, ``5 %``, ``3 mM``, ``1,5``, ``$5``."""


def numbers(table: pd.DataFrame, file: Path) -> NDArray[np.float64]:
    """Return the values ``(rows, columns)`` of a table of numbers, NaN where a value is missing.

    Raises:
        DataError: a cell is not a number; the message counts rows, numbered by the table's index, as lines of
            a text file with a header.
    """
    changed = {}
    for column in _others(table):
        numeric, wrong = _as_numbers(table[column])
        if wrong.any():
            place = int(np.argmax(wrong))
            cell = table[column].iloc[place]
            raise DataError(
                f"File {file}, line {table.index[place] + 2}, column '{column}': {_shown(cell)} is not a "
                f"number; {_remedy(cell, column)}."
            )
        changed[column] = numeric
    return table.assign(**changed).to_numpy(np.float64, na_value=np.nan)


def check_numbers(table: pd.DataFrame, file: Path) -> None:
    """Check that each column has a number or no value at all.

    Raises:
        DataError: a column holds text, dates, or numbers that no program reads.
    """
    texts = {}
    for column in _others(table):
        numeric, wrong = _as_numbers(table[column])
        if wrong.any() and numeric.isna().all():
            texts[str(column)] = table[column].iloc[int(np.argmax(wrong))]
    for column, cell in texts.items():
        if DECORATED.fullmatch(str(cell).strip()) and not _is_date(cell):
            raise DataError(
                f"File {file}: column '{column}' holds no numbers, but cells such as {_shown(cell)}; "
                f"{_remedy(cell, column)}, or leave it out with dataset.ignore={as_list(list(texts))} if it "
                "is no measurement."
            )
    if texts:
        column, cell = next(iter(texts.items()))
        raise DataError(
            f"File {file}: column '{column}' holds {'dates or times' if _is_date(cell) else 'text'} "
            f"({_shown(cell)}), so it is no feature; leave it out with "
            f"dataset.ignore={as_list(list(texts))}, or say what it is, as in dataset.sample, or name the "
            "features by a pattern as in dataset.features='mz_*'."
        )


def _others(table: pd.DataFrame) -> pd.Index:
    """Return the columns that are not of a number type."""
    return table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]


def _as_numbers(column: pd.Series) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Return a column as numbers, NaN where a cell is none, and which cells are neither numbers nor empty.

    A cell of spaces only is empty. Dates and times are no numbers, though pandas can count with them.
    """
    cells = column.astype(object)
    filled = cells.notna() & ~cells.map(lambda cell: isinstance(cell, str) and not cell.strip()).astype(bool)
    numeric = pd.to_numeric(cells.mask(cells.map(_is_date).astype(bool)), errors="coerce")
    return numeric, (numeric.isna() & filled).to_numpy(bool)


def _is_date(cell: object) -> bool:
    """Return whether a cell is a date, a time or a span of time."""
    return isinstance(cell, date | time | timedelta | np.datetime64 | np.timedelta64)


def _shown(cell: object) -> str:
    """Return a cell for messages: a text in quotes, all else as Python writes it, cut where it is long."""
    shown = repr(cell) if isinstance(cell, str) else f"'{cell}'"
    return shown if len(shown) <= 60 else f"{shown[:60]}...'"


def _remedy(cell: object, column: str) -> str:
    """Return what to do about a cell that is not a number, for the end of a sentence."""
    text = str(cell).strip()
    if text == column:
        return "this line repeats the header, so delete it"
    if DECORATED.fullmatch(text):
        return "write numbers with decimal points, without signs between thousands, units or other signs"
    return "leave a cell without a value empty (dataset.impute fills it), and delete a line that is no sample"
