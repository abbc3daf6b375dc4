"""The report page: one file with all verdicts, tables and figures, for screen, phone and paper."""

import base64
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from calib.errors import CalibError
from calib.report.exhibits import MISSING, Outcome, Table, Verdict
from calib.report.gallery import Drawn
from calib.store import Record, safe_name

IMAGE_WIDTH = 1400
"""Pixels: sharp on a screen of twice the density, and 200 dpi on paper."""

LONG = 44
"""Characters from which a cell is a sentence, which may be broken into lines."""

BROAD = 220
"""Characters of a row from which a table is printed across the page: upright its type would be below 5 pt."""

SHORT = {Outcome.YES: "yes", Outcome.NO: "no", Outcome.OPEN: "undecided", Outcome.MISSING: "not run"}
"""What the overview has room for; the counts above it say what it stands for."""


@dataclass(frozen=True)
class Shown:
    """One figure of the page.

    Attributes:
        figure: name, caption and files, of which the PNG is embedded and the PDF linked to.
        folder: where the files lie.
        command: the command line that draws it.
        title: for the heading; the beginning of the caption where it is "".
    """

    figure: Drawn
    folder: Path
    command: str = ""
    title: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the page, such as a study: a title, a few sentences, tables, then figures."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Shown] = ()


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    Attributes:
        verdicts: in the order of the overview: claims are its rows, studies and protocols its columns.
        sections: one a study, then those on all studies, such as run times.
        missing: a sentence for each gap and failed run.
        facts: heading -> name -> value: hardware, versions, data checksums, code revision, run times.
        commands: command line -> what it makes.
        title, summary: the heading and the sentence below it.
        tables: folder of ``write_table``; the CSV files in it are linked to.
    """

    verdicts: Sequence[Verdict] = ()
    sections: Sequence[Section] = ()
    missing: Sequence[str] = ()
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    title: str = "Multi-batch calibration, recomputed"
    summary: str = "Every number and figure from the data by one command, beside those of the paper."
    tables: Path | None = None


def write_page(file: Path, content: Content) -> None:
    """Write the page, whole or not at all; it loads nothing from anywhere.

    Raises:
        CalibError: the folder cannot be written to, or an image cannot be read.
    """
    record = Record(file.parent)
    record.make_folder()
    record.write_text(file.name, page(content, file.parent))


def page(content: Content, folder: Path) -> str:
    """The page as HTML, with links relative to ``folder``; the same content gives the same text.

    Raises:
        CalibError: an image cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("calib.report", "."),
        autoescape=True,  # names of batches, classes and methods are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    taken: Counter[str] = Counter(["overview", "contents", "missing", "claims", "commands", "facts"])
    missing = list(content.missing)
    sections = []
    for section in content.sections:
        figures = []
        for shown in section.figures:
            if (seen := _figure(shown, folder, taken)) is None:
                missing.append(_gap(shown))
            else:
                figures.append(seen)
        sections.append(
            {
                "id": _anchor(section.title, taken),
                "title": section.title,
                "text": section.text,
                "tables": [_table(table, content.tables, folder, taken) for table in section.tables],
                "figures": figures,
            }
        )
    counts = Counter(verdict.outcome for verdict in content.verdicts)
    return environment.get_template("page.html").render(
        content=content,
        counts={outcome: counts[outcome] for outcome in Outcome},
        short=SHORT,
        overview=overview(content.verdicts),
        claims=[
            {"claim": claim, "rule": rule, "verdicts": list(group)}
            for (claim, rule), group in groupby(
                _by_claim(content.verdicts), lambda pair: (pair[1].claim, pair[1].rule)
            )
        ],
        sections=sections,
        missing=missing,
        dash=MISSING,
    )


