"""The parts of the report: tables of text with the numbers behind them, and verdicts on claims."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pandas as pd

from calib.files import safe_name
from calib.records.record import Record

MISSING = "–"
"""The text of a cell without a value."""


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        name: file name without ending, such as ``table_1b_paper``.
        title: one line.
        caption: what a cell is, which runs and seeds it comes from, and which rule chose them.
        heads: headings of the columns.
        rows: cells as text, ``MISSING`` for a cell without a value.
        numbers: the same as numbers, for programs.
        command: the command line that makes the runs behind it.
    """

    name: str
    title: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: pd.DataFrame = field(repr=False)
    command: str = ""


class Ruling(StrEnum):
    """The outcome of judging a claim."""

    YES = "reproduced"
    NO = "not reproduced"
    OPEN = "undecided"
    UNTOLD = "cannot be told"
    FEW = "too few seeds"
    MISSING = "not run"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim of the paper in one study, under one protocol.

    Attributes:
        claim: the claim in a few words.
        study, protocol: study and protocol of the runs; protocol is "" if the claim does not depend on it.
        printed: the value that the paper prints.
        ours: the measured value, with its interval if it has one.
        outcome: the outcome, which ``rule`` alone decides.
        rule: the rule, in a sentence.
        p: p of the test that decides; None where the rule is no test, or no verdict is drawn.
        p_holm: the same, adjusted over all tests of the report.
    """

    claim: str
    study: str
    protocol: str
    printed: str
    ours: str
    outcome: Ruling
    rule: str
    p: float | None = None
    p_holm: float | None = None


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write ``<name>.csv`` (the numbers), ``<name>.md`` and ``<name>.tex`` (the text), and return the files.

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
    """Return a Markdown table; a name with a line break or a bar stays in its cell."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_md, line)) + " |" for line in lines)


def _md(text: str) -> str:
    """Return the text of a Markdown cell."""
    return _plain(" ".join(text.splitlines())).replace("|", r"\|")


def _plain(text: str) -> str:
    """Return a text in which no name from data is a tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def latex(table: Table) -> str:
    """Return a LaTeX table for the packages booktabs and graphicx, with caption, shrunk to fit a page."""
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
    """Return a text with its special signs in LaTeX."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)
