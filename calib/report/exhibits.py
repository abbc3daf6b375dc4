"""What the report is made of: tables of text with the numbers behind them, and verdicts on claims."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pandas as pd

from calib.files import safe_name
from calib.records.record import Record

MISSING = "–"


@dataclass(frozen=True)
class Table:
    """One table of the report.

    Attributes:
        name: file name without ending, such as ``table_1b_paper``.
        title: one line.
        caption: what a cell is, which runs and seeds, which rule chose them.
        heads: headings of the columns.
        rows: cells as text, ``MISSING`` where there is nothing.
        numbers: the same as numbers, one row a cell, for programs.
        command: the command line that makes the runs behind it.
    """

    name: str
    title: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: pd.DataFrame = field(repr=False)
    command: str = ""


class Outcome(StrEnum):
    """What became of a claim."""

    YES = "reproduced"
    NO = "not reproduced"
    OPEN = "undecided"
    MISSING = "not run"


@dataclass(frozen=True)
class Verdict:
    """What became of one claim of the paper in one study, under one protocol.

    Attributes:
        claim: the claim in a few words.
        study, protocol: where it was looked at; protocol is "" where it plays no part.
        printed: what the paper prints.
        ours: what was measured, with its interval where it has one.
        outcome: decided by ``rule`` alone.
        rule: the rule, in a sentence.
    """

    claim: str
    study: str
    protocol: str
    printed: str
    ours: str
    outcome: Outcome
    rule: str


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write ``<name>.csv`` (the numbers), ``<name>.md`` and ``<name>.tex`` (the text).

    Raises:
        CalibError: the folder cannot be written to.
    """
    record, name = Record(folder), safe_name(table.name)
    record.make_folder()
    record.write_table(f"{name}.csv", table.numbers, digits=6)
    note = f"{table.caption}\n\n`{table.command}`" if table.command else table.caption
    text = f"## {_plain(table.title)}\n\n{markdown(table.heads, table.rows)}\n\n{_plain(note)}\n"
    record.write_text(f"{name}.md", text)
    record.write_text(f"{name}.tex", latex(table))
    return [folder / f"{name}.{kind}" for kind in ("csv", "md", "tex")]


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a name with a line break or a bar stays in its cell."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_md, line)) + " |" for line in lines)


def _md(text: str) -> str:
    return _plain(" ".join(text.splitlines())).replace("|", r"\|")


def _plain(text: str) -> str:
    """Text in which no name from data is a tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def latex(table: Table) -> str:
    """A LaTeX table for the packages booktabs and graphicx, with its caption, shrunk to fit its page."""
    columns = "l" * len(table.heads)
    lines = [" & ".join(map(_tex, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            rf"\caption{{{_tex(table.title)}. {_tex(table.caption)}}}",
            rf"\label{{tab:{safe_name(table.name)}}}",
            r"\resizebox*{!}{\ifdim\totalheight>0.7\textheight 0.7\textheight\else\totalheight\fi}{%",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_tex, table.heads)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}}",
            r"\end{table}",
            "",
        ]
    )


SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": "",
    "±": r"$\pm$",
    "–": "--",
    "−": r"$-$",
    "→": r"$\to$",
    "†": r"$\dagger$",
    "²": r"\textsuperscript{2}",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "µ": r"$\mu$",
}


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(sign, sign) for sign in text)
