"""Cells in a Seurat object that R saved (``.rda``, ``.RData``), read without R by the library rdata.

The parts that are read are the same in Seurat 3 and 4: the slot ``meta.data``, a table of cells, and the
matrix ``counts`` or ``data`` of the first assay, whose columns are cells.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from calib.errors import DataError, not_installed

SUFFIXES = (".rda", ".rdata")
"""Ends of the names of such files, in lower case."""

MATRICES = ("counts", "data")
"""Matrices of an assay: raw counts, and values normalised by whoever made the file."""


def read_seurat(file: Path, matrix: str | None) -> tuple[pd.DataFrame, list[str], sparse.csr_matrix]:
    """Return the table of cells, the names of the genes, and the values ``(cells, genes)`` in float32.

    Args:
        file: R data file that holds one Seurat object.
        matrix: ``counts`` or ``data``; None: ``counts``.

    Raises:
        DataError: the file is damaged, holds no Seurat object, or the object has no such matrix.
        CalibError: the package rdata is not installed.
    """
    try:
        from rdata.parser import parse_file
    except ModuleNotFoundError as error:
        raise not_installed(f"Reading {file.name}", error.name, "single-cell") from error
    if matrix not in (None, *MATRICES):
        raise DataError(
            f"File {file}: dataset.layer={matrix} is no matrix of a Seurat object; choose counts or data."
        )
    try:
        parsed = parse_file(file, extension=".rda")
    except Exception as error:  # rdata raises a dozen kinds of errors on damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"File {file} cannot be read as R data: {reason}; fetch it again.") from error
    try:
        return _content(parsed.object, matrix or MATRICES[0])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
        raise DataError(
            f"File {file} holds no Seurat object with a table of cells and a matrix "
            f"'{matrix or MATRICES[0]}'; save one object of Seurat 3 or 4 with save(object, file=...)."
        ) from error


def _content(root: Any, matrix: str) -> tuple[pd.DataFrame, list[str], sparse.csr_matrix]:
    """Return what ``read_seurat`` returns, from a parsed file."""
    seurat = _slots(next(iter(dict(_pairs(root)).values())))
    assay = _slots(next(iter(_named(seurat["assays"]).values())))
    values = _slots(assay[matrix])
    genes, cells = map(_texts, values["Dimnames"].value)
    by_cell = tuple(values[part].value for part in ("x", "i", "p"))  # R's columns are cells
    x = sparse.csr_matrix(by_cell, shape=(len(cells), len(genes)), dtype=np.float32)
    x.check_format(full_check=True)  # SciPy reads outside the memory where a gene's number is too large
    columns = {name: _column(node) for name, node in _named(seurat["meta.data"]).items()}
    return pd.DataFrame(columns, index=pd.Index(cells, dtype=object)), [str(gene) for gene in genes], x


def _column(node: Any) -> Any:
    """Return a column of a table: text, the levels of a factor as text, or numbers."""
    slots = _slots(node)
    if "levels" in slots:
        levels = np.array([*_texts(slots["levels"]), None], object)
        codes = np.asarray(node.value, float)
        return levels[np.where(np.isfinite(codes) & (codes > 0), codes - 1, -1).astype(int)]
    first = node.value[0] if len(node.value) else None
    return np.array(_texts(node), object) if hasattr(first, "value") else np.asarray(node.value)


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every entry of one of R's linked lists."""
    while node is not None and node.info.type.name == "LIST":
        tag = node.tag.referenced_object or node.tag
        yield tag.value.value.decode(), node.value[0]
        node = node.value[1]


def _slots(node: Any) -> dict[str, Any]:
    """Return the attributes (slots) of an R object, by name."""
    return dict(_pairs(node.attributes))


def _named(node: Any) -> dict[str, Any]:
    """Return the entries of a named R list, by name."""
    return dict(zip(map(str, _texts(_slots(node)["names"])), node.value, strict=True))


def _texts(node: Any) -> list[str | None]:
    """Return the strings of an R character vector, with None for missing ones."""
    return [None if text.value is None else text.value.decode() for text in node.value]
