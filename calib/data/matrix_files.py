"""Reading a matrix of values and the table of its samples, from text files or from files that R saved."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.cells import numbers
from calib.data.downloads import address_in, locate
from calib.data.exclusions import Exclusions
from calib.data.names import check_signs
from calib.data.r_data import MALFORMED, SUFFIXES, as_matrix, as_table, at_place, read_r
from calib.data.settings import Word, as_optional_word, as_word, chosen, spelled
from calib.data.sheet import Sheet, text
from calib.data.table_files import read_frame
from calib.errors import CalibError, DataError, nearest

log = logging.getLogger(__name__)

FILE_KEYS = ("path", "sha256", "object")
"""What a setting says of a file: where it is, its checksum, and a place in an R file."""

FileSetting = Word | Mapping[str, Word | None]


@dataclass(frozen=True)
class MatrixColumns:
    """The columns of the table that settings name, and the samples that are set apart by others."""

    batch: Word | None
    label: Word | None
    subject: Word | None
    sample: Word | None
    out: Exclusions
    reference: Exclusions
    order: Word | None = None

    @property
    def named(self) -> list[Word]:
        """Return the columns that are read as text."""
        words = [self.batch, self.label, self.subject, self.sample]
        return [w for w in words if w is not None] + self.out.columns + self.reference.columns

    def check_met(self, files: Sequence[Path]) -> None:
        """Raise DataError if a value that sets samples apart was in no table."""
        self.out.check_met(files)
        self.reference.check_met(files)


@dataclass(frozen=True)
class DataFile:
    """A file on this machine, and the place of an object in it."""

    file: Path
    place: str | None

    @property
    def is_r(self) -> bool:
        """Return whether R saved it."""
        return self.file.suffix.lower() in SUFFIXES


def pairs_of_files(values: Any, table: Any, url: str | None) -> list[tuple[DataFile, DataFile]]:
    """Return each matrix with its table, after a download where a file is missing."""
    lists = [
        list(setting) if isinstance(setting, Sequence) and not isinstance(setting, str) else [setting]
        for setting in (values, table)
    ]
    if len(lists[0]) != len(lists[1]) or not lists[0]:
        raise CalibError(
            f"dataset.values names {len(lists[0])} file(s) and dataset.table {len(lists[1])}; give "
            "each matrix the table of its samples."
        )
    matrices, tables = (
        [_located(f"dataset.{key}", one, url) for one in each]
        for key, each in zip(("values", "table"), lists, strict=True)
    )
    return list(zip(matrices, tables, strict=True))


def _located(key: str, setting: Any, folder: str | None) -> DataFile:
    """Return the file that a setting names."""
    if not isinstance(setting, Mapping):
        return DataFile(locate(spelled(as_word(key, setting))), None)
    if unknown := [part for part in setting if part not in FILE_KEYS]:
        raise CalibError(f"{key} has no '{unknown[0]}'{nearest(str(unknown[0]), FILE_KEYS)}")
    path, sha256, place = (as_optional_word(f"{key}.{part}", setting.get(part)) for part in FILE_KEYS)
    if path is None:
        raise CalibError(f"{key}.path is missing; name the file.")
    url = None if folder is None else address_in(folder, Path(spelled(path)).name)
    file = locate(spelled(path), url, None if sha256 is None else spelled(sha256))
    return DataFile(file, None if place is None else spelled(place))


def read_matrix(matrix: DataFile, table: DataFile, columns: MatrixColumns, transposed: bool) -> Sheet:
    """Return the samples of one matrix in its order, without those that are left out."""
    file = matrix.file
    x, features, names = _matrix(matrix, transposed)
    rows, names = _rows(table, names, x.shape[0], columns, file)
    if features is None:
        features = [f"feature {number + 1}" for number in range(x.shape[1])]
    for what, found in (("feature", features), ("sample", names)):
        check_signs(list(found), lambda place, what=what: f"File {file}, {what} {place + 1}")  # type: ignore[misc]
        if (again := pd.Index(found).duplicated()).any():
            raise DataError(
                f"File {file} has {what} '{list(found)[int(np.argmax(again))]}' twice; rename one of them."
            )

    def cells(key: str, word: Word | None) -> pd.Series | None:
        """Return a column of the table as text, or None without one."""
        if word is None:
            return None
        present = list(rows.columns)
        return text(rows[chosen(f"dataset.{key}", word, present, f"File {table.file}", "column")])

    owner = cells("batch", columns.batch)
    owner = pd.Series(file.name.split(".")[0], index=rows.index) if owner is None else owner
    label, subject = cells("label", columns.label), cells("subject", columns.subject)
    kept = columns.out.kept(rows, table.file)
    for key, column in (("batch", owner), ("subject", subject)):
        if column is not None and (lacking := column.isna().to_numpy(bool) & kept).any():
            raise DataError(
                f"File {table.file}: sample '{names[int(np.argmax(lacking))]}' has no {key}; fill the "
                "column, or leave the sample out with dataset.exclude."
            )
    marks = columns.reference.found(rows, table.file) if columns.reference.columns else None
    log.info("%s: %d samples, %d features from '%s' to '%s'", file, *x.shape, features[0], features[-1])
    sheet = Sheet(
        str(file),
        x,
        np.array(names, str),
        list(features),
        owner.to_numpy(object),
        (pd.Series(None, range(len(rows)), dtype=object) if label is None else label).reset_index(drop=True),
        None if subject is None else subject.to_numpy(str),
        marks,
        None if columns.order is None else _order(columns.order, rows, table.file),
    )
    return sheet.of_rows(kept)


def _order(word: Word, rows: pd.DataFrame, file: Path) -> NDArray[np.float64]:
    """Return the samples' places in the order of measurement ``(samples,)``."""
    column = chosen("dataset.order", word, list(rows.columns), f"File {file}", "column")
    return numbers(rows[[column]], file)[:, 0]


