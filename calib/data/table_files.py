"""Reading a single table file (CSV, TSV, Parquet or a spreadsheet).

``csv_per_batch`` and ``table_study`` make studies of what this module reads.
"""

import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cautions import note
from calib.data.dialects import dialect, opened
from calib.data.names import MISSING_WORDS, check_signs
from calib.data.settings import Word, found_name, spelled
from calib.data.table_lines import check_header, read_lines
from calib.errors import CalibError, DataError, nearest, not_installed

Impute = Literal["mean", "median", "zero"]
IMPUTE = (None, "mean", "median", "zero")
PARQUET = (".parquet", ".pq")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")


def read_frame(file: Path, named: Sequence[Word | None] = (), row_names: bool = False) -> pd.DataFrame:
    """Return the table in a file, its rows in the order of the file; its index is their line, less two.

    Parquet and spreadsheets are known by the names of their files; anything else is text. Rows without any
    content are left out.

    Args:
        file: the file.
        named: columns of names, which are read as text: ``01`` and ``1`` stay two names. In Parquet a name
            may also be that of the index.
        row_names: whether the first column of a text file may have no name; see ``table_lines.read_lines``.

    Raises:
        DataError: the file is empty, damaged or of another kind, has a column twice, or one whose name has a
            sign that cannot be kept.
        CalibError: the package that reads such files is not installed.
    """
    words = [word for word in named if word is not None]
    suffix = file.suffix.lower()
    text = partial(_text, row_names=row_names)
    read = _parquet if suffix in PARQUET else _spreadsheet if suffix in SPREADSHEETS else text
    try:
        table = read(file, words)
    except (ValueError, IndexError, OSError, EOFError, zlib.error) as error:  # ValueError: parser or encoding
        if isinstance(error, UnicodeDecodeError):
            raise DataError(f"File {file} is in no encoding that is known here; save it as UTF-8.") from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"File {file} cannot be read as a table: {reason}.") from error
    table = table[_filled(table)]
    if table.empty:
        raise DataError(f"File {file} has no rows.")
    check_signs(map(str, table.columns), lambda position: f"File {file}, header of column {position + 1}")
    return table.set_axis(table.columns.map(str), axis=1)


def _filled(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return whether each row of a table has a cell with more than spaces ``(rows,)``."""
    found = np.array(table.select_dtypes("number").notna().any(axis=1), bool)
    rest = np.flatnonzero(~found)
    for _, column in table.iloc[rest].select_dtypes(exclude="number").items():
        found[rest] |= (column.notna() & (column.astype(str).str.strip() != "")).to_numpy(bool)
    return found


def _parquet(file: Path, named: Sequence[Word]) -> pd.DataFrame:
    """Return the table in a Parquet file; a part of its index becomes a column only where it is asked for."""
    try:
        table = pd.read_parquet(file)
    except ImportError as error:
        raise not_installed(f"Reading {file.name}", "pyarrow", "parquet") from error
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
        note(
            "several_sheets", f"File {file} has {len(sheets)} sheets; only the first, '{sheets[0]}', is read."
        )
    check_header([str(name) for name in header.to_numpy().ravel()], file)
    table = table.set_axis(table.columns.map(str), axis=1)
    columns = [column for word in named if (column := found_name(word, table.columns)) is not None]
    return table.assign(**{column: names.set_axis(table.columns, axis=1)[column] for column in columns})


def _text(file: Path, named: Sequence[Word], row_names: bool) -> pd.DataFrame:
    """Return the table in a text file, which may be compressed with gzip; its index is the line less two."""
    how = dialect(file)
    with opened(file, how) as stream:
        lines = read_lines(stream, how.separator, named, file, how.skipped, row_names)
    with opened(file, how) as stream:
        table = pd.read_csv(
            stream,
            sep=how.separator,
            decimal=how.decimal,
            header=0,
            names=list(lines.columns),
            index_col=False,
            usecols=range(len(lines.columns)),  # whatever follows the last column is empty
            low_memory=False,
        )
    if len(table) != len(lines.numbers):
        raise DataError(f"File {file} cannot be read as a table: its lines are not all alike.")
    for column, cells in lines.cells.items():
        table[column] = as_written(pd.Series(cells, dtype=object))
    return table.set_axis(lines.numbers - 2)[lines.filled]


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
