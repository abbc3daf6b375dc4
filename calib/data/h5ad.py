"""Studies in h5ad files, whose table ``obs`` names the batch and the label of each cell.

``counts`` reads raw counts with this module and prepares them.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.downloads import locate
from calib.data.sheet import Sheet, as_study, joined, labelled, text
from calib.data.study import Study, in_unit
from calib.data.table_files import matching
from calib.errors import CalibError, DataError, nearest

CHUNK = 2048
"""Rows that are read at a time, so that cells of other batches do not fill the memory."""


def load_h5ad_study(
    name: str,
    path: str | Sequence[str],
    batch: str | None,
    label: str | None,
    batches: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
    positive: str | None = None,
    unlabelled: Sequence[str] = (),
    layer: str | None = None,
    subject: str | None = None,
    features: str | Sequence[str] | None = None,
    sha256: str | None = None,
    n_sources: int = 2,
    unit: float | None = None,
) -> Study:
    """Return a study read from h5ad files, with the stored values unchanged.

    Args:
        name: name of the study.
        path: one file, or several whose common features are used; absolute or relative to the data folders.
        batch: column of ``obs`` with the batch; None: every file is a batch, named after the file.
        label, subject: columns of ``obs``; without them labels and subjects are unknown.
        batches: batch name -> value in the batch column, in the order of the study; None: every value
            that occurs, sorted.
        classes, positive, unlabelled: see ``sheet.labelled``.
        layer: layer that holds the values; None: ``X``.
        features: patterns of the features that are used, such as ``ENSG*``; None: all.
        sha256: checksum that the file must have; None accepts any.
        n_sources: number of source batches in ``split=all``.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves.

    Raises:
        DataError: the file is missing, damaged or of another kind, or lacks a named column or layer.
        CalibError: the packages that read h5ad files are not installed.
    """
    paths = [path] if isinstance(path, str) else list(path)
    sheets = [
        read_h5ad(locate(each, sha256=sha256), batch, label, batches, layer, subject, features)
        for each in paths
    ]
    sheet = joined(sheets)
    y, names = labelled(sheet, classes, positive, unlabelled)
    return in_unit(as_study(name, sheet, y, names, n_sources), unit)


def read_h5ad(
    file: Path,
    batch: str | None,
    label: str | None,
    batches: Mapping[str, str] | None = None,
    layer: str | None = None,
    subject: str | None = None,
    features: str | Sequence[str] | None = None,
) -> Sheet:
    """Return the samples of the named batches; arguments and errors are those of ``load_h5ad_study``."""
    with _opened(file) as (h5, io):
        obs, var = io.read_elem(h5["obs"]), io.read_elem(h5["var"])
        genes = [str(feature) for feature in var.index]
        _check_tables(file, obs, genes, [column for column in (batch, label, subject) if column])
        owner = text(obs[batch]) if batch else pd.Series(file.stem, index=obs.index)
        batches = batches or {value: value for value in sorted(owner.dropna().unique())}
        _check_batches(file, owner, batches, batch)
        number = pd.Index(list(batches.values())).get_indexer(pd.Index(owner))  # -1: of another batch
        chosen = np.flatnonzero(number >= 0)
        values = _rows(_stored(h5, file, layer), io, chosen)
    order = np.argsort(number[chosen], kind="stable")
    rows = chosen[order]
    obs = obs.iloc[rows]
    if subject and obs[subject].isna().any():
        raise DataError(f"File {file}: column '{subject}' of obs has samples without a subject; fill them.")
    sheet = Sheet(
        str(file),
        values[order],
        obs.index.to_numpy(str),
        genes,
        np.array(list(batches), object)[number[rows]],
        text(obs[label]).reset_index(drop=True) if label else pd.Series(None, range(len(obs)), dtype=object),
        text(obs[subject]).to_numpy(str) if subject else None,
    )
    return sheet.of_features(matching(genes, features, str(file))) if features else sheet


def obs_columns(file: Path) -> list[str]:
    """Return the names of the columns of ``obs``; errors are those of ``load_h5ad_study``."""
    with _opened(file) as (h5, io):
        return list(map(str, io.read_elem(h5["obs"]).columns))


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file after checking that it is h5ad, and yield it with anndata's readers."""
    try:
        import h5py
        from anndata import io
    except ModuleNotFoundError as error:
        raise CalibError(
            f"Reading {file.name} needs the package {error.name}, which is not installed: "
            "pip install -c constraints.txt -e '.[single-cell]'."
        ) from error
    if not h5py.is_hdf5(file):
        raise DataError(f"File {file} is no h5ad file: it is not HDF5; check dataset.path.")
    try:
        with h5py.File(file, "r") as h5, warnings.catch_warnings():
            # anndata warns of files from its version 0.7, such as the pancreas study's
            warnings.filterwarnings("ignore", "Element .* was written without encoding metadata")
            for table in ("obs", "var"):
                if "_index" not in getattr(h5.get(table), "attrs", {}):
                    raise DataError(
                        f"File {file} is HDF5 but no h5ad file: it has no table '{table}'; check "
                        "dataset.path, or write it again with anndata 0.7 or newer."
                    )
            yield h5, io
    except CalibError:
        raise
    except Exception as error:  # h5py and anndata raise a dozen kinds of errors on damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"File {file} cannot be read: {reason}; fetch it again.") from error


