"""Studies of single-cell counts in an h5ad file or a Seurat object, such as the paper's pancreas data.

The counts are normalised and reduced to variable genes as in Niu et al. 2021, Methods, section 6.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import pooch
from scipy import sparse

from calib.data.composition import Composition, check_composition
from calib.data.downloads import locate
from calib.data.figshare import locate_published
from calib.data.genes import FLAVORS, chosen_genes, common_genes, detected_genes, normalised
from calib.data.h5ad import as_batches, read_h5ad
from calib.data.preparations import check_counts
from calib.data.settings import Word, as_optional_word, as_sources, as_text, as_word
from calib.data.sheet import as_study, class_indices
from calib.data.study import Study, in_unit, with_cautions
from calib.errors import CalibError, check_choice, check_number

log = logging.getLogger(__name__)


@with_cautions
def load_counts_study(
    name: Word,
    path: str,
    batch: Word,
    label: Word,
    batches: Mapping[Word, Word],
    cell_types: Composition,
    layer: Word | None,
    min_genes: int,
    total: float,
    genes: int,
    flavor: str,
    sha256: str | None = None,
    url: str | None = None,
    figshare: Mapping[str, int] | None = None,
    n_sources: int = 2,
    unit: float | None = None,
) -> Study:
    """Return a study of raw counts after the paper's preparation, which uses no label.

    The steps are: keep the genes detected in every batch; keep the cells with enough genes; scale the counts
    of each cell to ``total``; take log(1 + x); keep the genes that vary most within the batches.

    Args:
        name: name of the study.
        path, batch, label, batches, layer, sha256, n_sources, unit: see ``h5ad.load_h5ad_study``.
        cell_types: cell types in the order of the class index, each with its expected number of cells in
            each batch. Spellings may differ in case and in the characters between words.
        min_genes: least number of detected genes of a cell that is kept; 0 keeps all cells.
        total: sum of a cell's counts after scaling.
        genes: number of genes that are kept.
        flavor: measure of variation; see ``genes.ranked_genes``.
        url: address from which the file is downloaded if it is in none of the data folders.
        figshare: numbers ``article`` and ``file`` under which figshare has the file.

    Raises:
        DataError: the file is missing, damaged, or not the expected one.
        CalibError: a setting is wrong, or the packages that read the file are not installed.
    """
    check_number("dataset.min_genes", min_genes, least=0, whole=True)
    check_number("dataset.total", total, least=1)
    check_number("dataset.genes", genes, least=1, whole=True)
    check_choice("dataset.flavor", flavor, FLAVORS)
    named = as_batches(batches)
    if not named:
        raise CalibError("dataset.batches=null must name the batches, as in dataset.batches='{a: a, b: b}'.")
    columns = (as_word("dataset.batch", batch), as_word("dataset.label", label), named)
    study_name, sources = as_text("dataset.name", name), as_sources(n_sources)
    file = locate_published(path, **figshare) if figshare else locate(path, url, sha256)
    cells = read_h5ad(file, *columns, as_optional_word("dataset.layer", layer))
    y = class_indices(cells, spelling(cells.label), list(spelling(pd.Series(list(cell_types)))))
    check_composition(cells, y, cell_types, "dataset.cell_types")
    check_counts(cells)
    cells = common_genes(replace(cells, values=sparse.csr_matrix(cells.values)))
    if min_genes:
        enough = detected_genes(cells) >= min_genes
        log.info("%d cells have fewer than %d genes and are left out.", (~enough).sum(), min_genes)
        cells, y = cells.of_rows(enough), y[enough]
    cells = normalised(cells, total)
    origin = {
        "sha256": pooch.file_hash(str(file)),
        "batches": [batch, [*named.values()]],
        "steps": [layer, min_genes, total],
    }
    kept = chosen_genes(cells, genes, flavor, study_name, origin)
    study = in_unit(as_study(study_name, kept, y, list(cell_types), sources), unit)
    checked = all(expected is not None for expected in cell_types.values())
    return replace(study, implied=("names",) if checked else None)  # the cells are the published ones


def spelling(labels: pd.Series) -> pd.Series:
    """Return labels in lower case with single underscores between words: ``activated_stellate``."""
    return labels.map(lambda label: re.sub(r"[\W_]+", "_", label.strip().lower()), na_action="ignore")