def _matrix(matrix: DataFile, transposed: bool) -> tuple[Any, list[str] | None, list[str] | None]:
    """Return the values ``(samples, features)`` of a file, the features' names and the samples' names."""
    if matrix.is_r:
        if matrix.place is None:
            raise CalibError(
                f"dataset.values.object must name the matrix in the R file {matrix.file.name}, as R does: "
                "x, x$matrix, x@data."
            )
        node = at_place(read_r(matrix.file), matrix.place, matrix.file)
        try:
            x, rows, columns = as_matrix(node)
        except MALFORMED as error:
            raise DataError(f"File {matrix.file}: '{matrix.place}' is no matrix of numbers.") from error
    else:
        frame = _named_frame(matrix.file, [])
        rows = [str(cell) for cell in text(frame.iloc[:, 0])]
        columns = [str(column) for column in frame.columns[1:]]
        x = numbers(frame.iloc[:, 1:], matrix.file)
    if transposed:
        x, rows, columns = x.T, columns, rows
    return sparse.csr_matrix(x) if sparse.issparse(x) else np.ascontiguousarray(x), columns, rows


def _rows(
    table: DataFile, names: list[str] | None, count: int, columns: MatrixColumns, file: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Return the table's rows in the order of the matrix's samples, and the samples' names."""
    if table.is_r:
        root = read_r(table.file)
        node = root if table.place is None else at_place(root, table.place, table.file)
        try:
            frame = as_table(node, count)
        except MALFORMED as error:
            raise DataError(f"File {table.file}: '{table.place}' is no table of {count} samples.") from error
        own = None if isinstance(frame.index, pd.RangeIndex) else [str(name) for name in frame.index]
    else:
        frame = _named_frame(table.file, columns.named)
        own = [str(cell) for cell in text(frame.iloc[:, 0])]
    frame = frame.reset_index(drop=True)
    if columns.sample is not None:
        where = f"File {table.file}"
        own = list(
            map(
                str,
                text(frame[chosen("dataset.sample", columns.sample, list(frame.columns), where, "column")]),
            )
        )
    if own is None or names is None:
        if len(frame) != count:
            raise DataError(f"File {table.file} describes {len(frame)} samples, and {file} has {count}.")
        return frame, names or own or [f"sample {number + 1}" for number in range(count)]
    if (again := pd.Index(own).duplicated()).any():
        raise DataError(
            f"File {table.file} describes sample '{own[int(np.argmax(again))]}' twice; remove one of them."
        )
    place = pd.Index(own).get_indexer(pd.Index(names))
    if (place < 0).any():
        lost = names[int(np.argmax(place < 0))]
        raise DataError(
            f"File {table.file} does not describe sample '{lost}' of {file}{nearest(lost, own)} "
            "Name the column with the samples' names with dataset.sample, or set dataset.samples if they are "
            "the matrix's rows."
        )
    if len(own) > len(names):
        log.info("%s: %d samples are not in %s", table.file, len(own) - len(names), file)
    return frame.iloc[place].reset_index(drop=True), names


def _named_frame(file: Path, named: Sequence[Word]) -> pd.DataFrame:
    """Return the table in a file whose first column has names, which stay as the file spells them."""
    frame = read_frame(file, named, row_names=True)
    first = str(frame.columns[0])
    if pd.api.types.is_numeric_dtype(frame[first]):  # 01 and 1 are two names
        frame = read_frame(file, [*named, first], row_names=True)
    return frame
