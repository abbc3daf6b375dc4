"""The columns of a table: which name batch, label, subject and sample, and which are features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from calib.data.cautions import counted, note
from calib.data.cells import check_numbers
from calib.data.names import is_nameless
from calib.data.settings import Word, found_name, spelled
from calib.data.table_files import fitting, matching
from calib.data.table_lines import ABOVE, is_header
from calib.errors import DataError, nearest

NAMES = ("batch", "label", "subject", "sample", "reference")
"""The settings that each name one column of names."""
ROLES = (*NAMES, "order")
"""The settings that each name one column that is no feature."""


@dataclass(frozen=True)
class Columns:
    """What the settings say of a table's columns; None where they name no column.

    ``exclude`` holds the columns of ``dataset.exclude``, which are no features.
    """

    batch: Word | None = None
    label: Word | None = None
    subject: Word | None = None
    sample: Word | None = None
    reference: Word | None = None
    features: Sequence[Word] | None = None
    ignore: Sequence[Word] = ()
    exclude: Sequence[Word] = ()
    order: Word | None = None

    @property
    def named(self) -> list[Word]:
        """Return the columns of names, which are read as text."""
        return [*(word for role in NAMES if (word := getattr(self, role)) is not None), *self.exclude]

    def roles(self, table: pd.DataFrame, file: Path) -> dict[str, str | None]:
        """Return the name of the column with each role, or None.

        Raises:
            DataError: the table lacks a named column, or the label's column has another role as well.
        """
        role: dict[str, str | None] = dict.fromkeys(ROLES)
        present = list(table.columns)
        for name in ROLES:
            if (word := getattr(self, name)) is None:
                continue
            role[name] = found_name(word, present)
            if role[name] is None:
                raise no_column(word, f"dataset.{name}", self.named, table, file)
        for name in ROLES:
            if name != "label" and role[name] is not None and role[name] == role["label"]:
                raise DataError(
                    f"File {file}: column '{role['label']}' is named by dataset.label and by dataset.{name}; "
                    "a label needs a column of its own."
                )
        return role

    def features_of(self, table: pd.DataFrame, file: Path, wanted: Sequence[str] | None) -> pd.DataFrame:
        """Return the columns of a table that are features.

        Args:
            table: the table.
            file: its file, for messages.
            wanted: names of the features one by one, in place of the settings.

        Raises:
            DataError: there is none, a pattern fits none, or a column holds text.
        """
        roles = [column for column in self.roles(table, file).values() if column]
        if wanted is not None:
            x = table[[column for column in wanted if column in table]]
        else:
            others = (*self.ignore, *self.exclude)
            left_out = {table.columns[i] for word in others for i in fitting(list(table.columns), word)}
            x = table.drop(columns=[c for c in table if c in left_out or c in roles])
            if self.features is not None:
                x = x.iloc[:, matching(list(x.columns), self.features, str(file))]
            asked = {spelled(word) for word in self.features or ()}
            x = x.drop(columns=nameless_columns([c for c in x.columns if c not in asked], file))
        if x.shape[1] == 0:
            raise DataError(f"File {file} has no feature column besides {', '.join(dict.fromkeys(roles))}.")
        check_numbers(x, file)
        return x


def no_column(word: Word, key: str, named: Sequence[Word], table: pd.DataFrame, file: Path) -> DataError:
    """Return the error for a column that a table lacks, with the most likely reason.

    Args:
        word: what the settings call the column.
        key: the setting.
        named: all columns that settings name.
        table: the table.
        file: its file.
    """
    present = list(map(str, table.columns))
    lacks = f"File {file} has no column '{spelled(word)}', which {key} names"
    if len(present) == 1:
        return DataError(
            f"{lacks}, but one column only, '{present[0][:60]}'; put commas, semicolons or tabs between the "
            "cells."
        )
    for place, row in enumerate(table.head(ABOVE).astype(str).to_numpy().tolist()):
        if is_header(row, named):
            return DataError(
                f"{lacks}, but line {table.index[place] + 2} looks like the header; delete the lines above "
                "it."
            )
    if found_name(word, table.iloc[:, 0].astype(str)) is not None:
        return DataError(
            f"{lacks}, but a row of this name, so its samples seem to be columns; turn the table, so that "
            "each sample is a row."
        )
    hint = nearest(spelled(word), present)
    return DataError(f"{lacks}{hint} The first ones are: {', '.join(present[:4])}.")


def nameless_columns(columns: Sequence[str], file: Path) -> list[str]:
    """Return the columns that have no name in the file, and note them."""
    nameless = [column for column in columns if is_nameless(column)]
    if nameless:
        note(
            "columns_without_name",
            f"File {file}: {counted(len(nameless), 'column')} without a name left out, such as the row "
            "numbers that DataFrame.to_csv() writes; give a column a name if it is a feature.",
        )
    return nameless


def check_ignored(ignore: Sequence[Word], present: Sequence[Sequence[str]], where: str) -> None:
    """Check that everything in ``dataset.ignore`` fits a column of at least one file.

    Args:
        ignore: the setting.
        present: names of the columns of each file.
        where: the files, for the message.

    Raises:
        DataError: a name or pattern fits no column of any file.
    """
    every = list(dict.fromkeys(column for columns in present for column in columns))
    for word in ignore:
        if not len(fitting(every, word)):
            raise DataError(
                f"File {where} has no column '{spelled(word)}', which dataset.ignore names"
                f"{nearest(spelled(word).replace('*', ''), every)}"
            )
