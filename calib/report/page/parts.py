"""Tables and figures as the report page shows them: columns, widths, pictures inside the file."""

import base64
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from calib.errors import CalibError
from calib.files import safe_name
from calib.records.kept import Kept, content_key
from calib.report.exhibits import MISSING, Table
from calib.report.figures.gallery import KEPT, Drawn

IMAGE_WIDTH = 1400
"""Width of a picture in pixels: sharp on a screen of twice the density, and 200 dpi on paper."""

STACKED_WIDTH = 780
"""Width in pixels of a picture for phones: sharp on 390 pixels of twice the density."""

LONG = 44
"""Number of characters from which a cell counts as a sentence, which may be broken into lines."""

BROAD = 220
"""Characters of a row from which a table is printed in landscape; upright its type would be below 5 pt."""


@dataclass(frozen=True)
class Shown:
    """A figure of the page.

    Attributes:
        figure: name, caption and files, of which the PNG is embedded and the PDF linked to.
        folder: folder of the files.
        command: the command line that draws it.
    """

    figure: Drawn
    folder: Path
    command: str = ""


def anchor(name: str, taken: Counter[str]) -> str:
    """Return a name for links in the page, and count it as taken so that it is unique."""
    safe = safe_name(name)
    taken[safe] += 1
    return safe if taken[safe] == 1 else f"{safe}--{taken[safe]}"


def seen_figure(shown: Shown, folder: Path, taken: Counter[str]) -> dict[str, Any] | None:
    """Return the parts of a figure with its picture, or None without a PNG.

    Raises:
        CalibError: the picture cannot be read.
    """
    files = {
        Path(name).suffix: shown.folder / name for name in shown.figure.files if name != shown.figure.stacked
    }
    if ".png" not in files or not files[".png"].is_file():
        return None
    pdf = files.get(".pdf")
    stacked = shown.folder / shown.figure.stacked if shown.figure.stacked else None
    return {
        "id": anchor(shown.figure.name, taken),
        "title": shown.figure.title,
        "caption": shown.figure.caption,
        "command": shown.command,
        "image": _image(files[".png"], IMAGE_WIDTH),
        "stacked": _image(stacked, STACKED_WIDTH) if stacked and stacked.is_file() else None,
        "pdf": _link(pdf, folder) if pdf and pdf.is_file() else "",
    }


def gap(shown: Shown) -> str:
    """Return the sentence for a figure without a PNG."""
    how = f"; {shown.command} draws it." if shown.command else "."
    return f"Figure {shown.figure.name} has no image{how}"


def _image(file: Path, width: int) -> dict[str, Any]:
    """Return a picture, made at most so many pixels wide, as a data URI with its size.

    It is kept beside the figures, since to compress it takes longer than all else on the page.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _unreadable(file) from error
    kept, name, key = Kept(file.parent / KEPT), f"{safe_name(file.stem)}_page", content_key(content, width)
    parts = kept.find(name, key, ("webp", "size"))
    if parts is None:
        parts = _compressed(file, width)
        kept.keep(name, key, parts)
    across, down = parts["size"].decode().split()
    uri = f"data:image/webp;base64,{base64.b64encode(parts['webp']).decode()}"
    return {"uri": uri, "width": int(across), "height": int(down)}


def _compressed(file: Path, width: int) -> dict[str, bytes]:
    """Return a picture as WebP, at most so many pixels wide, and its size."""
    try:
        with Image.open(file) as opened:
            picture = Image.new("RGB", opened.size, "white")
            picture.paste(opened.convert("RGBA"), mask=opened.convert("RGBA").getchannel("A"))
    except OSError as error:
        raise _unreadable(file) from error
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=88, method=6)
    return {"webp": stream.getvalue(), "size": f"{picture.width} {picture.height}".encode()}


def _unreadable(file: Path) -> CalibError:
    """Return the error for a picture that cannot be read."""
    return CalibError(f"The figure {file} cannot be read; delete it and draw it again.")


def _link(file: Path, folder: Path) -> str:
    """Return the relative address of a file."""
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def seen_table(table: Table, files: Path | None, folder: Path, taken: Counter[str]) -> dict[str, Any]:
    """Return the parts of a table with the look of each column: content, width, whether it stays in view."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.heads)
    widths = [
        max(_width(head.split()), _width(cells)) for head, cells in zip(table.heads, columns, strict=True)
    ]
    fixed = _fixed(table.rows, widths)
    groups = [tuple(row[: max(1, fixed - 1)]) for row in table.rows]
    starts = [i > 0 and group != groups[i - 1] for i, group in enumerate(groups)]
    csv = files / f"{safe_name(table.name)}.csv" if files else None
    return {
        "id": anchor(table.name, taken),
        "title": table.title,
        "caption": table.caption,
        "command": table.command,
        "csv": _link(csv, folder) if csv and csv.is_file() else "",
        "heads": table.heads,
        "rows": [{"cells": row, "starts": new} for row, new in zip(table.rows, starts, strict=True)],
        "grouped": not all(starts[1:]),
        "numeric": [i >= fixed and _numeric(cells) for i, cells in enumerate(columns)],
        "widths": widths,
        "lefts": [sum(widths[:i]) for i in range(fixed)],
        "broad": sum(widths) > BROAD,
        "narrow": sum(widths[:fixed]) <= 20,
        "characters": sum(widths),
        "long": LONG,
    }


def _width(cells: Iterable[str]) -> int:
    """Return the characters of the longest line, with room at both sides."""
    longest = max((len(line) for cell in cells for line in cell.splitlines()), default=1)
    return min(longest, LONG) + 3


def _fixed(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """Return the number of columns on the left that stay in view: those that tell rows apart, if narrow."""
    for fixed in range(1, len(widths)):
        if sum(widths[: fixed + 1]) > 36 or len({tuple(row[:fixed]) for row in rows}) == len(rows):
            return fixed
    return 1


def _numeric(cells: Sequence[str]) -> bool:
    """Return whether at least half of the cells with a value begin like a number."""
    values = [cell for cell in cells if cell not in ("", MISSING)]
    return 2 * sum(bool(re.match(r"[<>≤≥≈+−-]?\s?\d*\.?\d", cell)) for cell in values) >= len(values)
