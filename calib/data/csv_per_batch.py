"""Studies with one CSV file for each batch, such as the paper's MI and CHD: a label column and features.

``table_study`` reads the tables of users, which name the batch of each row in a column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.data.cells import numbers
from calib.data.column_checks import warn_of_columns
from calib.data.downloads import address_in, locate
from calib.data.missing_features import lacking, note_zeros, remaining
from calib.data.names import check_signs, natural
from calib.data.replicates import PUBLISHED, find_replicates, infer_subjects
from calib.data.settings import (
    Word,
    as_mapping,
    as_sources,
    as_text,
    as_word,
    as_words,
    found_name,
    spelled,
)
from calib.data.sheet import text
from calib.data.study import Batch, Study, in_unit, with_cautions
from calib.data.table_columns import check_ignored, nameless_columns, no_column
from calib.data.table_files import IMPUTE, Impute, filled, fitting, read_frame
from calib.errors import CalibError, DataError, check_choice, check_number


@with_cautions
def load_csv_study(
    name: Word,
    files: Mapping[Word, Mapping[str, str | None]],
    label: Word,
    classes: Mapping[Word, Word],
    ignore: Word | Sequence[Word] = (),
    url: str | None = None,
    replicates: int | None = None,
    impute: Impute | None = None,
    n_sources: int = 2,
    unit: float | None = None,
) -> Study:
    """Return a study read from one CSV file for each batch, the batches in natural order (1, 2, 10).

    Args:
        name: name of the study.
        files: batch name -> ``path`` and ``sha256``. Without ``url`` a relative path is looked up in the
            current folder first, then in the data folders; with it, in the data folders only.
        label: name of the label column.
        classes: value in the label column -> class name, in the order of the class index; with two
            classes the second is the positive one.
        ignore: columns that are neither label nor feature.
        url: address of the folder from which missing files are downloaded. It may hold a user and password,
            or a query with a key; records and messages leave these out.
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
    if replicates is not None:
        check_number("dataset.replicates", replicates, least=1, whole=True)
    names = as_mapping("dataset.classes", classes) or {}
    label, not_features = as_word("dataset.label", label), as_words("dataset.ignore", ignore)
    tables: dict[str, tuple[Path, NDArray[np.int64], NDArray[np.float64]]] = {}
    lines: dict[str, list[str]] = {}
    features: list[str] = []
    present = []
    for batch, file in sorted(_files(files).items(), key=lambda item: natural(item[0])):
        path = str(file["path"])
        source = address_in(url, Path(path).name) if url else None
        local = locate(path, source, file.get("sha256"))
        table = read_frame(local, [label])
        present.append(list(table.columns))
        y = _labels(table, label, list(names), local)
        table = _features(table, label, not_features, local)
        features = features or list(table.columns)
        lines[batch] = [f"line {row + 2}" for row in table.index]
        tables[batch] = local, y, numbers(_aligned(table, features, local), local)
    check_ignored(not_features, present, f"of study '{name}'")
    if len(tables) < 2:
        raise DataError(f"Study '{name}' has {len(tables)} batch; it needs at least two.")
    absent = lacking({batch: x for batch, (_, _, x) in tables.items()}) if impute else {}
    if impute == "zero":
        note_zeros(absent, f"Study '{name}'")
    elif absent:
        kept = remaining(absent, features, f"Study '{name}'")
        features = [feature for feature, keep in zip(features, kept, strict=True) if keep]
        tables = {batch: (local, y, x[:, kept]) for batch, (local, y, x) in tables.items()}
    batches = {}
    for batch, (local, y, values) in tables.items():
        x = filled(values, features, f"File {local}", lines[batch], impute)
        subject = infer_subjects(y, replicates) if replicates else None
        replicate = find_replicates(x, replicates) if replicates else None
        batches[batch] = Batch(batch, x, y, subject, replicate=replicate)
    implied = ("replicate",) if replicates == PUBLISHED else ()
    study_name, sources = as_text("dataset.name", name), as_sources(n_sources)
    study = Study(study_name, batches, features, list(names.values()), sources, implied=implied)
    warn_of_columns(study)
    return in_unit(study, unit)


def _files(files: object) -> dict[str, Mapping[str, str | None]]:
    """Return the file of each batch, the batches' names as text.

    Raises:
        CalibError: the setting has another form.
    """
    if isinstance(files, Mapping) and all(
        isinstance(file, Mapping) and "path" in file for file in files.values()
    ):
        return {as_text("dataset.files", batch): file for batch, file in files.items()}
    raise CalibError(f"dataset.files={files} must give each batch a path, as in {{'1': {{path: 1.csv}}}}.")


def _labels(table: pd.DataFrame, label: Word, values: Sequence[Word], file: Path) -> NDArray[np.int64]:
    """Return the class index of each row of a table, or raise DataError."""
    column = found_name(label, table.columns)
    if column is None:
        raise no_column(label, "dataset.label", [label], table, file)
    labels = text(table[column])
    check_signs(labels, lambda row: f"File {file}, line {table.index[row] + 2}, column '{column}'")
    known = list(labels.dropna().unique())
    classes = [found_name(value, known) or spelled(value) for value in values]
    index = pd.Index(classes).get_indexer(pd.Index(labels))
    if (index < 0).any():
        row = int(np.argmax(index < 0))
        raise DataError(
            f"File {file}, line {table.index[row] + 2}: label '{labels.iloc[row] or ''}' is none of the "
            f"classes {', '.join(classes)}; name them with dataset.classes."
        )
    return index.astype(np.int64)


def _features(table: pd.DataFrame, label: Word, ignore: Sequence[Word], file: Path) -> pd.DataFrame:
    """Return the columns of a table that are features."""
    columns = list(table.columns)
    left_out = {columns[place] for word in (label, *ignore) for place in fitting(columns, word)}
    table = table.drop(columns=[column for column in columns if column in left_out])
    return table.drop(columns=nameless_columns(list(table.columns), file))


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
