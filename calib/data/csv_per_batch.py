"""Studies kept as one CSV file a batch: a label column and one column a feature."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.downloads import locate
from calib.data.replicates import find_replicates, infer_subjects
from calib.data.study import Batch, Study
from calib.data.table_files import IMPUTE, Impute, filled, numbers, read_frame, whole_numbers
from calib.errors import DataError, check_choice


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
    check_choice("dataset.impute", impute, IMPUTE)
    batches: dict[str, Batch] = {}
    features: list[str] = []
    for batch, file in files.items():
        path = str(file["path"])
        source = f"{url.rstrip('/')}/{Path(path).name}" if url else None
        table = read_frame(found := locate(path, source, file.get("sha256")))
        y = _labels(table, label, [str(value) for value in classes], found)
        table = table.drop(columns=[label, *(column for column in ignore if column in table)])
        features = features or list(table.columns)
        x = numbers(_aligned(table, features, found), found)
        x = filled(x, features, f"File {found}", [f"line {i + 2}" for i in range(len(x))], impute)
        subject = infer_subjects(y, replicates) if replicates else None
        replicate = find_replicates(x, replicates) if replicates else None
        batches[batch] = Batch(batch, x, y, subject, replicate=replicate)
    if len(batches) < 2:
        raise DataError(f"Study '{name}' has {len(batches)} batch; it needs at least two.")
    return Study(name, batches, features, list(classes.values()), n_sources)


def _labels(table: pd.DataFrame, label: str, values: Sequence[str], file: Path) -> NDArray[np.int64]:
    if label not in table:
        raise DataError(
            f"File {file} has no label column '{label}'; name it with dataset.label "
            f"(the first columns are: {', '.join(map(str, table.columns[:4]))})."
        )
    column = whole_numbers(table[label])
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
