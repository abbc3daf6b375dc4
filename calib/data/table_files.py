"""Reading a single table file (CSV, TSV, Parquet or a spreadsheet) and the numbers in it.

``csv_per_batch`` and ``table_study`` make studies of what this module reads.
"""

import logging
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.dialects import COMMA, dialect, is_compressed
from calib.data.names import MISSING_WORDS
from calib.data.settings import Word, found_name, spelled
from calib.errors import CalibError, DataError, nearest

Impute = Literal["mean", "median", "zero"]
IMPUTE = (None, "mean", "median", "zero")
PARQUET = (".parquet", ".pq")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__|\.\.\.\d+")
"""What pandas, pyarrow and R call a column without a name."""

log = logging.getLogger(__name__)


def read_frame(file: Path, named: Sequence[Word | None] = ()) -> pd.DataFrame:
    """Return the table in a file, its rows in the order of the file and numbered from 0.

    Parquet and spreadsheets are known by the names of their files; anything else is text.

    Args:
        file: the file.
        named: columns of names, which are read as text: ``01`` and ``1`` stay two names. In Parquet a name
            may also be that of the index.

    Raises:
        DataError: the file is empty, damaged or of another kind, or has a column twice.
        CalibError: the package that reads such files is not installed.
    """
    words = [word for word in named if word is not None]
    suffix = file.suffix.lower()
    read = _parquet if suffix in PARQUET else _spreadsheet if suffix in SPREADSHEETS else _text
    try:
        table = read(file, words)
    except (ValueError, IndexError, OSError, EOFError, zlib.error) as error:  # ValueError: parser or encoding
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"File {file} cannot be read as a table: {reason}.") from error
    if table.empty:
        raise DataError(f"File {file} has no rows.")
    return table.set_axis(table.columns.map(str), axis=1)


def _parquet(file: Path, named: Sequence[Word]) -> pd.DataFrame:
    """Return the table in a Parquet file; a part of its index becomes a column only where it is asked for."""
    try:
        table = pd.read_parquet(file)
    except ImportError as error:
        raise CalibError(
            f"Reading {file.name} needs pyarrow: pip install -c constraints.txt -e '.[parquet]'."
        ) from error
    for level, name in enumerate(table.index.names):
        if name is not None and name not in table and any(found_name(word, [str(name)]) for word in named):
            table[str(name)] = table.index.get_level_values(level)
    return table.reset_index(drop=True)


def _spreadsheet(file: Path, named: Sequence[Word]) -> pd.DataFrame:
    """Return the table in the first sheet of a spreadsheet."""
    try:
        with pd.ExcelFile(file) as book:
            header = pd.read_excel(book, header=None, nrows=1, dtype=str, keep_default_na=False)
            table = pd.read_excel(book)
            names = pd.read_excel(book, dtype=object, keep_default_na=False, na_values=[""])
            sheets = book.sheet_names
    except ImportError as error:
        raise CalibError(
            f"Reading the spreadsheet {file.name} needs a package that is not installed "
            f"({error.name or 'see pandas.read_excel'}); save the sheet as CSV."
        ) from error
    except Exception as error:  # readers of spreadsheets raise a dozen kinds of errors on damaged files
        raise DataError(
            f"File {file} cannot be read as a spreadsheet ({type(error).__name__}); save the sheet as CSV."
        ) from error
    if len(sheets) > 1:
        log.warning("File %s has %d sheets; only the first, '%s', is read.", file, len(sheets), sheets[0])
    _check_header([str(name) for name in header.to_numpy().ravel()], file)
    table = table.set_axis(table.columns.map(str), axis=1)
    columns = [column for word in named if (column := found_name(word, table.columns)) is not None]
    return table.assign(**{column: names.set_axis(table.columns, axis=1)[column] for column in columns})


