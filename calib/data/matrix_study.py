"""Studies whose values and sample descriptions are apart: a matrix, and a table with a row for each sample.

Expression matrices are mostly published like this, with samples in the columns, in text files or in objects
that R saved. ``table_study`` reads tables that have both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.column_checks import warn_of_columns
from calib.data.composition import Composition, check_composition
from calib.data.exclusions import Exclusions
from calib.data.h5ad import as_batches
from calib.data.matrix_files import FileSetting, MatrixColumns, pairs_of_files, read_matrix
from calib.data.missing_features import MISSING_FEATURES, MissingFeatures, with_shared_features
from calib.data.preparations import Counts, Prepare, most_variable_features, prepared_sheet
from calib.data.references import set_apart, with_references
from calib.data.settings import (
    Word,
    as_mapping,
    as_optional_word,
    as_sources,
    as_text,
    as_words,
    chosen,
)
from calib.data.sheet import Sheet, as_study, joined, labelled
from calib.data.sheet_names import UNLABELLED, in_natural_order, label_settings, warn_of_names
from calib.data.study import Study, in_unit, with_cautions
from calib.data.subjects import REMEDY, SUBJECT_LABELS, SubjectLabels, with_subject_labels
from calib.data.table_files import IMPUTE, Impute
from calib.data.table_study import complete
from calib.errors import CalibError, check_choice

SAMPLES = ("columns", "rows")


@with_cautions
def load_matrix_study(
    name: Word,
    values: FileSetting | Sequence[FileSetting],
    table: FileSetting | Sequence[FileSetting],
    batch: Word | None,
    label: Word | None,
    url: str | None = None,
    samples: Literal["columns", "rows"] = "columns",
    sample: Word | None = None,
    subject: Word | None = None,
    batches: Mapping[Word, Word] | None = None,
    classes: Mapping[Word, Word] | None = None,
    positive: Word | None = None,
    unlabelled: Word | Sequence[Word] = UNLABELLED,
    expected: Composition | None = None,
    exclude: Mapping[Word, Word | Sequence[Word]] | None = None,
    reference: Mapping[Word, Word | Sequence[Word]] | None = None,
    prepare: Prepare = "none",
    total: float = 10000,
    genes: int | None = None,
    flavor: str = "cell_ranger",
    most_variable: int | None = None,
    impute: Impute | None = None,
    missing_features: MissingFeatures = "leave_out",
    subject_labels: SubjectLabels = "refuse",
    n_sources: int = 2,
    unit: float | None = None,
    order: Word | None = None,
) -> Study:
    """Return a study read from matrices of values and tables of their samples.

    Samples are matched by name where both files name them, and by their order in R objects that do not.

    Args:
        name: name of the study.
        values: file of the matrix: a path, or a mapping with ``path``, ``sha256`` and ``object``,
            the place of the matrix in a file that R saved (``r_data``). A list: several, joined by their
            common features.
        table: file with a row for each sample, or a list with one for each matrix. In an R file it may be
            any list with vectors of the right length; without ``object``, all objects of the file.
        url: folder of the web from which missing files are downloaded.
        batch, label, subject: columns of the table. ``batch=null``: every matrix is a batch, named after its
            file up to the first point.
        samples: whether the samples are the matrix's columns or rows.
        sample: column of the table with the names that samples have in the matrix; None: its row names, or
            else its first column.
        batches: batch name -> value in the batch column; other batches are left out. None: every value.
        classes, positive, unlabelled: see ``sheet_names.label_settings``.
        expected: class -> number of its samples in each batch, which is checked. None: nothing is checked.
        exclude: column -> values whose samples are left out before anything else.
        reference: column -> values that mark reference samples; see ``references``.
        prepare, total, genes, flavor: see ``preparations.prepared_sheet``.
        most_variable: number of features that are kept (``preparations.most_variable_features``); None: all.
        impute, missing_features: as in ``table_study.load_table_study``, after the preparation.
        subject_labels, n_sources, unit, order: as in ``table_study.load_table_study``.

    Raises:
        CalibError: a setting is of the wrong kind, or a package that reads the file is not installed.
        DataError: a file is missing, damaged or not the expected one, or lacks what a setting names.
    """
    check_choice("dataset.samples", samples, SAMPLES)
    check_choice("dataset.impute", impute, IMPUTE)
    check_choice("dataset.missing_features", missing_features, MISSING_FEATURES)
    check_choice("dataset.subject_labels", subject_labels, SUBJECT_LABELS)
    columns = MatrixColumns(
        batch=as_optional_word("dataset.batch", batch),
        label=as_optional_word("dataset.label", label),
        subject=as_optional_word("dataset.subject", subject),
        sample=as_optional_word("dataset.sample", sample),
        out=Exclusions.of(exclude),
        reference=Exclusions.of(reference, key="dataset.reference"),
        order=as_optional_word("dataset.order", order),
    )
    counts, named = Counts(total, genes, flavor), as_batches(batches)
    study_name, sources = as_text("dataset.name", name), as_sources(n_sources)
    labels = (
        as_mapping("dataset.classes", classes),
        as_optional_word("dataset.positive", positive),
        as_words("dataset.unlabelled", unlabelled),
    )
    files = pairs_of_files(values, table, url)
    sheets = [read_matrix(matrix, rows, columns, samples == "columns") for matrix, rows in files]
    columns.check_met([matrix.file for matrix, _ in files])
    warn_of_names(sheets)
    sheet = _of_batches(joined(sheets), named)
    if impute is not None and sparse.issparse(sheet.values):
        sheet = replace(sheet, values=sheet.values.toarray())
    sheet, references = set_apart(prepared_sheet(sheet, prepare, counts, study_name))
    y, names = labelled(sheet, *label_settings(sheet, *labels))
    if expected is not None:
        _check_classes(names, expected)
        check_composition(sheet, y, expected, "dataset.expected")
    if not sparse.issparse(sheet.values):
        sheet, references = with_shared_features(sheet.with_missing(), references, impute, missing_features)
        sheet = complete(sheet, impute)
        references = None if references is None else complete(references, impute)
    if most_variable is not None:
        chosen_ones = most_variable_features(sheet, most_variable)
        sheet = sheet.of_features(chosen_ones)
        references = None if references is None else references.of_features(chosen_ones)
    study = in_unit(as_study(study_name, sheet, y, names, sources), unit)
    study = with_subject_labels(study, subject_labels, REMEDY)
    if expected is None:  # features of a published study are measurements, however well one of them tells
        warn_of_columns(study)
    return study if references is None else with_references(study, references)


def _of_batches(sheet: Sheet, named: Mapping[str, Word] | None) -> Sheet:
    """Return the samples batch after batch: the named batches in their order, or all in natural order."""
    present = [str(name) for name in pd.unique(sheet.batch)]
    if named is None:
        return in_natural_order(sheet.of_rows(_grouped(sheet.batch, present)))
    found = [
        chosen(f"dataset.batches.{name}", word, present, f"File {sheet.file}", "batch")
        for name, word in named.items()
    ]
    sheet = sheet.of_rows(_grouped(sheet.batch, found))
    new = dict(zip(found, named, strict=True))
    return replace(sheet, batch=np.array([new[str(name)] for name in sheet.batch], object))


def _grouped(batch: NDArray[Any], order: Sequence[str]) -> NDArray[np.intp]:
    """Return the positions of the samples of these batches, one batch after another."""
    number = pd.Index(order).get_indexer(pd.Index(batch.astype(str)))
    places = np.flatnonzero(number >= 0)
    return places[np.argsort(number[places], kind="stable")]


def _check_classes(names: Sequence[str], expected: Composition) -> None:
    """Raise CalibError unless the composition has the classes in their order."""
    if list(names) != [str(name) for name in expected]:
        raise CalibError(
            f"dataset.expected names the classes {', '.join(map(str, expected))}; name those of the study in "
            f"their order: {', '.join(names)}."
        )
