"""Which genes of a study of counts: scanpy's steps, and the choice remembered."""

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
from calib.errors import CalibError, DataError
from calib.files import safe_name, short_hash, write_whole

log = logging.getLogger(__name__)

FLAVORS = ("cell_ranger", "seurat")

VERSION = 1
"""Raised when a change here can choose other genes."""


def common_genes(cells: Sheet) -> Sheet:
    """Only the genes detected in every batch: at least one cell of the batch has a count.

    Raises:
        DataError: there is none.
    """
    detected = [_sums(cells.values[cells.batch == b] != 0, axis=0) > 0 for b in pd.unique(cells.batch)]
    common = np.logical_and.reduce(detected)
    if not common.any():
        raise DataError(f"File {cells.file}: no gene is detected in every batch; check dataset.batches.")
    return cells.of_features(common)


def detected_genes(cells: Sheet) -> NDArray[np.int64]:
    """Number of genes with a count in each cell ``(cells,)``."""
    return _sums(cells.values != 0, axis=1)


def normalised(cells: Sheet, total: float) -> Sheet:
    """Counts of each cell scaled to the same ``total``, then log(1 + x); a cell's values depend on it alone.

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
    return replace(cells, values=data.X)


def ranked_genes(cells: Sheet, count: int, flavor: str) -> list[str]:
    """The ``count`` genes that vary most within the batches, from log-normalised values.

    In each batch by itself a gene's dispersion (variance over mean) is compared with that of genes of
    similar mean (``seurat``: mean and standard deviation over 20 bins; ``cell_ranger``: median and its
    absolute deviation). Genes among the first ``count`` in most batches come first, ties in the order of
    the mean over the batches (``scanpy.pp.highly_variable_genes`` with a batch key).
    """
    with _scanpy() as (sc, anndata):
        obs = pd.DataFrame({"batch": pd.Categorical(cells.batch)}, index=cells.names.astype(str))
        data = anndata.AnnData(cells.values, obs=obs, var=pd.DataFrame(index=cells.features))
        table = sc.pp.highly_variable_genes(
            data, n_top_genes=count, flavor=flavor, batch_key="batch", inplace=False
        )
    return list(np.array(cells.features)[table["highly_variable"].to_numpy()])


def chosen_genes(cells: Sheet, count: int, flavor: str, name: str, origin: Mapping[str, Any]) -> Sheet:
    """Only the genes that vary most; the choice is kept in the download cache, ``genes/<name>-<key>.txt``.

    Args:
        name: of the study.
        origin: what decides ``cells``: the file's checksum and the steps so far.

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
    chosen = _remembered(file, count, cells.features)
    if chosen is None:
        chosen = ranked_genes(cells, count, flavor)
        _remember(file, chosen)
    log.info("%d of the %d genes common to all batches are kept: %s", count, len(cells.features), file)
    return cells.of_features(np.isin(cells.features, chosen))


def _remembered(file: Path, count: int, features: list[str]) -> list[str] | None:
    """The choice in a file, or None where there is none or it is damaged."""
    try:
        first, *genes = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    whole = first == _heading(genes) and len(genes) == count and set(genes) <= set(features)
    if not whole:
        log.warning("The choice of genes in %s is damaged and is made again.", file)
    return genes if whole else None


def _remember(file: Path, genes: list[str]) -> None:
    """Write the choice whole or not at all; without a place to write to it is made again next time."""
    text = "\n".join([_heading(genes), *genes]) + "\n"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _heading(genes: list[str]) -> str:
    checksum = hashlib.sha256("\n".join(genes).encode()).hexdigest()
    return f"# {len(genes)} genes, sha256 {checksum}"


def _sums(values: Any, axis: int) -> Any:
    return np.asarray(values.sum(axis=axis)).ravel()


def _version() -> str:
    try:
        return importlib.metadata.version("scanpy")
    except importlib.metadata.PackageNotFoundError:
        return "none"


@contextmanager
def _scanpy() -> Iterator[tuple[Any, Any]]:
    """The packages scanpy and anndata, imported where they are needed because that takes seconds."""
    with warnings.catch_warnings():
        # both use spellings that pandas 3 announces to end
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(anndata|scanpy)\.")
        try:
            import anndata
            import scanpy
        except ModuleNotFoundError as error:
            raise CalibError(
                f"Normalising counts needs the package {error.name}, which is not installed: "
                "pip install -c constraints.txt -e '.[single-cell]'."
            ) from error
        yield scanpy, anndata
