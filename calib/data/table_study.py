"""Studies in users' tables (CSV, TSV, Parquet), whose columns name the batch and label of each row.

``csv_per_batch`` reads the fixed format of one file for each batch, ``h5ad`` reads h5ad files.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from calib.data.downloads import locate
from calib.data.references import marked, set_apart, with_references
from calib.data.sheet import Sheet, as_study, joined, labelled, text
from calib.data.study import Study, in_unit
from calib.data.table_files import IMPUTE, Impute, filled, matching, numbers, read_frame
from calib.errors import DataError, check_choice, nearest

log = logging.getLogger(__name__)


def load_table_study(
    name: str,
    path: str | Sequence[str],
    batch: str | None,
    label: str | None,
    classes: dict[str, str] | None = None,
    positive: str | None = None,
    unlabelled: Sequence[str] = (),
    subject: str | None = None,
    sample: str | None = None,
    features: str | Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    impute: Impute | None = None,
    sha256: str | None = None,
    n_sources: int = 2,
    unit: float | None = None,
    reference: str | None = None,
) -> Study:
    """Return a study read from one or more tables with a row for each sample.

    Args:
        name: name of the study.
        path: one file, or several whose common features are used; absolute or relative to the data folders.
        batch: column with the batch; None: every file is a batch, named after the file.
        label: column with the label; None: no label is known.
        classes, positive, unlabelled: see ``sheet.labelled``.
        subject, sample: columns with the names of subject and sample; None: unknown.
        features: patterns of the feature columns, such as ``mz_*``; None: all columns that are not named.
        ignore: columns that are not features.
        impute: value that replaces missing and infinite values; see ``table_files.filled``.
        sha256: checksum of a single file; None accepts any.
        n_sources: number of source batches in ``split=all``.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves.
        reference: column that marks reference samples, which need no label; None: there are none.

    Raises:
        DataError: a file is missing or damaged, or lacks a named column.
    """
    check_choice("dataset.impute", impute, IMPUTE)
    paths = [path] if isinstance(path, str) else list(path)
    files = [locate(each, sha256=sha256) for each in paths]
    named = (batch, label, subject, sample, features, ignore)
    sheet, references = set_apart(
        joined([as_sheet(read_frame(file), file, *named, reference=reference) for file in files])
    )
    y, names = labelled(sheet, classes, positive, unlabelled)
    study = in_unit(as_study(name, complete(sheet, impute), y, names, n_sources), unit)
    return study if references is None else with_references(study, complete(references, impute))


def as_sheet(
    table: pd.DataFrame,
    file: Path,
    batch: str | None,
    label: str | None,
    subject: str | None = None,
    sample: str | None = None,
    features: str | Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    reference: str | None = None,
) -> Sheet:
    """Return the samples of one file's table, batch after batch, with missing values as NaN.

    ``wanted`` names the features one by one, in place of ``features`` and ``ignore``. The other arguments are
    those of ``load_table_study``.
    """
    table = table.set_axis(table.columns.map(str), axis=1)
    described = [column for column in (batch, label, subject, sample, reference) if column]
    for column in described:
        if column not in table:
            raise DataError(
                f"File {file} has no column '{column}'{nearest(column, table.columns)} "
                f"The first ones are: {', '.join(table.columns[:4])}."
            )
    owner = text(table[batch]) if batch else pd.Series(file.stem, index=table.index)
    for name in [column for column in (batch, subject) if column]:
        if (empty := table[name].isna()).any():
            line = int(np.argmax(empty)) + 2
            raise DataError(f"File {file}, line {line}: column '{name}' is empty; fill it.")
    order = np.argsort(pd.factorize(owner)[0], kind="stable")
    table, owner = table.iloc[order], owner.iloc[order]
    x = table.drop(columns=[c for c in {*described, *ignore} if c in table])
    if wanted is not None:
        x = table[[column for column in wanted if column in table]]
    elif features is not None:
        x = x.iloc[:, matching(list(x.columns), features, str(file))]
    if x.shape[1] == 0:
        raise DataError(f"File {file} has no feature column besides {', '.join(described)}.")
    if texts := [c for c in x.columns if _all_text(x[c])]:
        raise DataError(
            f"File {file}: column '{texts[0]}' holds text ({x[texts[0]].dropna().iloc[0]!r}), so it is no "
            f"feature; leave it out with dataset.ignore=[{','.join(texts)}], or name the features by a "
            "pattern as in dataset.features='mz_*'."
        )
    log.info("%s: %d samples, %d features from '%s' to '%s'", file, *x.shape, x.columns[0], x.columns[-1])
    sheet = Sheet(
        str(file),
        numbers(x.sort_index(), file)[order],
        text(table[sample]).to_numpy(str) if sample else np.array([f"line {row + 2}" for row in order]),
        list(x.columns),
        owner.to_numpy(object),
        text(table[label]).reset_index(drop=True) if label else pd.Series(None, range(len(x)), dtype=object),
        text(table[subject]).to_numpy(str) if subject else None,
        marked(text(table[reference]), f"File {file}, column '{reference}'") if reference else None,
    )
    return sheet if wanted is None else sheet.aligned(wanted)


def complete(sheet: Sheet, impute: Impute | None) -> Sheet:
    """Return the sheet with missing values filled, batch by batch; see ``table_files.filled``."""
    values = sheet.values.copy()
    for batch in pd.unique(sheet.batch):
        rows = sheet.batch == batch
        where = f"File {sheet.file}: batch '{batch}'"
        values[rows] = filled(values[rows], sheet.features, where, list(sheet.names[rows]), impute)
    return replace(sheet, values=values)


def _all_text(column: pd.Series) -> bool:
    """Return whether a column has values and none of them is a number."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    return bool(pd.to_numeric(column.dropna(), errors="coerce").isna().all() and column.notna().any())
