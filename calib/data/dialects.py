"""How a text table is written: encoding, separator and decimal sign, found from its first lines."""

import codecs
import csv
import gzip
import io
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import IO, cast

from calib.data.cautions import note
from calib.errors import DataError

SEPARATORS = ",;\t"
LINES = 50
"""Lines that are looked at for the separator and the decimal sign."""
MUCH = 20
"""A file with NUL signs of which more than one byte in so many is a control character is no text."""
TEXT = bytes(set(range(256)) - set(range(32)) | set(b"\t\n\r\f"))
"""Bytes that texts have; NUL and other control characters are not among them."""
LONGEST = 1 << 27
"""Most characters of one line."""
BLOCK = 1 << 20
COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
"""A number with a decimal comma."""
POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
"""A number with a decimal point."""
THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
"""A number that is read in two ways: 1,234 is either a little more than one or more than a thousand."""
THOUSANDS_POINT = re.compile(r"\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*")
"""The same with a point, as much of Europe writes thousands."""
SMALL = re.compile(r"\s*[+-]?[1-9]\d{0,2}\s*")
"""A whole number below a thousand, other than 0, which may stand for a missing value."""
LEAST = 3
"""Numbers with a point that there must be before their points are doubted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes:
        encoding: name of the encoding, as Python knows it.
        separator: sign between cells.
        decimal: sign before the decimals of a number.
        skipped: lines before the header: one where a spreadsheet wrote ``sep=;`` there, else none.
    """

    encoding: str
    separator: str
    decimal: str
    skipped: int


def dialect(file: Path) -> Dialect:
    """Return how a text table is written; a table with decimal commas or without UTF-8 is named.

    Raises:
        DataError: the file holds binary data or a NUL sign, or its numbers can be read in two ways.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    encoding = _encoding(file)
    with io.TextIOWrapper(_opened(file), encoding, newline="") as stream:
        lines = [line for _ in range(LINES) if (line := stream.readline(LONGEST))]
    told = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None
    lines = lines[1:] if told else lines
    separator = told[1] if told else _separator(lines)
    _check_nul(file, encoding, separator)
    decimal = _decimal(_rows(lines, separator)[1:], separator, file)
    return Dialect(encoding, separator, decimal, 1 if told else 0)


@contextmanager
def opened(file: Path, how: Dialect) -> Iterator[IO[str]]:
    """Open a text table at its header, with line feeds at the ends of all lines."""
    with io.TextIOWrapper(_opened(file), how.encoding) as stream:
        for _ in range(how.skipped):
            stream.readline(LONGEST)
        yield stream


def _opened(file: Path) -> IO[bytes]:
    """Open a file that may be compressed with gzip."""
    return cast(IO[bytes], gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb"))


def _encoding(file: Path) -> str:
    """Return the encoding: UTF-8, UTF-16 or UTF-32 where the bytes fit, else that of Windows."""
    with _opened(file) as stream:
        start = stream.read(BLOCK)
        if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        parts = [part for part in (start[:64], start) if b"\0" in part]
        if any(MUCH * len(part.translate(None, TEXT)) > len(part) for part in parts):
            raise DataError(f"File {file} is no text table: it holds binary data; check the path.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while start:
                decoder.decode(start)
                start = stream.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            note(
                "not_utf8",
                f"File {file} is not UTF-8 and is read as latin-1 (cp1252); save it as UTF-8 if names look "
                "wrong.",
            )
            return "cp1252"
    return "utf-8-sig"


def _check_nul(file: Path, encoding: str, separator: str) -> None:
    """Raise DataError if the text holds a NUL sign, which would end its cell; the message says where."""
    with _opened(file) as raw:
        one_byte = encoding not in ("utf-16", "utf-32")  # the others have bytes of zero within their signs
        if one_byte and not any(b"\0" in block for block in iter(partial(raw.read, BLOCK), b"")):
            return
    with io.TextIOWrapper(_opened(file), encoding, newline="") as stream:
        header, number = stream.readline(LONGEST), 1
        line = header
        while line and "\0" not in line:
            line, number = stream.readline(LONGEST), number + 1
    if line:
        names, cells = (next(csv.reader([text], delimiter=separator), []) for text in (header, line))
        column = next((i for i, cell in enumerate(cells) if "\0" in cell), 0)
        name = f"column '{names[column]}'" if number > 1 and column < len(names) else f"column {column + 1}"
        raise DataError(f"File {file}, line {number}, {name}: there is a NUL sign (U+0000); remove it.")


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that gives all lines as many cells, else the most frequent one in the header."""

    def even(separator: str) -> int:
        """Return the number of cells that each line has, or 0 where they differ or are one."""
        lengths = {len(row) for row in _rows(lines, separator) if row}
        cells = lengths.pop() if len(lengths) == 1 else 0
        return cells if cells > 1 else 0

    header = lines[0] if lines else ""
    return max(SEPARATORS, key=lambda separator: (even(separator), header.count(separator)))


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of lines; none where a cell is too long for a table."""
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return []


def _decimal(rows: Sequence[Sequence[str]], separator: str, file: Path) -> str:
    """Return the decimal sign: a comma where numbers have one and no number has a point.

    Raises:
        DataError: commas or points may also stand between thousands.
    """
    cells = [cell for row in rows for cell in row]
    commas = [cell for cell in cells if COMMA.fullmatch(cell)]
    if not commas or any(POINT.fullmatch(cell) for cell in cells):
        _check_points(rows, separator, file)
        return "."
    if all(THOUSANDS.fullmatch(cell) for cell in commas):
        raise DataError(
            f"File {file}: numbers such as {commas[0].strip()} may have a decimal comma or a comma between "
            "thousands; save the file with decimal points and without signs between thousands."
        )
    log.info("%s: numbers have decimal commas", file)
    return ","


def _check_points(rows: Sequence[Sequence[str]], separator: str, file: Path) -> None:
    """Raise DataError if points seem to stand between thousands, in all columns together or in one of them.

    The points are then followed by three digits throughout, and smaller numbers of the same column have none.
    Where commas stand between cells, points between thousands are rare, and one column among others with
    decimals is no reason for doubt.
    """
    parts = []
    for column in zip_longest(*rows, fillvalue=""):
        if points := [cell.strip() for cell in column if POINT.fullmatch(cell)]:
            parts.append((points, [cell.strip() for cell in column if SMALL.fullmatch(cell)]))
    single = [] if separator == "," else [[part] for part in parts]
    for group in (parts, *single):
        points = [cell for part, _ in group for cell in part]
        pairs = [(part[0], small[0]) for part, small in group if small]
        if pairs and len(points) >= LEAST and all(map(THOUSANDS_POINT.fullmatch, points)):
            number, other = pairs[0]
            raise DataError(
                f"File {file}: numbers such as {number} seem to have a point between thousands, since others "
                f"of their column, such as {other}, have no decimals; save the file without signs between "
                "thousands."
            )
