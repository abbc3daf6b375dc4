"""Figures 2 to 4: t-SNE maps of every method, coloured by batch and by class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from calib.data.split import Split
from calib.report.figures.layout import Page, dot
from calib.report.figures.style import PALE, WIDTH, batch_look, class_look, in_style, literal
from calib.report.figures.tsne import Map
from calib.report.numbers import number

PANEL, GAP, HEAD, FOOT = 1.62, 0.1, 0.26, 0.24
SECTION = WIDTH / 2
LINE = 0.155
"""Inches: side of a panel, space between the two of a section, above and below them; line of a legend."""

LAYERS = 12
"""Number of random layers in which rows are drawn, so that no batch or class covers the others."""

Look = tuple[str, str]
"""Colour and marker."""


@in_style
def map_figure(
    maps: Mapping[str, Map],
    batches: Sequence[str],
    classes: Sequence[str],
    split: Split,
    stacked: bool = False,
) -> Figure:
    """Draw a section for each method, as in the paper: left by batch, right by class, with silhouettes below.

    Args:
        maps: heading -> map.
        batches, classes: their names, in the order of the study.
        split: says in the legend which batches are sources.
        stacked: whether the sections are below each other, for phones.
    """
    unlabelled = any((drawn.y < 0).any() for drawn in maps.values())
    legends = _legends(batches, classes, split, unlabelled)
    columns = [_columns(entries) for entries in legends.values()]
    lines = max(-(-len(entries) // n) for entries, n in zip(legends.values(), columns, strict=True))
    across = 1 if stacked else 2
    foot = -(-len(maps) // across) * (HEAD + PANEL + FOOT) + 0.1
    legend = (lines + 1) * LINE + 0.08
    page = Page(foot + (2 * legend if stacked else legend), across * SECTION)
    looks = {
        "batch": [batch_look(i) for i in range(len(batches))],
        "class": [class_look(i) for i in range(len(classes))],
    }
    for place, (heading, drawn) in enumerate(maps.items()):
        row, column = divmod(place, across)
        left = column * SECTION + (SECTION - 2 * PANEL - GAP) / 2
        top = row * (HEAD + PANEL + FOOT)
        page.text(left, top + 0.07, _letter(place), weight="bold", size=9)
        page.text(left + 0.16, top + 0.08, literal(heading, most=48), size=8)
        for half, (kind, group) in enumerate((("batch", drawn.batch), ("class", drawn.y))):
            axes = page.axes(left + half * (PANEL + GAP), top + HEAD, PANEL, PANEL)
            _scatter(axes, drawn, group, looks[kind])
            axes.set_xlabel(f"by {kind}: silhouette {number(drawn.silhouette[kind])}", labelpad=3)
    for side, (title, entries) in enumerate(legends.items()):
        down, right = divmod(side, across)
        page.legend(right * SECTION + 0.12, foot + down * legend, entries, columns[side], title)
    return page.figure


def _legends(
    batches: Sequence[str], classes: Sequence[str], split: Split, unlabelled: bool
) -> dict[str, list[Line2D]]:
    """Return the entries of the legends of batches and classes by their titles.

    Args:
        batches, classes: their names.
        split: tells sources from targets.
        unlabelled: whether a sample without label is drawn.
    """
    of_batches = [
        dot(*batch_look(place), f"{_short(name)} ({_role(name, split)})")
        for place, name in enumerate(batches)
    ]
    of_classes = [dot(*class_look(place), _short(name)) for place, name in enumerate(classes)]
    if unlabelled:
        of_classes.append(dot(PALE, ".", "no label"))
    return {"Batch": of_batches, "Class": of_classes}


def _scatter(axes: Axes, drawn: Map, group: NDArray[np.int64], looks: Sequence[Look]) -> None:
    """Draw the samples of a map with the look of their batch or class; samples without label are grey."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_edgecolor(PALE)
    size = float(np.clip(6000 / max(len(drawn.xy), 1), 2.0, 14))
    order = np.random.default_rng(0).permutation(len(drawn.xy))
    for layer in np.array_split(order, LAYERS):
        for index, (colour, marker) in [(-1, (PALE, ".")), *enumerate(looks)]:
            x, y = drawn.xy[layer[group[layer] == index]].T
            if len(x):  # dots are pixels, since tens of thousands of vector dots make a page slow
                axes.scatter(x, y, size, colour, marker=marker, linewidths=0, alpha=0.75, rasterized=True)
    axes.margins(0.03)


def _columns(entries: Sequence[Line2D]) -> int:
    """Return the number of columns that half the page holds; a letter takes about 0.065 inches at 7.5 pt."""
    longest = max(len(str(entry.get_label())) for entry in entries)
    return max(1, min(len(entries), int((SECTION - 0.2) / (0.38 + 0.065 * longest))))


def _short(name: str, most: int = 30) -> str:
    """Return a name in one line and not too long."""
    text = " ".join(str(name).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _role(name: str, split: Split) -> str:
    """Return whether a batch is a source or a target."""
    return "source" if name in split.sources else "target" if name in split.targets else "not used"


def _letter(place: int) -> str:
    """Return the letter of a section."""
    return chr(ord("a") + place % 26)
