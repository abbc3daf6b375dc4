"""``calib.answer``: what ``calib answer`` does, for arrays, tables and AnnData in Python."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_array

from calib.data.arrays_file import write_study_arrays
from calib.data.cautions import listed
from calib.data.matrix import Matrix
from calib.data.settings import literal
from calib.estimators.arrays import as_value_errors, column_of, names_of, values_of
from calib.estimators.labels import class_indices
from calib.plates.answer import Answer
from calib.plates.answering import answer as answer_request
from calib.plates.files import write_answer
from calib.plates.options import ARRAYS, Request

DATA = "data.npz"
"""File in the output folder that holds what was given."""


def answer(
    X: ArrayLike,  # noqa: N803
    y: ArrayLike | str,
    *,
    batch: ArrayLike | str,
    subject: ArrayLike | str | None = None,
    sample: ArrayLike | str | None = None,
    name: str = "plates",
    positive: object = None,
    unlabelled: object = None,
    methods: str | Sequence[str] = "fast",
    error: float = 0.1,
    miss: float = 0.1,
    prevalence: float | Sequence[float] = (),
    why: bool = True,
    out: str | Path | None = None,
    jobs: int | None = None,
    strict: bool = False,
    random_state: int = 0,
    device: str = "cpu",
    **settings: Any,
) -> Answer:
    """Look at plates, compare methods on the labelled ones, choose one, and answer the blank ones.

    ::

        found = calib.answer(X, y, batch=plate, subject=patient)  # y is None or NaN on blank plates
        found.choice.label, found.calls, found.trust.plates

    Args:
        X: data ``(samples, features)``, finite: an array, a table, a sparse matrix or an AnnData.
        y: labels ``(samples,)``, missing for the samples to be judged.
        batch: name of each sample's plate ``(samples,)``; of an AnnData also the name of a column of ``obs``.
        subject: name of each sample's subject, likewise.
        sample: name of each sample; None: names of a table's rows.
        name: name of the study, on the page and in records.
        positive: of two classes the positive one; None: the second in their order.
        unlabelled: value that marks a missing label, as None and NaN do.
        methods: ``fast``, ``all``, or names.
        error, miss: share of errors among answers, and of sets without the true class, that are allowed.
        prevalence: share of the positive class where the calls are used, or several.
        why: whether to look for the features that carry the answer.
        out: folder for the page, the tables and the records, with which a repeated call goes on where it was;
            None: nothing is kept.
        jobs: runs at once; None: one a core.
        strict: whether a serious finding of the design is an error.
        random_state: the seed.
        device: device of the trainings.
        settings: settings with two underscores for a dot, such as ``protocol__transform="log2"``.

    Returns:
        The answer, with the same numbers as ``calib answer`` has on the same values in a file.

    Raises:
        ValueError: shapes disagree, or nothing can be learnt from these plates.
    """
    x = _values(X)
    labels = column_of(X, y, "y")
    classes, index = class_indices(labels, x, unlabelled)
    if positive is not None and str(positive) not in map(str, classes):
        raise ValueError(f"positive={positive!r} is not one of the classes {', '.join(map(str, classes))}.")
    words = np.array([*map(str, classes), ""], object)[index]
    columns = {
        name: names_of(column_of(X, values, name), x.shape[0], name)
        for name, values in (("batch", batch), ("subject", subject), ("sample", _samples(X, sample)))
    }
    if columns["batch"] is None:
        raise ValueError("batch= is missing; it names the plate of each sample.")
    given = {"methods": methods if isinstance(methods, str) else ",".join(methods), "error": error}
    given |= {"miss": miss, "why": why, "jobs": jobs, "strict": strict}
    given["prevalences"] = tuple(np.atleast_1d(np.asarray(prevalence, float)).tolist())
    with as_value_errors(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_study_arrays(folder / DATA, x, words.tolist(), features=_features(X, x), columns=columns)
        overrides = [
            f"dataset={ARRAYS}",
            f"dataset.name='{literal(name)}'",
            f"dataset.path='{literal(str(folder / DATA))}'",
        ]
        if positive is not None:
            overrides.append(f"dataset.positive='{literal(str(positive))}'")
        others = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
        asked = Request(
            overrides=tuple(overrides),
            name=name,
            settings=(*others, f"seed={random_state}", f"device={device}"),
            out=folder,
            **given,  # type: ignore[arg-type]
        )
        found = answer_request(asked)
        if out is not None:
            write_answer(found, folder)
    return found


def _values(data: Any) -> Matrix:
    """Return the values as finite numbers, an array or CSR.

    Raises:
        ValueError: there is no sample, or a value is no finite number.
    """
    values = values_of(data)
    if hasattr(values, "select_dtypes") and len(
        words := values.select_dtypes(exclude=["number", "bool"]).columns
    ):
        raise ValueError(
            f"X has columns that hold no numbers: {listed([str(one) for one in words])}; leave them out "
            "of X, or give them as batch=, subject= or sample=."
        )
    found: Matrix = check_array(
        values, accept_sparse="csr", dtype=[np.float64, np.float32], ensure_min_samples=2
    )
    return found


def _samples(data: Any, sample: Any) -> Any:
    """Return the names of the samples: those that are given, or those of a table's or an AnnData's rows."""
    if sample is not None:
        return sample
    index = getattr(data, "obs_names", getattr(data, "index", None))
    return None if index is None or sparse.issparse(data) else np.asarray(index).astype(str)


def _features(data: Any, x: Matrix) -> list[str]:
    """Return the names of the features, or their numbers from 1 on."""
    named = getattr(data, "var_names", getattr(data, "columns", None))
    return [str(name) for name in (range(1, x.shape[1] + 1) if named is None else named)]
