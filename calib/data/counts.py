"""Studies of single-cell counts: the paper's pancreas data (Niu et al. 2021, Methods, section 6)."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pooch
from scipy import sparse

from calib.data.downloads import locate
from calib.data.figshare import locate_published
from calib.data.genes import FLAVORS, chosen_genes, common_genes, detected_genes, normalised
from calib.data.h5ad import read_h5ad
from calib.data.sheet import Sheet, as_study, class_indices
from calib.data.study import IntArray, Study
from calib.errors import CalibError, DataError, check_choice, check_number

log = logging.getLogger(__name__)

Composition = Mapping[str, Sequence[int] | None]
"""Cell type -> its number of cells in each batch, or None where any number will do."""


def load_counts_study(
    name: str,
    path: str,
    batch: str,
    label: str,
    batches: Mapping[str, str],
    cell_types: Composition,
    layer: str | None,
    min_genes: int,
    total: float,
    genes: int,
    flavor: str,
    sha256: str | None = None,
    figshare: Mapping[str, int] | None = None,
    n_sources: int = 2,
) -> Study:
    """Read raw counts and carry out the paper's steps, none of which looks at a label.

    Genes detected in every batch; cells with enough of them; the counts of each cell scaled to ``total``;
    log(1 + x); the genes that vary most within the batches.

    Args:
        path, batch, label, batches, layer, sha256, n_sources: see ``h5ad.load_h5ad_study``.
        cell_types: in the order of the class index, with their number of cells in each batch, against
            which the file is checked. Spellings may differ in case and in what joins words.
        min_genes: cells with fewer detected genes are left out; 0 keeps all.
        total: sum of a cell's counts after scaling.
        genes: how many are kept.
        flavor: how variation is measured; see ``genes.ranked_genes``.
        figshare: numbers ``article`` and ``file`` under which a missing file can be downloaded.

    Raises:
        DataError: the file is missing, damaged, or not the one described.
        CalibError: a setting is wrong, or the packages that read it are not installed.
    """
    check_number("dataset.min_genes", min_genes, least=0, whole=True)
    check_number("dataset.total", total, least=1)
    check_number("dataset.genes", genes, least=1, whole=True)
    check_choice("dataset.flavor", flavor, FLAVORS)
    file = locate_published(path, **figshare) if figshare else locate(path, sha256=sha256)
    cells = read_h5ad(file, batch, label, batches, layer)
    y = class_indices(cells, spelling(cells.label), list(spelling(pd.Series(list(cell_types)))))
    check_composition(cells, y, cell_types)
    check_counts(cells)
    cells = common_genes(replace(cells, values=sparse.csr_matrix(cells.values)))
    if min_genes:
        enough = detected_genes(cells) >= min_genes
        log.info("%d cells have fewer than %d genes and are left out.", (~enough).sum(), min_genes)
        cells, y = cells.of_rows(enough), y[enough]
    cells = normalised(cells, total)
    origin = {
        "sha256": pooch.file_hash(str(file)),
        "batches": [batch, list(batches.values())],
        "steps": [layer, min_genes, total],
    }
    return as_study(name, chosen_genes(cells, genes, flavor, name, origin), y, list(cell_types), n_sources)


def spelling(labels: pd.Series) -> pd.Series:
    """Labels in lower case with single underscores between words: ``Activated-stellate`` and its like."""
    return labels.map(lambda label: re.sub(r"[\W_]+", "_", label.strip().lower()), na_action="ignore")


def check_composition(cells: Sheet, y: IntArray, cell_types: Composition) -> None:
    """Compare the numbers of cells with the expected ones.

    Raises:
        DataError: a type has another number of cells in a batch.
        CalibError: the numbers expected of a type are not one a batch.
    """
    batches = pd.unique(cells.batch)
    for index, (cell_type, expected) in enumerate(cell_types.items()):
        if expected is not None and len(expected) != len(batches):
            raise CalibError(
                f"dataset.cell_types.{cell_type} has {len(expected)} numbers of cells for {len(batches)} "
                "batches; give one a batch, or null."
            )
        for batch, count in zip(batches, expected or (), strict=False):
            found = int((y[cells.batch == batch] == index).sum())
            if found != count:
                raise DataError(
                    f"File {cells.file} is not the expected one: batch '{batch}' has {found} cells of type "
                    f"'{cell_type}', not {count}; delete it so that it can be downloaded again, or set "
                    f"dataset.cell_types.{cell_type}=null to use it as it is."
                )


def check_counts(cells: Sheet) -> None:
    """See that the values can be raw counts: none missing, infinite or negative.

    Fractions are no error: some protocols' counts are estimates.

    Raises:
        DataError: they cannot.
    """
    values = cells.values.data if sparse.issparse(cells.values) else cells.values
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(
            f"File {cells.file} holds negative, missing or infinite values where raw counts are expected; "
            "name the layer that has the counts with dataset.layer."
        )
