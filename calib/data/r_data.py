"""Objects in files that R saved (``.rda``, ``.RData``), read without R by the library rdata.

A place in a file is written as in R: ``stemcells$gene`` is the entry ``gene`` of the list ``stemcells``,
``MTBLS79@colData`` a slot of an object, ``x[[1]]`` the first entry of ``x``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from calib.errors import DataError, nearest, not_installed

SUFFIXES = (".rda", ".rdata")
"""Ends of the names of such files, in lower case."""

ENTRY = re.compile(r"\$(?P<name>[\w.]+)|@(?P<slot>[\w.]+)|\[\[(?P<number>[1-9]\d*)\]\]")
"""A step to a part of an object, as R writes it."""

MALFORMED = (AttributeError, KeyError, IndexError, TypeError, ValueError, StopIteration)
"""What reading raises where an object is not of the expected form."""


def read_r(file: Path) -> Any:
    """Return the content of an R data file as rdata parses it: a linked list of its objects.

    Raises:
        DataError: the file is damaged.
        CalibError: the package rdata is not installed.
    """
    try:
        from rdata.parser import parse_file
    except ModuleNotFoundError as error:
        raise not_installed(f"Reading {file.name}", error.name, "single-cell") from error
    try:
        return parse_file(file, extension=".rda").object
    except Exception as error:  # rdata raises a dozen kinds of errors on damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"File {file} cannot be read as R data: {reason}; fetch it again.") from error


def at_place(root: Any, place: str, file: Path) -> Any:
    """Return the object at a place of a file that ``read_r`` has read.

    Raises:
        DataError: there is no such object.
    """
    name, *rest = re.split(r"(?=[$@]|\[\[)", place)
    node = _part(dict(pairs(root)), name, place, file)
    for step in rest:
        if (found := ENTRY.fullmatch(step)) is None:
            raise DataError(f"File {file}: '{place}' is no place as R writes it, such as x$y, x@y or x[[1]].")
        try:
            if found["number"]:
                node = node.value[int(found["number"]) - 1]
            elif found["slot"]:
                node = _part(slots(node), found["slot"], place, file)
            else:
                node = _part(named(node), found["name"], place, file)
        except MALFORMED as error:
            raise DataError(
                f"File {file}: there is nothing at '{place}' that has a part '{step}'."
            ) from error
    return node


def _part(parts: dict[str, Any], name: str, place: str, file: Path) -> Any:
    """Return the part with this name, or raise DataError."""
    if name not in parts:
        raise DataError(
            f"File {file}: '{place}' is not in it{nearest(name, parts)} There is: {', '.join(parts)}."
        )
    return parts[name]


def as_matrix(node: Any) -> tuple[Any, list[str] | None, list[str] | None]:
    """Return the values of a matrix, dense or sparse (CSC), and the names of its rows and columns, if any.

    Raises:
        AttributeError, KeyError, IndexError, TypeError, ValueError: the object is no matrix.
    """
    found = slots(node)
    if "p" in found:  # a matrix of the class dgCMatrix
        shape = tuple(int(n) for n in found["Dim"].value)
        by_column = tuple(found[part].value for part in ("x", "i", "p"))
        values = sparse.csc_matrix(by_column, shape=shape)
        # SciPy reads outside the memory where a row's number is too large
        values.check_format(full_check=True)
        names = found["Dimnames"].value
    else:
        shape = tuple(int(n) for n in found["dim"].value)
        values = np.array(node.value, np.float64).reshape(shape, order="F")
        values[np.isnan(values)] = np.nan  # R's missing values are NaN that warn when they are computed with
        names = found["dimnames"].value if "dimnames" in found else (None, None)
    rows, columns = (texts(part) if part is not None and part.value is not None else None for part in names)
    return values, rows, columns  # type: ignore[return-value]


def as_table(node: Any, rows: int) -> pd.DataFrame:
    """Return the entries of a list or data frame that have a value for each of so many rows, by name.

    Row names are the table's index where the object has them as text.

    Raises:
        AttributeError, KeyError, IndexError, TypeError, ValueError: the object is no list of columns.
    """
    entries = named(node) if node.info.type.name != "LIST" else dict(pairs(node))
    columns = {
        name: column(entry)
        for name, entry in entries.items()
        if hasattr(entry.value, "__len__") and len(entry.value) == rows and "dim" not in slots(entry)
    }
    found = {} if node.info.type.name == "LIST" else slots(node)
    names = found.get("row.names")
    index = texts(names) if names is not None and names.info.type.name == "STR" else None
    return pd.DataFrame(
        columns, index=pd.RangeIndex(rows) if index is None else pd.Index(index, dtype=object)
    )


def column(node: Any) -> Any:
    """Return a column of a table: text, the levels of a factor as text, or numbers."""
    found = slots(node)
    if "levels" in found:
        levels = np.array([*texts(found["levels"]), None], object)
        codes = np.asarray(node.value, float)
        return levels[np.where(np.isfinite(codes) & (codes > 0), codes - 1, -1).astype(int)]
    first = node.value[0] if len(node.value) else None
    return np.array(texts(node), object) if hasattr(first, "value") else np.asarray(node.value)


def pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every entry of one of R's linked lists."""
    while node is not None and node.info.type.name == "LIST":
        tag = node.tag.referenced_object or node.tag
        yield tag.value.value.decode(), node.value[0]
        node = node.value[1]


def slots(node: Any) -> dict[str, Any]:
    """Return the attributes (slots) of an R object, by name."""
    return dict(pairs(node.attributes))


def named(node: Any) -> dict[str, Any]:
    """Return the entries of a named R list, by name."""
    return dict(zip(map(str, texts(slots(node)["names"])), node.value, strict=True))


def texts(node: Any) -> list[str | None]:
    """Return the strings of an R character vector, with None for missing ones."""
    return [None if text.value is None else text.value.decode() for text in node.value]
