"""A table of the page: headings, cells, and what is numeric, faded or sorted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from calib.report.exhibits import MISSING

MOST_CALLS = 500
"""Most rows of a table of calls; its CSV file has all."""

FEW_CLASSES = 4
"""Most classes that have columns of their own in the tables of calls."""

LEAST = 22
"""Most letters that a column of names keeps on a line for sure."""

HEAD = 28
"""Columns of type that a heading may take; class names are headings, too."""


@dataclass(frozen=True)
class Cell:
    """A cell with a look of its own: its text, the CSS class of its mark, and lines below the text."""

    text: str
    mark: str
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Grid:
    """A table of the page.

    Attributes:
        ident: its name in the page.
        title: what a row is.
        heads: headings; those of numbers are in ``numeric``.
        rows: cells.
        note: a sentence or two below it.
        filtered: number of the column by which rows can be chosen; None: by none.
        faded: numbers of rows that are set in grey.
    """

    ident: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    numeric: frozenset[int] = frozenset()
    note: str = ""
    filtered: int | None = None
    faded: frozenset[int] = field(default_factory=frozenset)

    @property
    def tall(self) -> bool:
        """Whether it has so many rows that it scrolls in a box of its own."""
        return len(self.rows) > 24

    @cached_property
    def least(self) -> list[int]:
        """The least width of each column of names, in letters with its margins; 0: that of its text."""
        widths = []
        for i, head in enumerate(self.heads):
            longest = max([len(head) + 2, *(len(_plain(row[i])) for row in self.rows)])
            widths.append(0 if i in self.numeric else min(longest, LEAST) + 2)
        return widths

    @cached_property
    def looks(self) -> list[str]:
        """The CSS class of each column."""
        texts = [[_plain(row[i]) for row in self.rows] for i in range(len(self.heads))]
        return [
            "number" if i in self.numeric else "long" if any(len(text) > 34 for text in column) else "name"
            for i, column in enumerate(texts)
        ]


def _plain(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def last(first: int, heads: Sequence[str]) -> frozenset[int]:
    """Return the numbers of the columns from ``first`` on."""
    return frozenset(range(first, len(heads)))


def whole(value: object) -> str:
    """Return a count, or a dash."""
    return MISSING if pd.isna(value) else str(int(value))  # type: ignore[call-overload]
