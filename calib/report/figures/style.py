"""The look of figures, for print and for colour-blind readers, and their files, the same bytes each time."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib.style
from matplotlib.figure import Figure

from calib.records.record import Record

WIDTH = 7.09
"""Width of every figure in inches: two columns of a journal (180 mm), so that 7 pt are 7 pt in print."""

STACKED = WIDTH / 2
"""Width in inches of a figure for phones, with its panels below each other: type is as large as on paper."""

DPI = 300

STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": DPI,
}

BATCH_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BATCH_MARKERS = ("o", "^", "s", "D", "v", "P")
"""Okabe and Ito's palette without yellow, which is lost on white; 7 colours and 6 markers give 42 pairs."""

CLASS_COLOURS = (
    *("#332288", "#DDCC77", "#882255", "#44AA99", "#CC6677", "#88CCEE", "#117733", "#AA4499", "#999933"),
)
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P")
"""Paul Tol's muted palette; it differs from the batches' colours, so that the legends are not confused."""

BLANK: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Kind of file -> metadata that are left out."""

GREY, PALE = "#555555", "#BBBBBB"

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def styled() -> Iterator[None]:
    """Set matplotlib's defaults and our style, and restore the user's settings afterwards."""
    with matplotlib.style.context(["default", STYLE]):
        yield


def in_style(draw: Callable[P, T]) -> Callable[P, T]:
    """Return a drawing function that always draws in our style."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with styled():
            return draw(*args, **kwargs)

    return drawn


def batch_look(index: int) -> tuple[str, str]:
    """Return colour and marker of the batch with this position in its study."""
    return BATCH_COLOURS[index % len(BATCH_COLOURS)], BATCH_MARKERS[index % len(BATCH_MARKERS)]


def class_look(index: int) -> tuple[str, str]:
    """Return colour and marker of a class: circles for the first nine, then other markers."""
    round_, colour = divmod(index, len(CLASS_COLOURS))
    return CLASS_COLOURS[colour], CLASS_MARKERS[round_ % len(CLASS_MARKERS)]


def literal(name: object, most: int = 28) -> str:
    """Return a name that matplotlib draws letter by letter: no formula between ``$``, one line, not too long.

    A leading underscore would hide it from legends, so it gets an invisible character before it.
    """
    text = " ".join(str(name).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    return ("\N{ZERO WIDTH SPACE}" if text.startswith("_") else "") + text.replace("$", r"\$")


def save(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.pdf``, whole or not at all, without date or version.

    Args:
        figure: the figure.
        folder: folder of the files.
        name: their name without ending.
        kinds: the files that are wanted.

    Returns:
        The files.

    Raises:
        CalibError: the folder cannot be written to.
    """
    record = Record(folder)
    record.make_folder()
    for kind in kinds:
        content = rendered(figure, kind)
        record.write(f"{name}.{kind}", partial(Path.write_bytes, data=content))
    return [folder / f"{name}.{kind}" for kind in kinds]


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of a kind, png or pdf, without date or version."""
    stream = io.BytesIO()
    with styled():
        figure.savefig(stream, format=kind, metadata=BLANK[kind])
    return stream.getvalue()
