"""Normalising counts and choosing variable genes with scanpy; the choice is stored in the download cache."""

import hashlib
import importlib.metadata
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.downloads import data_folders
from calib.data.sheet import Sheet
from calib.errors import CalibError, DataError, not_installed
from calib.files import safe_name, short_hash, write_whole

log = logging.getLogger(__name__)

FLAVORS = ("cell_ranger", "seurat")
"""Measures of a gene's variation; see ``ranked_genes``."""

VERSION = 1
"""Version of the choice, to be raised when a change in this module can choose other genes."""


def common_genes(cells: Sheet) -> Sheet:
    """Return only the genes detected in every batch, where at least one cell has a count.

    Raises:
        DataError: there is no such gene.
    """
    detected = [_sums(cells.values[cells.batch == b] != 0, axis=0) > 0 for b in pd.unique(cells.batch)]
    common = np.logical_and.reduce(detected)
    if not common.any():
        raise DataError(f"File {cells.file}: no gene is detected in every batch; check dataset.batches.")
    return cells.of_features(common)


def detected_genes(cells: Sheet) -> NDArray[np.int64]:
    """Return the number of genes with a count in each cell ``(cells,)``."""
    return _sums(cells.values != 0, axis=1)


def normalised(cells: Sheet, total: float) -> Sheet:
    """Scale the counts of each cell to the same ``total``, then take log(1 + x), as float32.

    The values of a cell do not depend on other cells. Logarithms differ between processors in the last digit
    of float64, and so would a study's checksum and with it the key of every run; float32 rounds that away.

    Raises:
        DataError: a cell has no counts at all.
    """
    if (empty := _sums(cells.values, axis=1) == 0).any():
        row = int(np.argmax(empty))
        raise DataError(
            f"File {cells.file}: {empty.sum()} cell(s) have no counts in the genes common to all batches, "
            f"the first '{cells.names[row]}' of batch '{cells.batch[row]}'; leave them out with "
            "dataset.min_genes=1."
        )
    with _scanpy() as (sc, anndata):
        data = anndata.AnnData(cells.values.astype(np.float64))
        sc.pp.normalize_total(data, target_sum=total)
        sc.pp.log1p(data)
    return replace(cells, values=data.X.astype(np.float32))


def ranked_genes(cells: Sheet, count: int, flavor: str) -> list[str]:
    """Return the ``count`` genes that vary most within the batches, from log-normalised values.

    Within each batch a gene's dispersion (variance over mean) is compared with that of genes of similar mean:
    ``seurat`` uses mean and standard deviation over 20 bins, ``cell_ranger`` uses the median and the median
    absolute deviation. Genes that are among the first ``count`` in the most batches come first; ties are in
    the order of the mean over the batches (``scanpy.pp.highly_variable_genes`` with a batch key).
    """
    with _scanpy() as (sc, anndata):
        places = pd.RangeIndex(len(cells.batch)).astype(
            str
        )  # names may be those of cells of other batches, too
        obs = pd.DataFrame({"batch": pd.Categorical(cells.batch)}, index=places)
        data = anndata.AnnData(cells.values, obs=obs, var=pd.DataFrame(index=cells.features))
        table = sc.pp.highly_variable_genes(
            data, n_top_genes=count, flavor=flavor, batch_key="batch", inplace=False
        )
    return list(np.array(cells.features)[table["highly_variable"].to_numpy()])


def chosen_genes(cells: Sheet, count: int, flavor: str, name: str, origin: Mapping[str, Any]) -> Sheet:
    """Return only the genes that vary most, and store the choice in ``genes/<name>-<key>.txt``.

    The file is in the download cache and is read instead of choosing again.

    Args:
        cells: log-normalised values.
        count: number of genes.
        flavor: measure of variation; see ``ranked_genes``.
        name: name of the study.
        origin: all that decides ``cells``: the file's checksum and the steps so far.

    Raises:
        CalibError: there are fewer than ``count`` genes.
    """
    if count > len(cells.features):
        raise CalibError(
            f"dataset.genes={count} is more than the {len(cells.features)} genes common to all batches."
        )
    choice = {"count": count, "flavor": flavor, "version": VERSION, "scanpy": _version()}
    key = short_hash({**origin, **choice})
    file = data_folders()[-1] / "genes" / f"{safe_name(name)}-{key}.txt"
    chosen = _stored(file, count, cells.features)
    if chosen is None:
        chosen = ranked_genes(cells, count, flavor)
        _store(file, chosen)
    log.info("%d of the %d genes common to all batches are kept: %s", count, len(cells.features), file)
    return cells.of_features(np.isin(cells.features, chosen))


def _stored(file: Path, count: int, features: list[str]) -> list[str] | None:
    """Return the choice stored in a file, or None where the file is missing or damaged."""
    try:
        first, *genes = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    whole = first == _heading(genes) and len(genes) == count and set(genes) <= set(features)
    if not whole:
        log.warning("The choice of genes in %s is damaged and is made again.", file)
    return genes if whole else None


def _store(file: Path, genes: list[str]) -> None:
    """Store the choice in a file; where the file cannot be written, the choice is made again next time."""
    text = "\n".join([_heading(genes), *genes]) + "\n"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _heading(genes: list[str]) -> str:
    """Return the first line of a stored choice, which holds its checksum."""
    checksum = hashlib.sha256("\n".join(genes).encode()).hexdigest()
    return f"# {len(genes)} genes, sha256 {checksum}"


def _sums(values: Any, axis: int) -> Any:
    """Return the sums of a dense or sparse matrix along an axis, as a flat array."""
    return np.asarray(values.sum(axis=axis)).ravel()


def _version() -> str:
    """Return the version of scanpy, or ``none`` where it is not installed."""
    try:
        return importlib.metadata.version("scanpy")
    except importlib.metadata.PackageNotFoundError:
        return "none"


@contextmanager
def _scanpy() -> Iterator[tuple[Any, Any]]:
    """Import scanpy and anndata, which takes seconds, and silence their warnings of deprecated functions."""
    with warnings.catch_warnings():
        # both packages call pandas functions that pandas 3 announces to remove
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(anndata|scanpy)\.")
        try:
            import anndata
            import scanpy
        except ModuleNotFoundError as error:
            raise not_installed("Normalising counts", error.name, "single-cell") from error
        yield scanpy, anndata
