"""Studies with one CSV file for each batch, such as the paper's MI and CHD: a label column and features.

``table_study`` reads the tables of users, which name the batch of each row in a column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.downloads import locate
from calib.data.replicates import find_replicates, infer_subjects
from calib.data.study import Batch, Study, in_unit
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
    unit: float | None = None,
) -> Study:
    """Return a study read from one CSV file for each batch.

    Args:
        name: name of the study.
        files: batch name -> ``path`` (relative to the data folders, or absolute) and ``sha256``.
        label: name of the label column.
        classes: value in the label column -> class name, in the order of the class index; with two
            classes the second is the positive one.
        ignore: columns that are neither label nor feature.
        url: folder from which missing files are downloaded.
        replicates: usual number of adjacent rows of a subject, to infer subjects; None: unknown.
        impute: value that replaces missing and infinite values, feature by feature within the batch; None
            refuses them.
        n_sources: number of source batches in ``split=all``.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves.

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
        local = locate(path, source, file.get("sha256"))
        table = read_frame(local)
        y = _labels(table, label, [str(value) for value in classes], local)
        table = table.drop(columns=[label, *(column for column in ignore if column in table)])
        features = features or list(table.columns)
        x = numbers(_aligned(table, features, local), local)
        x = filled(x, features, f"File {local}", [f"line {i + 2}" for i in range(len(x))], impute)
        subject = infer_subjects(y, replicates) if replicates else None
        replicate = find_replicates(x, replicates) if replicates else None
        batches[batch] = Batch(batch, x, y, subject, replicate=replicate)
    if len(batches) < 2:
        raise DataError(f"Study '{name}' has {len(batches)} batch; it needs at least two.")
    return in_unit(Study(name, batches, features, list(classes.values()), n_sources), unit)


def _labels(table: pd.DataFrame, label: str, values: Sequence[str], file: Path) -> NDArray[np.int64]:
    """Return the class index of each row of a table, or raise DataError."""
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
    """Return the columns in the order of the study's first batch, or raise DataError if they differ."""
    for problem, names in (
        ("lacks", [f for f in features if f not in table]),
        ("has in addition", [c for c in table if c not in set(features)]),
    ):
        if names:
            shown = ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if names[3:] else "")
            raise DataError(
                f"File {file} {problem} {len(names)} feature(s) compared with the first batch: {shown}; "
                "all batches of a study need the same features."
            )
    return table[list(features)]
