"""How a text table is written: encoding, separator and decimal sign, found from its first lines."""

import codecs
import csv
import gzip
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, cast

from calib.errors import DataError

SEPARATORS = ",;\t"
LINES = 50
"""Lines that are looked at for the separator and the decimal sign."""
LONGEST = 1 << 27
"""Most characters of one line."""
BLOCK = 1 << 20
COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
"""A number with a decimal comma."""
POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
"""A number with a decimal point."""
THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
"""A number that is read in two ways: 1,234 is either a little more than one or more than a thousand."""
POINTS = re.compile(r"\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*")
"""The same with a point, as much of Europe writes thousands."""
BELOW_THOUSAND = re.compile(r"\s*([+-]?\d{1,3})?\s*")
"""A whole number below a thousand, or nothing."""
FEW = 3
"""Numbers with a point that a column must have before their points are doubted."""

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
    """Return how a text table is written; a table with decimal commas or without UTF-8 is named in the log.

    Raises:
        DataError: the file holds binary data, or its numbers can be read in two ways.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    encoding = _encoding(file)
    with io.TextIOWrapper(_opened(file), encoding, newline="") as stream:
        lines = [line for _ in range(LINES) if (line := stream.readline(LONGEST))]
    told = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None
    lines = lines[1:] if told else lines
    separator = told[1] if told else _separator(lines)
    rows = _rows(lines, separator)[1:]
    decimal = _decimal([cell for row in rows for cell in row], file)
    if separator != ",":  # where cells stand between commas, nobody writes points between thousands
        for column in zip_longest(*rows, fillvalue=""):
            _check_points(column, file)
    return Dialect(encoding, separator, decimal, 1 if told else 0)


def is_compressed(file: Path) -> bool:
    """Return whether the name of a file says that it is compressed with gzip; no other kind is read."""
    return file.suffix.lower() == ".gz"


def _opened(file: Path) -> IO[bytes]:
    """Open a file that may be compressed with gzip."""
    return cast(IO[bytes], gzip.open(file) if is_compressed(file) else file.open("rb"))


def _encoding(file: Path) -> str:
    """Return the encoding: UTF-8 or UTF-16 where the bytes fit, else that of Windows in western Europe."""
    with _opened(file) as stream:
        start = stream.read(BLOCK)
        if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in start:
            raise DataError(f"File {file} is no text table: it holds binary data; check the path.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while start:
                decoder.decode(start)
                start = stream.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            log.warning(
                "File %s is not UTF-8 and is read as latin-1 (cp1252); save it as UTF-8 if names look wrong.",
                file,
            )
            return "cp1252"
    return "utf-8-sig"


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


def _check_points(column: Sequence[str], file: Path) -> None:
    """Refuse a column of whole numbers below a thousand and numbers such as 1.234, as of 950 and 1.234.

    Raises:
        DataError: the points may stand between thousands.
    """
    points = [cell for cell in column if POINTS.fullmatch(cell)]
    others = [cell for cell in column if not POINTS.fullmatch(cell)]
    if len(points) >= FEW and any(map(str.strip, others)) and all(map(BELOW_THOUSAND.fullmatch, others)):
        raise DataError(
            f"File {file}: numbers such as {points[0].strip()}, beside {next(filter(str.strip, others))}, "
            "may have a decimal point or a point between thousands; save the file without signs between "
            "thousands."
        )


def _decimal(cells: Sequence[str], file: Path) -> str:
    """Return the decimal sign: a comma where numbers have one and no number has a point.

    Raises:
        DataError: the commas may also stand between thousands.
    """
    commas = [cell for cell in cells if COMMA.fullmatch(cell)]
    if not commas or any(POINT.fullmatch(cell) for cell in cells):
        return "."
    if all(THOUSANDS.fullmatch(cell) for cell in commas):
        raise DataError(
            f"File {file}: numbers such as {commas[0].strip()} may have a decimal comma or a comma between "
            "thousands; save the file with decimal points and without signs between thousands."
        )
    log.info("%s: numbers have decimal commas", file)
    return ","
