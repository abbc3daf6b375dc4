"""The lines of a text table: their numbers, whether each has a cell for every column, and cells as written.

A line with a cell too few or too many would put values beside the wrong names, so it is refused here, before
pandas reads the numbers.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from calib.data.names import is_nameless
from calib.data.settings import Word, found_name, spelled
from calib.errors import DataError

ABOVE = 20
"""Lines below the first in which the header is looked for, if the first lacks columns that settings name."""


@dataclass(frozen=True)
class Lines:
    """The rows of a text table.

    Attributes:
        columns: names of the columns, ``Unnamed: 3`` where the header has none.
        numbers: line of the file in which each row begins ``(rows,)``.
        filled: whether any cell of a row has content ``(rows,)``.
        cells: column -> its cells as written ``(rows,)``, for the columns that settings name.
    """

    columns: Sequence[str]
    numbers: NDArray[np.int64]
    filled: NDArray[np.bool_]
    cells: Mapping[str, Sequence[str]]


def read_lines(
    stream: IO[str],
    separator: str,
    named: Sequence[Word],
    file: Path,
    skipped: int,
    row_names: bool = False,
) -> Lines:
    """Return the rows of a table; lines without any sign are no rows.

    Args:
        stream: the text, from the header on.
        separator: sign between cells.
        named: columns whose cells are returned, if the header has them.
        file: the file, for messages.
        skipped: lines of the file before the stream.
        row_names: whether a first line that is shorter by one cell has no name for the first column, which
            has the names of the rows. R's ``write.table`` writes such files.

    Raises:
        DataError: two columns have the same name; a line has more or fewer cells than the header; a quote is
            closed in another line; the header is not in the first line.
    """
    rows = _rows(stream, separator, file, skipped)
    _, header = next(rows, (0, []))
    if row_names and (first := next(rows, None)) is not None:
        rows = chain([first], rows)
        header = [*[""] * (len(first[1]) == len(header) + 1), *header]
    columns = _names(header, file)
    places = {name: columns.index(name) for word in named if (name := found_name(word, columns)) is not None}
    needed = max((i + 1 for i, name in enumerate(columns) if not is_nameless(name)), default=0)
    lacking = [word for word in named if found_name(word, columns) is None]
    cells: dict[str, list[str]] = {name: [] for name in places}
    numbers: list[int] = []
    filled: list[bool] = []
    for number, row in rows:
        if lacking and len(numbers) < ABOVE:
            _check_no_header(row, number, named, lacking, file)
        content = bool(row[0].strip() or "".join(row).strip())
        if content and not needed <= len(row) <= len(columns):
            _check_length(row, number, needed, len(columns), file)
        numbers.append(number)
        filled.append(content)
        for name, place in places.items():
            cells[name].append(row[place] if place < len(row) else "")
    return Lines(columns, np.array(numbers, np.int64), np.array(filled, bool), cells)


def _rows(stream: IO[str], separator: str, file: Path, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line in which each row begins and its cells, without blank lines."""
    reader = csv.reader(stream, delimiter=separator)
    begins = 1 + skipped
    try:
        for row in reader:
            ends = reader.line_num + skipped
            if ends > begins and any(_spans(cell, separator, len(row) - 1) for cell in row):
                raise DataError(
                    f"File {file}: a quote in line {begins} is closed in line {ends} only, so that the lines "
                    "between them would be one cell; remove the quote, or double it within quotes."
                )
            if row and (len(row) > 1 or row[0].strip()):
                yield begins, row
            begins = ends + 1
    except csv.Error as error:
        raise DataError(f"File {file}, line {begins}, cannot be read as a table: {error}.") from error


def _spans(cell: str, separator: str, most: int) -> bool:
    """Return whether a cell holds whole lines of a table, each with ``most`` separators."""
    breaks = cell.count("\n")
    return cell.count(separator) >= breaks * most > 0


def _names(header: Sequence[str], file: Path) -> list[str]:
    """Return the names of the columns, after checking that no two are the same."""
    check_header(header, file)
    names: dict[str, None] = {}
    for place, cell in enumerate(header):
        usual = cell if cell.strip() else f"Unnamed: {place}"
        others = (f"Unnamed: {number}" for number in count(len(header)))
        names[next(name for name in chain([usual], others) if name not in names)] = None
    return list(names)


def check_header(header: Sequence[str], file: Path) -> None:
    """Raise DataError if two columns have the same name, apart from columns without one."""
    seen = set()
    for name in header:
        if name in seen and not is_nameless(name):
            raise DataError(f"File {file} has column '{name}' twice; rename or remove one of them.")
        seen.add(name)


def is_header(row: Sequence[str], named: Sequence[Word]) -> bool:
    """Return whether a row has the names of all columns that settings name.

    A single one at its beginning may be the name of a row.
    """
    found = [found_name(word, row) for word in named]
    return None not in found and (len(set(found)) > 1 or found[0] != row[0])


def _check_no_header(
    row: Sequence[str], number: int, named: Sequence[Word], lacking: Sequence[Word], file: Path
) -> None:
    """Raise DataError if a row has the names of columns that the header lacks."""
    if is_header(row, named):
        raise DataError(
            f"File {file} has no column '{spelled(lacking[0])}' in its first line, but line {number} looks "
            "like the header; delete the lines above it."
        )


def _check_length(row: Sequence[str], number: int, needed: int, columns: int, file: Path) -> None:
    """Raise DataError if a row has too few cells, or too many with content."""
    if len(row) < needed:
        raise DataError(
            f"File {file}: line {number} has {len(row)} of {columns} cells, so that its values may stand in "
            "wrong columns; add the missing separators, or delete the line if it is no sample."
        )
    if any(cell.strip() for cell in row[columns:]):
        raise DataError(
            f"File {file}: line {number} has {len(row)} cells and the header {columns}; name every column "
            "(with col.names=NA in R's write.table), and put cells that hold a separator, such as a decimal "
            "comma, in quotes."
        )
