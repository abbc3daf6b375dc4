"""Reading a single table file (CSV, TSV or Parquet) and the numbers in it.

``csv_per_batch`` and ``table_study`` make studies of what this module reads.
"""

import gzip
import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.errors import CalibError, DataError, nearest

Impute = Literal["mean", "median", "zero"]
IMPUTE = (None, "mean", "median", "zero")
PARQUET = (".parquet", ".pq")
SEPARATORS = ",;\t"


def read_frame(file: Path) -> pd.DataFrame:
    """Return the table in a file: Parquet by its name, otherwise text whose header shows the separator.

    Raises:
        DataError: the file is empty, damaged or of another kind, or has a column twice.
        CalibError: the package that reads Parquet is not installed.
    """
    try:
        table = _parquet(file) if file.suffix in PARQUET else _text(file)
    except (ValueError, IndexError, OSError, EOFError, zlib.error) as error:  # ValueError: parser or encoding
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"File {file} cannot be read as a table: {reason}.") from error
    if table.empty:
        raise DataError(f"File {file} has no rows.")
    return table


def _parquet(file: Path) -> pd.DataFrame:
    """Return the table in a Parquet file."""
    try:
        return pd.read_parquet(file).reset_index(drop=True)
    except ImportError as error:
        raise CalibError(
            f"Reading {file.name} needs pyarrow: pip install -c constraints.txt -e '.[parquet]'."
        ) from error


def _text(file: Path) -> pd.DataFrame:
    """Return the table in a text file, which may be compressed with gzip."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        start = stream.read(65536)
    if b"\0" in start:
        raise DataError(f"File {file} is no text table: it holds binary data; check the path.")
    line = (start.decode("utf-8-sig", errors="replace").splitlines() or [""])[0]
    separator = max(SEPARATORS, key=line.count)
    header = pd.read_csv(file, sep=separator, header=None, nrows=1, dtype=str, encoding="utf-8-sig").iloc[0]
    if header.duplicated().any():
        twice = header[header.duplicated()].iloc[0]
        raise DataError(f"File {file} has column '{twice}' twice; rename or remove one of them.")
    table = pd.read_csv(file, sep=separator, low_memory=False, encoding="utf-8-sig")
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first cells for row names
        raise DataError(
            f"File {file} has rows of more cells than its header has names; name every column, or take "
            "separators away from the ends of the lines."
        )
    return table


def whole_numbers(column: pd.Series) -> pd.Series:
    """Return a column of whole numbers as integers, even with missing values; any other column unchanged."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        return column.astype("Int64")
    return column


def numbers(table: pd.DataFrame, file: Path) -> NDArray[np.float64]:
    """Return the values ``(rows, columns)`` of a table of numbers, NaN where a value is missing.

    Raises:
        DataError: a cell is not a number; the message counts rows as lines of a text file with a header.
    """
    for column in table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]:
        numeric = pd.to_numeric(table[column], errors="coerce")
        wrong = numeric.isna() & table[column].notna()
        row = int(np.argmax(wrong))
        raise DataError(
            f"File {file}, line {row + 2}, column '{column}': {table[column].iloc[row]!r} is not a number."
        )
    return table.to_numpy(np.float64, na_value=np.nan)


def matching(columns: Sequence[str], patterns: str | Sequence[str], where: str) -> NDArray[np.intp]:
    """Return the positions of the columns that fit a pattern.

    In a pattern ``*`` stands for any characters and ``?`` for one character.

    Raises:
        DataError: a pattern fits no column.
    """
    chosen = np.zeros(len(columns), bool)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        fits = np.array([fnmatchcase(column, pattern) for column in columns])
        if not fits.any():
            raise DataError(
                f"File {where}: dataset.features={pattern} fits none of its {len(columns)} columns"
                f"{nearest(pattern.replace('*', ''), columns)}"
            )
        chosen |= fits
    return np.flatnonzero(chosen)


def filled(
    x: NDArray[np.float64],
    features: Sequence[str],
    where: str,
    rows: Sequence[str],
    impute: Impute | None,
) -> NDArray[np.float64]:
    """Return a batch's values with missing and infinite ones replaced, feature by feature.

    Args:
        x: values ``(rows, features)``.
        features: name of every feature.
        where: name of the file or batch, for messages.
        rows: name of every row.
        impute: replacement: mean or median of the batch, zero, or None to refuse such values.

    Raises:
        DataError: there are such values and ``impute`` is None, or a feature has no finite value.
    """
    bad = ~np.isfinite(x)
    if not bad.any():
        return x
    row, column = np.argwhere(bad)[0]
    if impute is None:
        raise DataError(
            f"{where} has {bad.sum()} missing or infinite value(s), the first in {rows[row]}, column "
            f"'{features[column]}'; repair the file or set dataset.impute=median (or mean, zero)."
        )
    x = np.where(bad, np.nan, x)
    empty = np.isnan(x).all(axis=0)
    if empty.any() and impute != "zero":
        raise DataError(
            f"{where}, column '{features[int(np.argmax(empty))]}' has no finite value, so it "
            f"has no {impute}; remove it from all batches or set dataset.impute=zero."
        )
    fill: dict[str, Any] = {"mean": np.nanmean, "median": np.nanmedian}
    values = fill[impute](x, axis=0) if impute in fill else np.zeros(x.shape[1])
    return np.where(np.isnan(x), values, x)
