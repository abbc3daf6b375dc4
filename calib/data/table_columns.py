"""The columns of a table: which name batch, label, subject and sample, and which are features."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from calib.data.settings import Word, found_name, spelled
from calib.data.table_files import NAMELESS, fitting, matching
from calib.errors import DataError, nearest

log = logging.getLogger(__name__)

ROLES = ("batch", "label", "subject", "sample", "reference")
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

    @property
    def named(self) -> list[Word]:
        """Return the columns of names, which are read as text."""
        return [*(word for role in ROLES if (word := getattr(self, role)) is not None), *self.exclude]

    def roles(self, present: Sequence[str], file: Path) -> dict[str, str | None]:
        """Return the name of the column with each role, or None.

        Raises:
            DataError: the table lacks a named column, or the label's column has another role as well.
        """
        role: dict[str, str | None] = dict.fromkeys(ROLES)
        for name in ROLES:
            if (word := getattr(self, name)) is None:
                continue
            role[name] = found_name(word, present)
            if role[name] is None:
                shown = f"The first ones are: {', '.join(present[:4])}."
                if len(present) == 1:
                    shown = (
                        f"Its only column is '{present[0]}'; cells have to be separated by commas, "
                        "semicolons or tabs."
                    )
                raise DataError(
                    f"File {file} has no column '{spelled(word)}'{nearest(spelled(word), present)} {shown}"
                )
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
        roles = [column for column in self.roles(list(table.columns), file).values() if column]
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
        if texts := [c for c in x.columns if _all_text(x[c])]:
            raise _text_found(texts, str(x[texts[0]].dropna().iloc[0]), file)
        return x


def nameless_columns(columns: Sequence[str], file: Path) -> list[str]:
    """Return the columns that have no name in the file, and warn of them."""
    nameless = [column for column in columns if NAMELESS.fullmatch(column)]
    if nameless:
        log.warning(
            "File %s: %d column(s) without a name are left out, such as the row numbers that "
            "DataFrame.to_csv() writes; give a column a name if it is a feature.",
            *(file, len(nameless)),
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


def _text_found(columns: Sequence[str], cell: str, file: Path) -> DataError:
    """Return the error for columns of text among the features; ``cell`` is a cell of the first."""
    ignore = f"leave it out with dataset.ignore=[{','.join(columns)}]"
    if re.match(r"\W*\d", cell):
        return DataError(
            f"File {file}: column '{columns[0]}' holds {cell!r}, which is no number to this reader; write "
            "numbers with digits and a decimal sign only, without signs between thousands, units or < and >, "
            f"or {ignore} if it is no measurement."
        )
    return DataError(
        f"File {file}: column '{columns[0]}' holds text ({cell!r}), so it is no feature; {ignore}, or name "
        "the features by a pattern as in dataset.features='mz_*'."
    )


def _all_text(column: pd.Series) -> bool:
    """Return whether a column has values and none of them is a number."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    return bool(pd.to_numeric(column.dropna(), errors="coerce").isna().all() and column.notna().any())
