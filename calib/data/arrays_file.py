"""Studies in one file of arrays (NumPy's ``.npz``, without pickles): values beside names of samples.

``calib.answer(X, y, batch=...)`` writes such a file, so that what was given in Python is run, recorded and
resumed as a file is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from calib.data.arrays_study import Names, study_from_arrays
from calib.data.downloads import locate
from calib.data.matrix import Matrix
from calib.data.settings import Word, as_optional_word, as_sources, as_text
from calib.data.study import Study, in_unit, with_cautions
from calib.data.subjects import REMEDY, SUBJECT_LABELS, SubjectLabels, with_subject_labels
from calib.errors import DataError, check_choice, nearest
from calib.files import read_arrays, write_archive, write_whole

VALUES, SPARSE = "x", ("x_data", "x_indices", "x_indptr", "x_shape")
"""Keys of dense values, and of values in compressed sparse rows."""


def write_study_arrays(
    file: Path,
    x: Matrix,
    label: Sequence[str],
    features: Sequence[str],
    columns: Mapping[str, Sequence[str] | Names | None],
) -> None:
    """Write samples to a file that ``load_arrays`` reads, whole or not at all.

    Args:
        file: the file.
        x: values ``(samples, features)``, an array or CSR.
        label: label of each sample, "" where it is unknown ``(samples,)``.
        features: names of the features.
        columns: ``batch``, ``sample`` and ``subject`` of each sample; the last two may be None.
    """
    arrays: dict[str, Any] = {"label": np.array(label, np.str_)}
    arrays["features"] = np.array(features, np.str_)
    arrays |= {name: np.array(values, np.str_) for name, values in columns.items() if values is not None}
    if sparse.issparse(x):
        rows = sparse.csr_matrix(x)
        arrays |= dict(zip(SPARSE, (rows.data, rows.indices, rows.indptr, np.array(rows.shape)), strict=True))
    else:
        arrays[VALUES] = np.asarray(x)

    def write(place: Path) -> None:
        with place.open("wb") as stream:
            write_archive(stream, arrays)

    write_whole(file, write)


@with_cautions
def load_arrays(
    name: Word,
    path: Word,
    positive: Word | None = None,
    subject_labels: SubjectLabels = "refuse",
    n_sources: int = 2,
    unit: float | None = None,
    sha256: str | None = None,
) -> Study:
    """Return the study in a file of ``write_study_arrays``; settings as of ``table_study.load_table_study``.

    As in other files, batches are in natural order of their names, and the unlabelled samples of a batch that
    is labelled in part become a batch of their own, after all others.

    Raises:
        CalibError: a setting is of the wrong kind.
        DataError: the file is missing or damaged, or lacks what a setting names.
    """
    check_choice("dataset.subject_labels", subject_labels, SUBJECT_LABELS)
    file = locate(str(as_text("dataset.path", path)), sha256=sha256)
    arrays = read_arrays(file)
    x, columns = _values(arrays, file), _columns(arrays, file)
    classes = sorted(set(columns["label"].tolist()) - {""})
    first = as_optional_word("dataset.positive", positive)
    if first is not None:
        if first not in classes:
            raise DataError(f"dataset.positive={first} is no label of {file}{nearest(str(first), classes)}")
        if len(classes) == 2:
            classes = [one for one in classes if one != first] + [first]
    places = {label: place for place, label in enumerate(classes)}
    y = np.array([places.get(label, -1) for label in columns["label"].tolist()], np.int64)
    named = {key: columns[key] for key in ("batch", "subject", "sample") if key in columns}
    made = study_from_arrays(as_text("dataset.name", name), x, y, classes, list(arrays["features"]), **named)
    study = in_unit(replace(made, n_sources=as_sources(n_sources)), unit)
    return with_subject_labels(study, subject_labels, REMEDY) if "subject" in columns else study


def _values(arrays: dict[str, NDArray[Any]], file: Path) -> Matrix:
    """Return the values, dense or CSR.

    Raises:
        DataError: there are none, or they are not finite.
    """
    if VALUES in arrays:
        x: Matrix = arrays[VALUES]
    elif all(key in arrays for key in SPARSE):
        data, indices, indptr, shape = (arrays[key] for key in SPARSE)
        x = sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))
    else:
        raise DataError(f"File {file} has no array 'x'; write it with calib.answer(X, y, batch=...).")
    held = x.data if sparse.issparse(x) else x
    if not np.isfinite(held).all():
        raise DataError(f"File {file} has values that are missing or infinite; fill them first.")
    return x


def _columns(arrays: dict[str, NDArray[Any]], file: Path) -> dict[str, Names]:
    """Return what is known of each sample.

    Raises:
        DataError: label or batch is missing, or an array has another length than the values.
    """
    found: dict[str, Names] = {
        key: arrays[key] for key in ("label", "batch", "subject", "sample") if key in arrays
    }
    for key in ("label", "batch", "features"):
        if key not in arrays:
            raise DataError(f"File {file} has no array '{key}'; write it with calib.answer(X, y, batch=...).")
    count = len(found["label"])
    for key, values in found.items():
        if len(values) != count:
            raise DataError(f"File {file}: '{key}' has {len(values)} entries, but 'label' has {count}.")
    return found
