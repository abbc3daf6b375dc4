"""Conversion of the R package bbknnR's data into pancreas_mini, an h5ad file of 300 cells.

``fetch_data.py`` downloads the data and calls ``convert``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from calib.errors import CalibError

KEPT = ("celseq", "fluidigmc1", "smartseq2")
"""The three protocols of the paper, whose cells are kept."""


def convert(source: Path, target: Path) -> None:
    """Write the cells of the paper's three protocols, with raw counts in ``X`` and metadata in ``obs``.

    Args:
        source: R data file of the package bbknnR.
        target: h5ad file to write.

    Raises:
        CalibError: a package that this needs is not installed.
    """
    try:
        import h5py
        from anndata.io import write_elem
        from rdata.parser import parse_file
    except ModuleNotFoundError as error:
        raise CalibError(
            f"Making {target.name} needs the package {error.name}, which is not installed: "
            "pip install 'calib[single-cell]'."
        ) from error
    seurat = dict(_pairs(parse_file(source, extension=".rda").object))["panc8_small"]
    counts = _slots(_named(_slots(seurat)["assays"])["RNA"])["counts"]
    genes, cells = map(_texts, _slots(counts)["Dimnames"].value)
    by_cell = [_slots(counts)[part].value for part in ("x", "i", "p")]  # R's columns are cells
    x = sparse.csr_matrix(tuple(by_cell), shape=(len(cells), len(genes)), dtype=np.float32)
    columns = _named(_slots(seurat)["meta.data"])
    obs = {name: np.array(_texts(columns[name]), object) for name in ("orig.ident", "tech", "celltype")}
    rows = np.isin(obs["tech"].astype(str), KEPT)
    table = pd.DataFrame(index=pd.Index(np.array(cells, object)[rows], dtype=object))
    for name, values in obs.items():
        codes, found = pd.factorize(values[rows], sort=True)
        table[name] = pd.Categorical.from_codes(codes, pd.Index(found, dtype=object))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with h5py.File(part, "w") as h5:
        h5.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(h5, "X", x[rows])
        write_elem(h5, "obs", table)
        write_elem(h5, "var", pd.DataFrame(index=pd.Index(genes, dtype=object)))
    part.replace(target)


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
    return dict(zip(_texts(_slots(node)["names"]), node.value, strict=True))


def _texts(node: Any) -> list[str | None]:
    """Return the strings of an R character vector, with None for missing ones."""
    return [None if text.value is None else text.value.decode() for text in node.value]