def overview(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The verdicts as a matrix, each with its number among ``verdicts``.

    Returns:
        ``studies``: name -> its protocols, [""] where none plays a part; ``rows``: claim -> its cells, each a
        list of (number, verdict) with the columns it spans: all of a study where no protocol plays a part.
    """
    studies: dict[str, list[str]] = {}
    for verdict in verdicts:
        protocols = studies.setdefault(verdict.study, [])
        if verdict.protocol and verdict.protocol not in protocols:
            protocols.append(verdict.protocol)
    rows: dict[str, list[dict[str, Any]]] = {}
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        cells = rows[claim] = []
        for study, protocols in studies.items():
            found = [(i, v) for i, v in enumerate(verdicts) if (v.claim, v.study) == (claim, study)]
            if any(verdict.protocol for _, verdict in found):
                for protocol in protocols:
                    here = [pair for pair in found if pair[1].protocol in (protocol, "")]
                    cells.append({"span": 1, "first": protocol == protocols[0], "verdicts": here})
            else:
                cells.append({"span": len(protocols) or 1, "first": True, "verdicts": found})
    return {"studies": {name: protocols or [""] for name, protocols in studies.items()}, "rows": rows}


def _by_claim(verdicts: Sequence[Verdict]) -> list[tuple[int, Verdict]]:
    order = {claim: i for i, claim in enumerate(dict.fromkeys(verdict.claim for verdict in verdicts))}
    return sorted(enumerate(verdicts), key=lambda pair: order[pair[1].claim])


def _anchor(name: str, taken: Counter[str]) -> str:
    """A place in the page that can be linked to, used once."""
    anchor = safe_name(name)
    taken[anchor] += 1
    return anchor if taken[anchor] == 1 else f"{anchor}--{taken[anchor]}"


def _figure(shown: Shown, folder: Path, taken: Counter[str]) -> dict[str, Any] | None:
    files = {Path(name).suffix: shown.folder / name for name in shown.figure.files}
    if ".png" not in files or not files[".png"].is_file():
        return None
    pdf = files.get(".pdf")
    title = shown.title or _beginning(shown.figure.caption) or shown.figure.name
    return {
        "id": _anchor(shown.figure.name, taken),
        "title": title,
        "caption": shown.figure.caption.removeprefix(f"{title}. "),
        "command": shown.command,
        "image": _image(files[".png"]),
        "pdf": _link(pdf, folder) if pdf and pdf.is_file() else "",
    }


def _gap(shown: Shown) -> str:
    made = f"; {shown.command} draws it." if shown.command else "."
    return f"Figure {shown.figure.name} has no image{made}"


def _beginning(caption: str) -> str:
    """A caption up to its first full stop, colon or bracket."""
    return re.split(r"[.:(] ?", caption, maxsplit=1)[0].strip()


def _image(file: Path) -> dict[str, Any]:
    """A picture, smaller, as a data URI with its size."""
    try:
        with Image.open(file) as opened:
            picture = Image.new("RGB", opened.size, "white")
            picture.paste(opened.convert("RGBA"), mask=opened.convert("RGBA").getchannel("A"))
    except OSError as error:
        raise CalibError(f"The figure {file} cannot be read; delete it and draw it again.") from error
    if picture.width > IMAGE_WIDTH:
        height = round(picture.height * IMAGE_WIDTH / picture.width)
        picture = picture.resize((IMAGE_WIDTH, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=88, method=6)
    code = base64.b64encode(stream.getvalue()).decode()
    return {"uri": f"data:image/webp;base64,{code}", "width": picture.width, "height": picture.height}


def _link(file: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def _table(table: Table, files: Path | None, folder: Path, taken: Counter[str]) -> dict[str, Any]:
    """A table with the look of each column: what it holds, how wide it is, whether it stays in view."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.heads)
    widths = [
        max(_width(head.split()), _width(cells)) for head, cells in zip(table.heads, columns, strict=True)
    ]
    kept = _kept(table.rows, widths)
    groups = [tuple(row[: max(1, kept - 1)]) for row in table.rows]
    starts = [i > 0 and group != groups[i - 1] for i, group in enumerate(groups)]
    csv = files / f"{safe_name(table.name)}.csv" if files else None
    return {
        "id": _anchor(table.name, taken),
        "title": table.title,
        "caption": table.caption,
        "command": table.command,
        "csv": _link(csv, folder) if csv and csv.is_file() else "",
        "heads": table.heads,
        "rows": [{"cells": row, "starts": new} for row, new in zip(table.rows, starts, strict=True)],
        "grouped": not all(starts[1:]),
        "numeric": [i >= kept and _numeric(cells) for i, cells in enumerate(columns)],
        "widths": widths,
        "lefts": [sum(widths[:i]) for i in range(kept)],
        "broad": sum(widths) > BROAD,
        "narrow": sum(widths[:kept]) <= 20,
        "characters": sum(widths),
        "long": LONG,
    }


def _width(cells: Iterable[str]) -> int:
    """Characters of the longest line and room at both sides."""
    longest = max((len(line) for cell in cells for line in cell.splitlines()), default=1)
    return min(longest, LONG) + 3


def _kept(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """How many columns at the left stay in view: those that it takes to tell the rows apart, if narrow."""
    for kept in range(1, len(widths)):
        if sum(widths[: kept + 1]) > 36 or len({tuple(row[:kept]) for row in rows}) == len(rows):
            return kept
    return 1


def _numeric(cells: Sequence[str]) -> bool:
    """Whether at least half of the cells that are there begin like a number."""
    there = [cell for cell in cells if cell not in ("", MISSING)]
    return 2 * sum(bool(re.match(r"[<>≤≥≈+−-]?\s?\d*\.?\d", cell)) for cell in there) >= len(there)
