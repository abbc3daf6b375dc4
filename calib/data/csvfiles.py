"""Studies kept as one CSV file a batch: a label column and one column a feature."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.files import locate
from calib.data.study import Batch, Study
from calib.data.subjects import infer_subjects
from calib.errors import DataError, check_choice

Impute = Literal["mean", "median", "zero"]


def load_csv_study(
    name: str,
    files: Mapping[str, Mapping[str, str | None]],
    label: str,
    classes: Mapping[str, str],
    ignore: Sequence[str] = (),
    url: str | None = None,
    replicates: int | None = None,
    impute: Impute | None = None,
    n_sources: int = 2,
) -> Study:
    """Read a study.

    Args:
        files: batch name -> ``path`` (relative to the data folders, or absolute) and ``sha256``.
        label: name of the label column.
        classes: value in the label column -> class name, in the order of the class index; with two
            classes the second is the positive one.
        ignore: columns that are neither label nor feature.
        url: folder from which missing files are downloaded.
        replicates: replicates of a subject in adjacent rows, to infer subjects; None: unknown.
        impute: what replaces missing and infinite values, feature by feature within the batch; None
            refuses them.
        n_sources: number of source batches in ``split=all``.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others; the message names file, line
            and column.
    """
    check_choice("dataset.impute", impute, [None, "mean", "median", "zero"])
    batches: dict[str, Batch] = {}
    features: list[str] = []
    for batch, file in files.items():
        path = str(file["path"])
        source = f"{url.rstrip('/')}/{Path(path).name}" if url else None
        table = _read(found := locate(path, source, file.get("sha256")))
        y = _labels(table, label, [str(value) for value in classes], found)
        table = table.drop(columns=[label, *(column for column in ignore if column in table)])
        features = features or list(table.columns)
        x = _numbers(_aligned(table, features, found), found, impute)
        subject = infer_subjects(y, replicates) if replicates else None
        batches[batch] = Batch(batch, x, y, subject)
    if len(batches) < 2:
        raise DataError(f"Study '{name}' has {len(batches)} batch; it needs at least two.")
    return Study(name, batches, features, list(classes.values()), n_sources)


def _read(file: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(file, header=None, nrows=1, dtype=str).iloc[0]
        table = pd.read_csv(file, low_memory=False)
    except (ValueError, IndexError, OSError) as error:  # parser, encoding and empty-file errors too
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"File {file} cannot be read as a CSV table: {reason}.") from error
    if header.duplicated().any():
        twice = header[header.duplicated()].iloc[0]
        raise DataError(f"File {file} has column '{twice}' twice; rename or remove one of them.")
    if table.empty:
        raise DataError(f"File {file} has no rows.")
    return table


def _labels(table: pd.DataFrame, label: str, values: Sequence[str], file: Path) -> NDArray[np.int64]:
    if label not in table:
        raise DataError(
            f"File {file} has no label column '{label}'; name it with dataset.label "
            f"(the first columns are: {', '.join(map(str, table.columns[:4]))})."
        )
    column = table[label]
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    index = pd.Index(values).get_indexer(pd.Index(column.astype(str)))
    if (index < 0).any():
        row = int(np.argmax(index < 0))
        raise DataError(
            f"File {file}, line {row + 2}: label '{column.iloc[row]}' is none of the classes "
            f"{', '.join(values)}; name them with dataset.classes."
        )
    return index.astype(np.int64)


def _aligned(table: pd.DataFrame, features: Sequence[str], file: Path) -> pd.DataFrame:
    """The columns in the order of the study's first batch; they must be the same features."""
    for what, names in (
        ("lacks", [f for f in features if f not in table]),
        ("has in addition", [c for c in table if c not in set(features)]),
    ):
        if names:
            shown = ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if names[3:] else "")
            raise DataError(
                f"File {file} {what} {len(names)} feature(s) compared with the first batch: {shown}; "
                "all batches of a study need the same features."
            )
    return table[list(features)]


def _numbers(table: pd.DataFrame, file: Path, impute: Impute | None) -> NDArray[np.float64]:
    """Feature values, all finite."""
    for column in table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]:
        numeric = pd.to_numeric(table[column], errors="coerce")
        wrong = numeric.isna() & table[column].notna()
        row = int(np.argmax(wrong))
        raise DataError(
            f"File {file}, line {row + 2}, column '{column}': {table[column].iloc[row]!r} is not a number."
        )
    x = table.to_numpy(np.float64)
    bad = ~np.isfinite(x)
    if not bad.any():
        return x
    row, column = np.argwhere(bad)[0]
    where = f"line {row + 2}, column '{table.columns[column]}'"
    if impute is None:
        raise DataError(
            f"File {file} has {bad.sum()} missing or infinite value(s), the first in {where}; "
            "repair the file or set dataset.impute=median (or mean, zero)."
        )
    x[bad] = np.nan
    empty = np.isnan(x).all(axis=0)
    if empty.any() and impute != "zero":
        raise DataError(
            f"File {file}, column '{table.columns[int(np.argmax(empty))]}' has no finite value, so it "
            f"has no {impute}; remove it from all batches or set dataset.impute=zero."
        )
    fill: dict[str, Any] = {"mean": np.nanmean, "median": np.nanmedian}
    values = fill[impute](x, axis=0) if impute in fill else np.zeros(x.shape[1])
    return np.where(np.isnan(x), values, x)
