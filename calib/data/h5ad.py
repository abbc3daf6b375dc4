"""Studies in h5ad files, whose table ``obs`` names the batch and the label of each cell.

A Seurat object that R saved is read in the same way, its ``meta.data`` as ``obs``. ``counts`` reads raw
counts with this module and prepares them.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.cells import numbers
from calib.data.downloads import locate
from calib.data.exclusions import Exclusions
from calib.data.names import check_signs, is_missing_word, natural
from calib.data.r_data import SUFFIXES
from calib.data.raw_counts import with_normalised_counts
from calib.data.settings import (
    Word,
    as_mapping,
    as_optional_word,
    as_paths,
    as_sources,
    as_text,
    as_words,
    found_name,
    spelled,
)
from calib.data.seurat_object import read_seurat
from calib.data.sheet import Sheet, as_study, joined, labelled, text
from calib.data.sheet_names import UNLABELLED, in_natural_order, label_settings, warn_of_names
from calib.data.study import Study, in_unit, with_cautions
from calib.data.subjects import REMEDY, SUBJECT_LABELS, SubjectLabels, with_subject_labels
from calib.data.table_files import matching
from calib.errors import CalibError, DataError, check_choice, check_number, nearest, not_installed

log = logging.getLogger(__name__)

CHUNK = 2048
"""Rows that are read at a time, so that cells of other batches do not fill the memory."""
MANY = 2**24
"""Positions of sparse values that are checked at a time."""


@with_cautions
def load_h5ad_study(
    name: Word,
    path: Word | Sequence[Word],
    batch: Word | None,
    label: Word | None,
    batches: Mapping[Word, Word] | None = None,
    classes: Mapping[Word, Word] | None = None,
    positive: Word | None = None,
    unlabelled: Word | Sequence[Word] = UNLABELLED,
    layer: Word | None = None,
    subject: Word | None = None,
    features: Word | Sequence[Word] | None = None,
    sha256: str | None = None,
    n_sources: int = 2,
    subject_labels: SubjectLabels = "refuse",
    exclude: Mapping[Word, Word | Sequence[Word]] | None = None,
    normalise: float | None = None,
    unit: float | None = None,
    order: Word | None = None,
) -> Study:
    """Return a study read from h5ad files, with the stored values unchanged unless they are to be normalised.

    Args:
        name: name of the study.
        path: one file, or several whose common features are used; absolute, or relative to the current folder
            or the data folders.
        batch: column of ``obs`` with the batch; None: every file is a batch, named after the file.
        label, subject: columns of ``obs``; without them labels and subjects are unknown.
        batches: batch name -> value in the batch column; None: every value that occurs. The batches are in
            natural order of their names (1, 2, 10).
        classes, positive, unlabelled: see ``sheet_names.label_settings``.
        layer: layer that holds the values; None: ``X``.
        features: names or patterns of the features that are used, such as ``ENSG*``; None: all.
        sha256: checksum that the file must have; None accepts any.
        n_sources: number of source batches in ``split=all``.
        subject_labels: what becomes of a subject with two labels; see ``subjects.with_subject_labels``.
        exclude: column of ``obs`` -> its value or values whose cells are left out; None: none.
        normalise: sum to which each cell's counts are scaled before log(1 + x); None: values as they are.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves.
        order: column of ``obs`` with each cell's place in the order of measurement; None: unknown.

    Raises:
        DataError: the file is missing, damaged or of another kind, or lacks a named column or layer; or a
            name has a sign that cannot be kept.
        CalibError: a setting is of the wrong kind, or the packages that read h5ad files are not installed.
    """
    check_choice("dataset.subject_labels", subject_labels, SUBJECT_LABELS)
    batch, label = as_optional_word("dataset.batch", batch), as_optional_word("dataset.label", label)
    layer, subject = as_optional_word("dataset.layer", layer), as_optional_word("dataset.subject", subject)
    wanted = None if features is None else as_words("dataset.features", features)
    labels = (
        as_mapping("dataset.classes", classes),
        as_optional_word("dataset.positive", positive),
        as_words("dataset.unlabelled", unlabelled),
    )
    named = as_batches(batches)
    study_name, sources = as_text("dataset.name", name), as_sources(n_sources)
    out = Exclusions.of(exclude)
    if normalise is not None:
        check_number("dataset.normalise", normalise, least=1)
    files = [locate(each, sha256=sha256) for each in as_paths("dataset.path", path)]
    counts = partial(with_normalised_counts, total=normalise, place=place_of(layer))
    ordered = as_optional_word("dataset.order", order)
    columns = (batch, label, named, layer, subject, wanted, out, counts, ordered)
    sheets = [read_h5ad(file, *columns) for file in files]
    out.check_met(files)
    warn_of_names(sheets)
    sheet = in_natural_order(joined(_stored_alike(sheets)))
    y, names = labelled(sheet, *label_settings(sheet, *labels))
    study = in_unit(as_study(study_name, sheet, y, names, sources), unit)
    return with_subject_labels(study, subject_labels, REMEDY)


def as_batches(batches: object) -> dict[str, Word] | None:
    """Return the setting that names the batches: the study's name -> value in the file; None for null.

    Raises:
        CalibError: it is no mapping of names.
    """
    named = as_mapping("dataset.batches", batches)
    if named is None:
        return None
    assert isinstance(batches, Mapping)
    return {spelled(name): batches[name] for name in named}


def read_h5ad(
    file: Path,
    batch: Word | None,
    label: Word | None,
    batches: Mapping[str, Word] | None = None,
    layer: Word | None = None,
    subject: Word | None = None,
    features: Sequence[Word] | None = None,
    out: Exclusions | None = None,
    prepare: Callable[[Sheet], Sheet] | None = None,
    ordered: Word | None = None,
) -> Sheet:
    """Return the samples of the named batches; arguments and errors are those of ``load_h5ad_study``.

    ``out`` says which cells are left out; ``prepare`` changes values before some features are chosen.
    ``ordered`` is the column of the order of measurement.
    """
    with _opened(file, layer) as cells:
        obs, genes = cells.obs, cells.features
        batch, label, subject = (_column(file, obs, word) for word in (batch, label, subject))
        place = _column(file, obs, ordered)
        _check_tables(file, obs, genes)
        _check_signs(file, {"index of var": pd.Series(genes), "index of obs": pd.Series(obs.index)})
        _check_signs(file, {f"column '{one}' of obs": obs[one] for one in (batch, label, subject) if one})
        owner = text(obs[batch]) if batch else pd.Series(file.stem, index=obs.index)
        kept = np.ones(len(obs), bool) if out is None else out.kept(obs, file)
        values_of = _batches(file, owner[kept], batches, batch)
        number = pd.Index(list(values_of.values())).get_indexer(pd.Index(owner))  # -1: of another batch
        chosen = np.flatnonzero((number >= 0) & kept)
        values = cells.rows(chosen)
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
        np.array(list(values_of), object)[number[rows]],
        text(obs[label]).reset_index(drop=True) if label else pd.Series(None, range(len(obs)), dtype=object),
        text(obs[subject]).to_numpy(str) if subject else None,
        order=None if place is None else numbers(obs[[place]].reset_index(drop=True), file)[:, 0],
    )
    sheet = sheet if prepare is None else prepare(sheet)
    return sheet.of_features(matching(genes, features, str(file))) if features else sheet


def obs_columns(file: Path) -> list[str]:
    """Return the names of the columns of ``obs``; errors are those of ``load_h5ad_study``."""
    with _opened(file) as cells:
        return list(cells.obs.columns)


@dataclass(frozen=True)
class Cells:
    """The cells of an open file.

    Attributes:
        obs: a row for each cell, named as the cell.
        features: names of the features.
        rows: function that reads the values of the cells at these positions, in ascending order.
    """

    obs: pd.DataFrame
    features: list[str]
    rows: Callable[[NDArray[np.integer]], Any]


@contextmanager
def _opened(file: Path, layer: Word | None = None) -> Iterator[Cells]:
    """Open a file of cells, h5ad or a Seurat object saved by R, and yield its content."""
    if file.suffix.lower() in SUFFIXES:
        obs, genes, x = read_seurat(file, None if layer is None else spelled(layer))
        yield Cells(obs, genes, lambda chosen: x[chosen])
        return
    with _opened_h5ad(file) as (h5, io):
        obs, var = io.read_elem(h5["obs"]), io.read_elem(h5["var"])
        obs = obs.set_axis(obs.columns.map(str), axis=1)
        genes = [str(feature) for feature in var.index]

        def rows(chosen: NDArray[np.integer]) -> Any:
            """Read the values, after checking that they are those of these tables."""
            stored = _stored(h5, file, layer)
            _check_shape(stored, (len(obs), len(genes)), f"File {file}: {place_of(layer)}")
            return _rows(stored, io, chosen)

        yield Cells(obs, genes, rows)


@contextmanager
def _opened_h5ad(file: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file after checking that it is h5ad, and yield it with anndata's readers."""
    try:
        import h5py
        from anndata import io
    except ModuleNotFoundError as error:
        raise not_installed(f"Reading {file.name}", error.name, "single-cell") from error
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