def _check_tables(file: Path, obs: pd.DataFrame, features: Sequence[str], columns: Sequence[str]) -> None:
    """Raise DataError if a column is missing, the file is empty, or two features have the same name."""
    for column in columns:
        if column not in obs:
            raise DataError(
                f"File {file} has no column '{column}' in obs{nearest(column, map(str, obs.columns))} "
                f"It has: {', '.join(map(str, obs.columns)) or 'none'}."
            )
    if obs.empty or not features:
        raise DataError(f"File {file} is empty: {len(obs)} cells, {len(features)} features.")
    if (twice := pd.Index(features).duplicated()).any():
        raise DataError(
            f"File {file} has feature '{features[int(np.argmax(twice))]}' twice ({twice.sum()} names are "
            "repeated); rename them, for example with AnnData's var_names_make_unique()."
        )


def _check_batches(file: Path, owner: pd.Series, batches: Mapping[str, str], column: str | None) -> None:
    """Raise CalibError if two batches have the same value, or no cell has a batch's value."""
    found, values = sorted(owner.dropna().unique()), list(batches.values())
    if len(set(values)) < len(values):
        raise CalibError("Two batches have the same value in dataset.batches; give each a value of its own.")
    for name, value in batches.items():
        if value not in found:
            raise DataError(
                f"File {file}: batch '{name}' should have '{value}' in column '{column}' of obs, which no "
                f"cell has{nearest(value, found)} There is: {', '.join(found)}."
            )


def _stored(h5: Any, file: Path, layer: str | None) -> Any:
    """Return the values in the open file: a group if they are sparse, else a dataset."""
    place = f"layers/{layer}" if layer else "X"
    stored = h5.get(place)
    if stored is None or stored.attrs.get("encoding-type") == "null":
        layers = [*(["X (dataset.layer=null)"] if "X" in h5 else []), *h5.get("layers", ())]
        raise DataError(f"File {file} has no {place}; it has: {', '.join(layers) or 'no values at all'}.")
    values = stored["data"] if "data" in getattr(stored, "keys", tuple)() else stored
    if getattr(values, "dtype", np.dtype(object)).kind not in "fiub":
        raise DataError(f"File {file}: {place} holds no numbers; name a layer that does with dataset.layer.")
    return stored


def _rows(stored: Any, io: Any, chosen: NDArray[np.integer]) -> Any:
    """Return these rows (in ascending order): CSR where the file is sparse, else an array.

    The rows are read in pieces here, because anndata's reader of sparse rows does not work with every SciPy.
    """
    pieces: Iterable[tuple[int, Any]]
    if not hasattr(stored, "keys"):
        pieces = ((start, stored[start : start + CHUNK]) for start in range(0, len(stored), CHUNK))
    elif stored.attrs["encoding-type"] == "csr_matrix":
        pieces = _sparse_pieces(stored)
    else:  # CSC: single rows cannot be read
        pieces = [(0, io.read_elem(stored).tocsr())]
    parts = []
    for start, piece in pieces:
        first, last = np.searchsorted(chosen, [start, start + piece.shape[0]])
        parts.append(piece[chosen[first:last] - start])
    return sparse.vstack(parts, "csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def _sparse_pieces(stored: Any) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield the first row and the content of one piece after another of a CSR matrix on disk."""
    ends, columns = stored["indptr"][:], stored.attrs["shape"][1]
    for start in range(0, len(ends) - 1, CHUNK):
        ptr = ends[start : start + CHUNK + 1]
        span = slice(ptr[0], ptr[-1])
        parts = (stored["data"][span], stored["indices"][span], ptr - ptr[0])
        yield start, sparse.csr_matrix(parts, shape=(len(ptr) - 1, columns))
