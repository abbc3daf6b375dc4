"""The blocks of README and docs that hold tables, made anew from the archived runs.

A table stands in a page between ``<!-- table: kind arguments -->`` and ``<!-- end -->``. Rows can be chosen
by the texts of their first cells: ``<!-- table: kind arguments | Joint+; ComBat, paper -->`` keeps these rows
and says how many there are in all.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from calib.errors import CalibError
from calib.report.claims.tables import claims_table, verdict_counts, verdicts_table
from calib.report.costs import cost_table
from calib.report.docs.archived import Archived
from calib.report.docs.tables import (
    accuracy_table,
    averages_table,
    methods_table,
    metrics_table,
    options_table,
    readings_table,
    settings_table,
    single_source_table,
)
from calib.report.exhibits import Table, markdown
from calib.report.paper import ONE_SOURCE

MARKS = str.maketrans("", "", "†‡`*")
"""Marks that a row can be named without."""

STANDARDISED = f"{ONE_SOURCE} protocol.batch_scale=standardise method.epochs=100"
SINGLE = {
    "pairwise": ("pairwise", "paper", ONE_SOURCE),
    "pairwise, batches standardised, 100 epochs": ("pairwise", "paper", STANDARDISED),
    "joint from one source, `paper`": ("joint", "paper", ONE_SOURCE),
    "joint from one source, `released`": ("joint", "released", ONE_SOURCE),
}
"""Columns of the tables of one source: heading -> method, protocol and variant."""

NOT_ARCHIVED = "Not in the archive yet."
"""The block of a table of which nothing is archived."""

Maker = Callable[..., str]
"""A function of the archived runs and the words of a block that returns the block's Markdown."""


def _printed(archived: Archived, number: str, study: str, protocol: str) -> str:
    """Return one of the paper's tables with its caption."""
    name = f"table_{number}_{protocol}"
    (table,) = (one for one in archived.printed(study, protocol) if one.name == name)
    return _captioned(table)


def _captioned(table: Table) -> str:
    """Return a table with its caption."""
    return f"{markdown(table.heads, table.rows)}\n\n{table.caption}"


def _beyond(archived: Archived, kind: str, study: str) -> str:
    """Return a table beyond the paper; its caption is a block of its own, ``caption kind``."""
    table = archived.beyond(kind, study)
    return markdown(table.heads, table.rows) if table else NOT_ARCHIVED


def _caption(archived: Archived, kind: str) -> str:
    """Return the caption that the tables of one kind beyond the paper share."""
    tables = (archived.beyond(kind, study) for study in archived.studies)
    return next((table.caption for table in tables if table), NOT_ARCHIVED)


def _zoo(archived: Archived, name: str) -> str:
    """Return a table of the public studies with its caption."""
    tables = archived.zoo.tables() if archived.zoo else []
    found = next((table for table in tables if table.name == f"zoo_{name}"), None)
    return _captioned(found) if found else NOT_ARCHIVED


def _mix(archived: Archived, name: str) -> str:
    """Return a table of drawn targets with its caption."""
    tables = [archived.mix_choice] if name == "choice" else archived.mixes.tables()
    found = next((table for table in tables if table.name == f"mix_{name}"), None)
    return _captioned(found) if found else NOT_ARCHIVED


def _cost(archived: Archived, study: str) -> str:
    """Return the cost of each method."""
    table = cost_table(archived.results, study)
    return markdown(table.heads, table.rows)


def _rules(archived: Archived) -> str:
    """Return the rules that decide the verdicts, as a numbered list, below what the values are."""
    values, *numbered = re.split(r" ?Rule \d+: ", claims_table(archived.verdicts).caption)
    return "\n".join([values, "", *(f"{number}. {rule}" for number, rule in enumerate(numbered, start=1))])


def _of_results(make: Callable[..., str]) -> Maker:
    """Return a maker from a function of the paper's runs."""
    return lambda archived, *words: make(archived.results, *words)


MAKERS: Mapping[str, Maker] = {
    "accuracy": _of_results(accuracy_table),
    "answers": lambda archived: _captioned(archived.promises) if archived.promises else NOT_ARCHIVED,
    "averages": _of_results(averages_table),
    "beyond": _beyond,
    "caption": _caption,
    "claims": lambda archived: verdicts_table(archived.verdicts),
    "comparison": _of_results(methods_table),
    "cost": _cost,
    "counts": lambda archived: verdict_counts(archived.verdicts),
    "metrics": _of_results(metrics_table),
    "mix": _mix,
    "options": _of_results(options_table),
    "printed": _printed,
    "readings": _of_results(readings_table),
    "rules": _rules,
    "settings": _of_results(settings_table),
    "single_source": lambda archived, study: single_source_table(archived.results, study, SINGLE),
    "zoo": _zoo,
    "three": lambda archived, protocol: _captioned(archived.three(protocol)),
}
"""Kinds of blocks."""


def only(block: str, wanted: Sequence[str]) -> str:
    """Return a Markdown table with the wanted rows alone, and the number of those left out.

    A row is wanted by its first cell, or by its first two or three cells with commas between them.

    Raises:
        CalibError: a wanted row is not in the table.
    """
    lines = block.splitlines()
    rows = [line for line in lines[2:] if line.startswith("|")]
    named = {
        row: {", ".join(cells[:length]) for length in (1, 2, 3)}
        for row in rows
        for cells in [[cell.translate(MARKS).strip() for cell in row.strip("|").split("|")]]
    }
    for text in wanted:
        if not any(text in names for names in named.values()):
            first = rows[0] if rows else "none"
            raise CalibError(f"No row of the table is called {text!r}; its first row is {first}")
    kept = [row for row in rows if named[row] & set(wanted)]
    rest = [line for line in lines[2:] if not line.startswith("|")]
    note = f"{len(kept)} of {len(rows)} rows."
    return "\n".join([*lines[:2], *kept, "", " ".join([note, *filter(None, rest)])])


def renewed(text: str, archived: Archived) -> str:
    """Return a page with each of its tables made anew.

    Raises:
        CalibError: a kind of table or a chosen row does not exist.
    """

    def make(found: re.Match[str]) -> str:
        what, bar, rows = found[1].partition(" | ")
        kind, *arguments = what.split()
        if kind not in MAKERS:
            raise CalibError(f"A table of kind {kind!r} does not exist; the kinds are {', '.join(MAKERS)}.")
        block = MAKERS[kind](archived, *arguments)
        block = only(block, [row.strip() for row in rows.split(";")]) if bar else block
        return f"<!-- table: {found[1]} -->\n{block}\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->\n.*?<!-- end -->", make, text, flags=re.DOTALL)
