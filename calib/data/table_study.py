"""Studies in users' tables (CSV, TSV, Parquet), whose columns name the batch and label of each row.

``csv_per_batch`` reads the fixed format of one file for each batch, ``h5ad`` reads h5ad files.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from calib.data.cells import numbers
from calib.data.column_checks import warn_of_columns
from calib.data.downloads import locate
from calib.data.exclusions import Exclusions
from calib.data.missing_features import MISSING_FEATURES, MissingFeatures, with_shared_features
from calib.data.names import check_signs, is_missing_word
from calib.data.references import marked, set_apart, with_references
from calib.data.settings import Word, as_mapping, as_optional_word, as_paths, as_sources, as_text, as_words
from calib.data.sheet import Sheet, as_study, joined, labelled, text
from calib.data.sheet_names import UNLABELLED, in_natural_order, label_settings, warn_of_names
from calib.data.study import Study, in_unit, with_cautions
from calib.data.subjects import REMEDY, SUBJECT_LABELS, SubjectLabels, with_subject_labels
from calib.data.table_columns import Columns, check_ignored
from calib.data.table_files import IMPUTE, Impute, filled, read_frame
from calib.data.totals import check_no_totals
from calib.errors import DataError, check_choice

log = logging.getLogger(__name__)


@with_cautions
def load_table_study(
    name: Word,
    path: Word | Sequence[Word],
    batch: Word | None,
    label: Word | None,
    classes: Mapping[Word, Word] | None = None,
    positive: Word | None = None,
    unlabelled: Word | Sequence[Word] = UNLABELLED,
    subject: Word | None = None,
    sample: Word | None = None,
    features: Word | Sequence[Word] | None = None,
    ignore: Word | Sequence[Word] = (),
    impute: Impute | None = None,
    sha256: str | None = None,
    n_sources: int = 2,
    reference: Word | None = None,
    missing_features: MissingFeatures = "leave_out",
    subject_labels: SubjectLabels = "refuse",
    exclude: Mapping[Word, Word | Sequence[Word]] | None = None,
    unit: float | None = None,
    order: Word | None = None,
) -> Study:
    """Return a study read from one or more tables with a row for each sample.

    The batches are in natural order of their names (1, 2, 10).

    Args:
        name: name of the study.
        path: one file, or several whose common features are used; absolute, or relative to the current folder
            or the data folders.
        batch: column with the batch; None: every file is a batch, named after the file.
        label: column with the label; None: no label is known.
        classes, positive, unlabelled: see ``sheet_names.label_settings``.
        subject, sample: columns with the names of subject and sample; None: unknown.
        features: names or patterns of the feature columns, such as ``mz_*``; None: all columns that are not
            named.
        ignore: names or patterns of columns that are not features.
        impute: value that replaces missing and infinite values; see ``table_files.filled``.
        sha256: checksum of a single file; None accepts any.
        n_sources: number of source batches in ``split=all``.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves.
        reference: column that marks reference samples, which need no label; None: there are none.
        missing_features: what becomes of a feature that a whole batch lacks, where ``impute`` is mean or
            median; see ``missing_features.with_shared_features``.
        subject_labels: what becomes of a subject with two labels; see ``subjects.with_subject_labels``.
        exclude: column -> its value or values whose rows are left out before anything else; None: none.
        order: column with each sample's place in the order of measurement, a number; None: unknown.

    Raises:
        CalibError: a setting is of the wrong kind.
        DataError: a file is missing or damaged, or lacks what a setting names.
    """
    check_choice("dataset.impute", impute, IMPUTE)
    check_choice("dataset.missing_features", missing_features, MISSING_FEATURES)
    check_choice("dataset.subject_labels", subject_labels, SUBJECT_LABELS)
    names = {"batch": batch, "label": label, "subject": subject, "sample": sample, "reference": reference}
    roles = names | {"order": order}
    out = Exclusions.of(exclude)
    columns = Columns(
        **{role: as_optional_word(f"dataset.{role}", word) for role, word in roles.items()},
        features=None if features is None else as_words("dataset.features", features),
        ignore=as_words("dataset.ignore", ignore),
        exclude=out.columns,
    )
    labels = (
        as_mapping("dataset.classes", classes),
        as_optional_word("dataset.positive", positive),
        as_words("dataset.unlabelled", unlabelled),
    )
    study_name, sources = as_text("dataset.name", name), as_sources(n_sources)
    files = [locate(each, sha256=sha256) for each in as_paths("dataset.path", path)]
    sheet, references = set_apart(_read(files, columns, out))
    y, classes_found = labelled(sheet, *label_settings(sheet, *labels))
    sheet, references = with_shared_features(sheet.with_missing(), references, impute, missing_features)
    study = in_unit(as_study(study_name, complete(sheet, impute), y, classes_found, sources), unit)
    study = with_subject_labels(study, subject_labels, REMEDY)
    warn_of_columns(study)
    return study if references is None else with_references(study, complete(references, impute))


def _read(files: Sequence[Path], columns: Columns, out: Exclusions) -> Sheet:
    """Return the samples of all files as one sheet, without the rows that are to be left out."""
    sheets, present = [], []
    for file in files:
        table = read_frame(file, columns.named)
        present.append(list(table.columns))
        kept = table[out.kept(table, file)]
        if file == files[-1]:
            out.check_met(files)
        sheets.append(as_sheet(kept, file, columns))
    check_ignored(columns.ignore, present, ", ".join(map(str, files)))
    warn_of_names(sheets)
    return in_natural_order(joined(sheets))


def as_sheet(table: pd.DataFrame, file: Path, columns: Columns, wanted: Sequence[str] | None = None) -> Sheet:
    """Return the samples of one file's table, batch after batch, with missing values as NaN.

    Args:
        table: the table as ``read_frame`` returns it, or some of its rows.
        file: the file, for messages.
        columns: what the settings say of its columns.
        wanted: names of the features one by one, in place of ``columns.features`` and ``columns.ignore``.

    Raises:
        DataError: the table lacks a column, a cell that must be filled is empty, or a name has a sign
            that cannot be kept.
    """
    role = columns.roles(table, file)
    owner = text(table[role["batch"]]) if role["batch"] else pd.Series(file.stem, index=table.index)
    for name in ("batch", "subject"):
        _check_filled(table, role[name], file)
    check_signs([file.stem], lambda _: f"File {file}")
    for name in ("batch", "label", "subject", "sample"):
        if (column := role[name]) is not None:
            check_signs(table[column], partial(_place, file, table.index, column))
    x = columns.features_of(table, file, wanted)
    values = numbers(x, file)
    check_no_totals(values, table.index, file)
    log.info("%s: %d samples, %d features from '%s' to '%s'", file, *x.shape, x.columns[0], x.columns[-1])
    order = np.argsort(pd.factorize(owner)[0], kind="stable")
    lines = pd.Series([f"line {row + 2}" for row in table.index], dtype=object)

    def cells(name: str) -> pd.Series | None:
        """Return the column with this role as text, in the order of the sheet, or None without one."""
        column = role[name]
        return None if column is None else text(table[column]).iloc[order].reset_index(drop=True)

    label, subject, sample, marks = (cells(name) for name in ("label", "subject", "sample", "reference"))
    lines = lines.iloc[order].reset_index(drop=True)
    sheet = Sheet(
        str(file),
        values[order],
        (lines if sample is None else sample.where(sample.notna(), lines)).to_numpy(str),
        list(x.columns),
        owner.iloc[order].to_numpy(object),
        pd.Series(None, range(len(x)), dtype=object) if label is None else label,
        None if subject is None else subject.to_numpy(str),
        None
        if marks is None
        else marked(_without_missing_words(marks), f"File {file}, column '{role['reference']}'"),
        None if role["order"] is None else numbers(table[[role["order"]]], file)[order, 0],
    )
    return sheet if wanted is None else sheet.aligned(wanted)


def _place(file: Path, rows: pd.Index, column: str, position: int) -> str:
    """Return where the cell at a position of a column is, for messages."""
    return f"File {file}, line {rows[position] + 2}, column '{column}'"


def _check_filled(table: pd.DataFrame, column: str | None, file: Path) -> None:
    """Raise DataError if a cell of a column is empty or has a word that marks a missing value."""
    if column is None:
        return
    cells = text(table[column])
    empty = (cells.isna() | cells.map(is_missing_word, na_action="ignore").eq(True)).to_numpy(bool)
    if empty.any():
        row = int(np.argmax(empty))
        held = (
            "is empty; fill it, or delete the line if it is no sample, such as a sum or a remark"
            if pd.isna(cells.iloc[row]) or not cells.iloc[row].strip()
            else (
                f"has '{cells.iloc[row]}', which marks a missing value; fill it, or rename it if it is a name"
            )
        )
        raise DataError(f"File {file}, line {table.index[row] + 2}: column '{column}' {held}.")


def _without_missing_words(marks: pd.Series) -> pd.Series:
    """Return a column of marks in which words for a missing value are missing."""
    return marks.where(~marks.map(is_missing_word, na_action="ignore").eq(True), None)


def complete(sheet: Sheet, impute: Impute | None) -> Sheet:
    """Return the sheet with missing values filled, batch by batch; see ``table_files.filled``."""
    values = sheet.values.copy()
    for batch in pd.unique(sheet.batch):
        rows = sheet.batch == batch
        where = f"File {sheet.file}: batch '{batch}'"
        values[rows] = filled(values[rows], sheet.features, where, list(sheet.names[rows]), impute)
    return replace(sheet, values=values)
