"""A table of the paper with our numbers beside its own: three lines a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import pandas as pd

from calib.report.exhibits import MISSING, Table
from calib.report.paper import CONTRADICTIONS

AVERAGE = ("average", "average")
SELECTION = "Last epoch, settings as given; nothing is chosen by a target's labels."

Key = tuple[str, ...]
Cells = dict[Key, dict[int, float]]
"""Row of a table -> seed -> value."""


@dataclass(frozen=True)
class Frame:
    """What a table is called, what its first columns are, and how it came about."""

    number: str
    name: str
    title: str
    heads: Sequence[str]
    caption: str
    command: str


def table_beside(
    frame: Frame,
    keys: Sequence[Key],
    columns: Mapping[str, Cells],
    printed: Mapping[tuple[str, Key], float],
) -> Table:
    """Three lines a row of the paper: its numbers, ours, and the difference; with ranks in brackets."""
    rows, numbers = [], []
    for key in keys:
        theirs = {heading: printed.get((heading, key)) for heading in columns}
        ours = {heading: list(cells.get(key, {}).values()) for heading, cells in columns.items()}
        means = {heading: mean(values) if values else None for heading, values in ours.items()}
        ranks = _ranks(theirs), _ranks(means)
        shown: dict[str, list[str]] = {"printed": [], "ours": [], "difference": []}
        if not any(value is not None for value in (*theirs.values(), *means.values())):
            continue
        for heading in columns:
            paper, value, values = theirs[heading], means[heading], ours[heading]
            spread = stdev(values) if len(values) > 1 else None
            difference = None if paper is None or value is None else value - paper
            shown["printed"].append(_text(paper) + _bracket(ranks[0].get(heading)))
            shown["ours"].append(
                _text(value)
                + ("" if spread is None else f" ± {_text(spread)}")
                + _bracket(ranks[1].get(heading))
            )
            shown["difference"].append(_text(difference, signed=True))
            row: dict[str, object] = {"table": frame.number, **dict(zip(frame.heads, key, strict=True))}
            numbers.append(
                row
                | {
                    "column": heading,
                    "printed": paper,
                    "printed_rank": ranks[0].get(heading),
                    "ours": value,
                    "sd": spread,
                    "seeds": len(values),
                    "difference": difference,
                    "rank": ranks[1].get(heading),
                }
            )
        place = ["average", *[""] * (len(key) - 1)] if key == AVERAGE else list(key)
        lines = shown if any(value is not None for value in theirs.values()) else {"ours": shown["ours"]}
        rows += [[*place, what, *cells] for what, cells in lines.items()]
    title = f"Table {frame.number}. {frame.title}" if frame.number else frame.title
    heads = [*frame.heads, "", *columns]
    caption = " ".join([frame.caption, *_said(columns), *CONTRADICTIONS.get(frame.number, ())])
    return Table(frame.name, title, caption, heads, rows, pd.DataFrame(numbers), frame.command)


def _said(columns: Mapping[str, Cells]) -> list[str]:
    """What every caption says: cells, ranks, seeds, and the rule that chose the numbers."""
    seeds: dict[str, list[str]] = {}
    for heading, cells in columns.items():
        found = sorted({seed for values in cells.values() for seed in values})
        whole = len(found) > 2 and found == [*range(found[0], found[-1] + 1)]
        written = f"{found[0]} to {found[-1]}" if whole else ", ".join(map(str, found)) or "not run"
        seeds.setdefault(written, []).append(heading.removesuffix(" †"))
    listed = "; ".join(f"{', '.join(headings)}: {written}" for written, headings in seeds.items())
    return [
        "Ours: mean ± standard deviation over seeds; in brackets the rank in the row; – is missing.",
        f"Seeds: {listed}.",
        SELECTION,
    ]


def _ranks(values: Mapping[str, float | None]) -> dict[str, int]:
    """Rank of each value in its row, the highest first; equal to three digits is equal.

    References have none.
    """
    known = {h: round(v, 3) for h, v in values.items() if v is not None and not _unranked(h)}
    if len(known) < 2:
        return {}
    return {heading: 1 + sum(other > value for other in known.values()) for heading, value in known.items()}


def _unranked(heading: str) -> bool:
    """A reference, or the difference of two columns."""
    return heading.endswith("†") or heading == "Gain"


def _bracket(rank: int | None) -> str:
    return "" if rank is None else f" ({rank})"


def _text(value: float | None, signed: bool = False) -> str:
    if value is None:
        return MISSING
    rounded = round(value, 3) + 0.0  # no minus before a zero
    return (f"{rounded:+.3f}" if signed and rounded else f"{rounded:.3f}").replace("-", "−")