def _text(file: Path, named: Sequence[Word]) -> pd.DataFrame:
    """Return the table in a text file, which may be compressed with gzip."""
    found = dialect(file)
    how: dict[str, Any] = {
        "sep": found.separator,
        "encoding": found.encoding,
        "skiprows": found.skipped,
        "compression": "gzip" if is_compressed(file) else None,
        "index_col": False,  # otherwise the first cells of rows with a cell too many become row names
    }
    header = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False, **how).iloc[0]
    _check_header(list(header), file)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(file, low_memory=False, decimal=found.decimal, **how)
        except pd.errors.ParserWarning as error:
            raise DataError(
                f"File {file} has rows of more cells than its header has names; name every column, or take "
                "separators away from the ends of the lines."
            ) from error
    columns = [column for word in named if (column := found_name(word, table.columns)) is not None]
    if columns:
        names = pd.read_csv(file, usecols=list(set(columns)), dtype=str, keep_default_na=False, **how)
        if len(names) != len(table):  # pandas skips the same lines, whichever columns it reads
            raise DataError(f"File {file} cannot be read as a table: its lines are not all alike.")
        for column in names:
            table[column] = as_written(names[column])
    return table


def _check_header(header: Sequence[str], file: Path) -> None:
    """Raise DataError if two columns have the same name; columns without a name are left to the reader."""
    names = pd.Series([name for name in header if not NAMELESS.fullmatch(name)], dtype=object)
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise DataError(f"File {file} has column '{twice}' twice; rename or remove one of them.")


def as_written(column: pd.Series) -> pd.Series:
    """Return a column of names as the file spells them, missing where a cell is empty.

    Two spellings are other programs' ways of writing a whole column, so they are read as what was meant: 1.0
    for 1 throughout, where numbers once had gaps, and TRUE or true for True.
    """
    column = column.astype(object).where(column != "", None)
    known = column[column.notna() & ~column.str.strip().str.lower().isin(MISSING_WORDS)]
    if len(known) and known.str.fullmatch(r"-?(0|[1-9]\d*)\.0").all():
        return column.str.removesuffix(".0").astype(object).where(column.notna(), None)
    if known.isin(["TRUE", "FALSE"]).all() or known.isin(["true", "false"]).all():
        return column.where(~column.index.isin(known.index), column.str.title())
    return column


def whole_numbers(column: pd.Series) -> pd.Series:
    """Return a column of whole numbers as integers, even with missing values; any other column unchanged."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        return column.astype("Int64")
    return column


def numbers(table: pd.DataFrame, file: Path) -> NDArray[np.float64]:
    """Return the values ``(rows, columns)`` of a table of numbers, NaN where a value is missing.

    Raises:
        DataError: a cell is not a number; the message counts rows, numbered by the table's index, as lines of
            a text file with a header.
    """
    changed = {}
    for column in table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]:
        numeric = pd.to_numeric(table[column], errors="coerce")
        wrong = (numeric.isna() & table[column].notna()).to_numpy()
        if wrong.any():
            row = table.index[int(np.argmax(wrong))]
            cell = table[column].loc[row]
            comma = " (a decimal comma among decimal points)" if COMMA.fullmatch(str(cell)) else ""
            raise DataError(
                f"File {file}, line {row + 2}, column '{column}': {cell!r} is not a number{comma}."
            )
        changed[column] = numeric
    return table.assign(**changed).to_numpy(np.float64, na_value=np.nan)


def matching(columns: Sequence[str], patterns: Sequence[Word], where: str) -> NDArray[np.intp]:
    """Return the positions of the columns that are named or fit a pattern; see ``fitting``.

    Raises:
        DataError: there are no patterns, or a pattern fits no column.
    """
    if not patterns:
        raise DataError(
            "dataset.features=[] names no column; name some, or set dataset.features=null for all."
        )
    chosen = np.zeros(len(columns), bool)
    for pattern in patterns:
        fits = fitting(columns, pattern)
        if not len(fits):
            raise DataError(
                f"File {where}: dataset.features={spelled(pattern)} fits none of its {len(columns)} columns"
                f"{nearest(spelled(pattern).replace('*', ''), columns)}"
            )
        chosen[fits] = True
    return np.flatnonzero(chosen)


def fitting(columns: Sequence[str], pattern: Word) -> NDArray[np.intp]:
    """Return the positions of the columns that a pattern fits, which may be none.

    A pattern that is the name of a column fits this column only. In any other pattern ``*`` stands for any
    characters and ``?`` for one character; every other sign, such as a bracket, stands for itself.
    """
    if (name := found_name(pattern, columns)) is not None:
        return np.array([place for place, column in enumerate(columns) if column == name])
    signs = {"*": ".*", "?": "."}
    expression = re.compile("".join(signs.get(s) or re.escape(s) for s in spelled(pattern)), re.DOTALL)
    return np.flatnonzero([expression.fullmatch(column) is not None for column in columns])


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
