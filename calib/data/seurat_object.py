"""Cells in a Seurat object that R saved.

The parts that are read are the same in Seurat 3 and 4: the slot ``meta.data``, a table of cells, and the
matrix ``counts`` or ``data`` of the first assay, whose columns are cells.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from calib.data.r_data import MALFORMED, as_matrix, column, named, pairs, read_r, slots
from calib.errors import DataError

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
    if matrix not in (None, *MATRICES):
        raise DataError(
            f"File {file}: dataset.layer={matrix} is no matrix of a Seurat object; choose counts or data."
        )
    root = read_r(file)
    try:
        return _content(root, matrix or MATRICES[0])
    except MALFORMED as error:
        raise DataError(
            f"File {file} holds no Seurat object with a table of cells and a matrix "
            f"'{matrix or MATRICES[0]}'; save one object of Seurat 3 or 4 with save(object, file=...)."
        ) from error


def _content(root: Any, matrix: str) -> tuple[pd.DataFrame, list[str], sparse.csr_matrix]:
    """Return what ``read_seurat`` returns, from a parsed file."""
    seurat = slots(next(iter(dict(pairs(root)).values())))
    assay = slots(next(iter(named(seurat["assays"]).values())))
    values, genes, cells = as_matrix(assay[matrix])
    if genes is None or cells is None:
        raise ValueError("genes or cells have no names")
    columns = {name: column(node) for name, node in named(seurat["meta.data"]).items()}
    table = pd.DataFrame(columns, index=pd.Index(cells, dtype=object))
    return table, [str(gene) for gene in genes], sparse.csr_matrix(values.T, dtype=np.float32)
