"""A table of the paper with our numbers beside its own, in three lines for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import pandas as pd

from calib.report.exhibits import MISSING, Table
from calib.report.numbers import number, signed, span
from calib.report.paper import CONTRADICTIONS

AVERAGE = ("average", "average")
"""End of the key of a row that is a mean over other rows."""

Key = tuple[str, ...]
"""Row of a table."""

Cells = dict[Key, dict[int, float]]
"""Row of a table -> seed -> value."""


@dataclass(frozen=True)
class Heading:
    """Name, title and caption of a table.

    Attributes:
        number: number of the paper's table, or "".
        name: file name without ending.
        title: one line.
        heads: headings of the columns that name a row.
        caption: what a cell is.
        command: the command line that makes the runs.
    """

    number: str
    name: str
    title: str
    heads: Sequence[str]
    caption: str
    command: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table: the printed number and ours over seeds, with their ranks in the row."""

    printed: float | None
    printed_rank: int | None
    ours: Sequence[float]
    rank: int | None

    @property
    def mean(self) -> float | None:
        """Return our mean over seeds, or None without a run."""
        return mean(self.ours) if self.ours else None

    @property
    def spread(self) -> float | None:
        """Return our standard deviation over seeds, or None with fewer than two."""
        return stdev(self.ours) if len(self.ours) > 1 else None

    @property
    def difference(self) -> float | None:
        """Return ours minus the printed number, or None if one is missing."""
        return None if self.printed is None or self.mean is None else self.mean - self.printed

    def texts(self) -> dict[str, str]:
        """Return the text of the cell in each of the three lines."""
        spread = "" if self.spread is None else f" ± {number(self.spread)}"
        return {
            "printed": number(self.printed) + _bracket(self.printed_rank),
            "ours": number(self.mean) + spread + _bracket(self.rank),
            "difference": _difference(self.difference),
        }

    def numbers(self) -> dict[str, object]:
        """Return the cell as columns of the table of numbers."""
        return {
            "printed": self.printed,
            "printed_rank": self.printed_rank,
            "ours": self.mean,
            "sd": self.spread,
            "seeds": len(self.ours),
            "difference": self.difference,
            "rank": self.rank,
        }


def table_beside(
    heading: Heading,
    keys: Sequence[Key],
    columns: Mapping[str, Cells],
    printed: Mapping[tuple[str, Key], float],
    extremes: Mapping[str, tuple[float, float]] | None = None,
) -> Table:
    """Return a table with three lines for each row: printed, ours and difference, with ranks in brackets.

    Args:
        heading: name, title and caption.
        keys: the rows; a row without any number is left out.
        columns: heading of a column -> our numbers.
        printed: heading of a column and row -> the paper's number.
        extremes: heading of a column -> lowest and highest target, which become a line below the average.
    """
    rows, numbers = [], []
    for key in keys:
        cells = _row(key, columns, printed)
        known = any(cell.printed is not None for cell in cells.values())
        if not known and not any(cell.ours for cell in cells.values()):
            continue
        place = [*key[:-2], "average", ""] if key[-2:] == AVERAGE else list(key)
        lines = ("printed", "ours", "difference") if known else ("ours",)
        rows += [[*place, line, *(cell.texts()[line] for cell in cells.values())] for line in lines]
        named = {"table": heading.number, **dict(zip(heading.heads, key, strict=True))}
        ends = extremes or {} if key == AVERAGE else {}
        if ends:
            rows.append([*place, "lowest to highest", *(span(*ends[column]) for column in columns)])
        for column, cell in cells.items():
            lowest, highest = ends.get(column, (None, None))
            row = {**named, "column": column, **cell.numbers()}
            numbers.append(row | ({"lowest": lowest, "highest": highest} if extremes else {}))
    title = f"Table {heading.number}. {heading.title}" if heading.number else heading.title
    heads = [*heading.heads, "", *columns]
    caption = " ".join([heading.caption, *_notes(columns), *CONTRADICTIONS.get(heading.number, ())])
    return Table(heading.name, title, caption, heads, rows, pd.DataFrame(numbers), heading.command)


def _row(key: Key, columns: Mapping[str, Cells], printed: Mapping[tuple[str, Key], float]) -> dict[str, Cell]:
    """Return the cells of one row by the heading of their column."""
    theirs = {column: printed.get((column, key)) for column in columns}
    ours = {column: list(cells.get(key, {}).values()) for column, cells in columns.items()}
    printed_ranks = _ranks(theirs)
    ranks = _ranks({column: mean(values) if values else None for column, values in ours.items()})
    return {
        column: Cell(theirs[column], printed_ranks.get(column), ours[column], ranks.get(column))
        for column in columns
    }


def _notes(columns: Mapping[str, Cells]) -> list[str]:
    """Return the sentences of every caption: on cells, ranks and seeds, and on the choice of numbers."""
    by_seeds: dict[str, list[str]] = {}
    for column, cells in columns.items():
        seeds = sorted({seed for values in cells.values() for seed in values})
        whole = len(seeds) > 2 and seeds == [*range(seeds[0], seeds[-1] + 1)]
        written = f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds)) or "not run"
        by_seeds.setdefault(written, []).append(column.removesuffix(" †"))
    listed = "; ".join(f"{', '.join(names)}: {written}" for written, names in by_seeds.items())
    return [
        "Ours: mean ± standard deviation over seeds; in brackets the rank in the row; – is missing.",
        f"Seeds: {listed}.",
    ]


def _ranks(values: Mapping[str, float | None]) -> dict[str, int]:
    """Return the rank of each value in its row, the highest first; values equal to three digits share one.

    References have no rank, and a single value has none.
    """
    known = {
        column: round(value, 3)
        for column, value in values.items()
        if value is not None and not _is_unranked(column)
    }
    if len(known) < 2:
        return {}
    return {column: 1 + sum(other > value for other in known.values()) for column, value in known.items()}


def _is_unranked(column: str) -> bool:
    """Return whether a column is a reference, or the difference of two columns."""
    return column.endswith("†") or column == "Gain"


def _bracket(rank: int | None) -> str:
    """Return a rank in brackets, or "" without a rank."""
    return "" if rank is None else f" ({rank})"


def _difference(value: float | None) -> str:
    """Return a difference with its sign, a zero without one, or a dash."""
    if value is None:
        return MISSING
    text = signed(value)
    return text if float(f"{value:.3f}") else text[1:]