def _column(file: Path, obs: pd.DataFrame, word: Word | None) -> str | None:
    """Return the name of the column of ``obs`` that a setting names, None where it names none."""
    if word is None:
        return None
    if (column := found_name(word, obs.columns)) is None:
        raise DataError(
            f"File {file} has no column '{spelled(word)}' in obs{nearest(spelled(word), obs.columns)} "
            f"It has: {', '.join(obs.columns) or 'none'}."
        )
    return column


def _stored_alike(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Return sheets whose values are all sparse or all dense: sparse where any of them is."""
    if not any(sparse.issparse(sheet.values) for sheet in sheets):
        return list(sheets)
    return [replace(sheet, values=sparse.csr_matrix(sheet.values)) for sheet in sheets]


def _check_tables(file: Path, obs: pd.DataFrame, features: Sequence[str]) -> None:
    """Raise DataError if the file is empty, or two features have the same name."""
    if obs.empty or not features:
        raise DataError(f"File {file} is empty: {len(obs)} cells, {len(features)} features.")
    if (twice := pd.Index(features).duplicated()).any():
        raise DataError(
            f"File {file} has feature '{features[int(np.argmax(twice))]}' twice ({twice.sum()} names are "
            "repeated); rename them, for example with AnnData's var_names_make_unique()."
        )


def _check_signs(file: Path, names: Mapping[str, pd.Series]) -> None:
    """Raise DataError if a name has a sign that cannot be kept; names are given by their places."""
    for place, column in names.items():
        check_signs(pd.unique(column.astype(object)), partial(_place, file, place))


def _place(file: Path, place: str, _: int) -> str:
    """Return where a name is, for messages."""
    return f"File {file}, {place}"


def _batches(
    file: Path, owner: pd.Series, named: Mapping[str, Word] | None, column: str | None
) -> dict[str, str]:
    """Return the value in the batch column of each batch; without names, of all that occur in natural order.

    Raises:
        CalibError: two batches have the same value.
        DataError: no cell has a batch's value, or all batches are taken and cells have none.
    """
    missing = (owner.isna() | owner.map(is_missing_word, na_action="ignore").eq(True)).to_numpy(bool)
    found = sorted(owner.dropna().unique(), key=natural)
    if named is None:
        if missing.any():
            first = owner.index[int(np.argmax(missing))]
            raise DataError(
                f"File {file}: {missing.sum()} of {len(owner)} cells have no batch in column '{column}' of "
                f"obs, the first '{first}'; fill the column, or name the batches to take in dataset.batches, "
                "which leaves out all other cells."
            )
        return {value: value for value in found}
    values = {name: found_name(value, found) for name, value in named.items()}
    for name, value in values.items():
        if value is None:
            asked = spelled(named[name])
            raise DataError(
                f"File {file}: batch '{name}' should have '{asked}' in column '{column}' of obs, which no "
                f"cell has{nearest(asked, found)} There is: {', '.join(found)}."
            )
    if len(set(values.values())) < len(values):
        raise CalibError("Two batches have the same value in dataset.batches; give each a value of its own.")
    if left_out := int((~owner.isin(list(values.values()))).sum()):
        log.info("%s: %d cells of other batches or of none are left out", file, left_out)
    return {name: value for name, value in values.items() if value is not None}


def place_of(layer: Word | None) -> str:
    """Return where in a file the values are."""
    return "X" if layer is None else f"layers/{layer}"


def _stored(h5: Any, file: Path, layer: Word | None) -> Any:
    """Return the values in the open file: a group if they are sparse, else a dataset."""
    place = place_of(layer)
    stored = h5.get(place)
    if stored is None or stored.attrs.get("encoding-type") == "null":
        layers = [*(["X (dataset.layer=null)"] if "X" in h5 else []), *h5.get("layers", ())]
        raise DataError(f"File {file} has no {place}; it has: {', '.join(layers) or 'no values at all'}.")
    values = stored["data"] if "data" in getattr(stored, "keys", tuple)() else stored
    if getattr(values, "dtype", np.dtype(object)).kind not in "fiub":
        raise DataError(f"File {file}: {place} holds no numbers; name a layer that does with dataset.layer.")
    return stored


def _check_shape(stored: Any, shape: tuple[int, int], where: str) -> None:
    """Check that values have a row for each cell and a column for each feature, and are put together rightly.

    SciPy takes sparse values as they are, and reads outside the memory where their positions are wrong.

    Raises:
        DataError: they have not, or are not.
    """
    is_sparse = hasattr(stored, "keys")
    found = tuple(map(int, stored.attrs["shape"] if is_sparse else stored.shape))
    if found != shape:
        raise DataError(
            f"{where} has the shape {found}, but obs has {shape[0]} cells and var {shape[1]} features; write "
            "the file again."
        )
    if not is_sparse:
        return
    rows, columns = shape if stored.attrs["encoding-type"] == "csr_matrix" else shape[::-1]
    ends, positions, numbers = stored["indptr"][:].astype(np.int64), stored["indices"], len(stored["data"])
    parts = (positions[start : start + MANY] for start in range(0, len(positions), MANY))
    outside = any(((part < 0) | (part >= columns)).any() for part in parts)
    counted = len(ends) == rows + 1 and ends[0] == 0 and (np.diff(ends) >= 0).all()
    if outside or not counted or not ends[-1] == len(positions) == numbers:
        raise DataError(f"{where} is damaged: its sparse values have no right places; fetch the file again.")


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
