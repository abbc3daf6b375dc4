"""Figures 2 to 4: t-SNE maps of every method, coloured by batch and by class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from calib.data.split import Split
from calib.data.study import Study
from calib.report.figures.layout import Page, dot, empty
from calib.report.figures.style import PALE, WIDTH, batch_look, class_look, in_style, literal
from calib.report.figures.tsne import Map

PANEL, GAP, HEAD, FOOT = 1.62, 0.1, 0.26, 0.24
SECTION = WIDTH / 2
LINE = 0.155
"""Inches: side of a panel, space between the two of a section, above and below them; a legend's line."""

LAYERS = 12
"""Rows are drawn in so many random layers, so that no batch or class covers the others."""

Look = tuple[str, str]


@in_style
def map_figure(maps: Mapping[str, Map | None], study: Study, split: Split) -> Figure:
    """A section a method, as in the paper: left by batch, right by class, with its silhouettes below.

    Args:
        maps: heading -> map, or None where the method has not been run.
        split: says in the legend which batches are sources.
    """
    rows = -(-len(maps) // 2)
    batches = [batch_look(i) for i in range(len(study.batches))]
    classes = [class_look(i) for i in range(len(study.classes))]
    batch_entries = [
        dot(*look, f"{_short(name)} ({_role(name, split)})")
        for look, name in zip(batches, study.batches, strict=True)
    ]
    class_entries = [dot(*look, _short(name)) for look, name in zip(classes, study.classes, strict=True)]
    shown = [one for one in maps.values() if one is not None]
    if any((one.y < 0).any() for one in shown):
        class_entries.append(dot(PALE, ".", "no label"))
    columns = [_columns(entries) for entries in (batch_entries, class_entries)]
    lines = max(
        -(-len(entries) // n) for entries, n in zip((batch_entries, class_entries), columns, strict=True)
    )
    height = rows * (HEAD + PANEL + FOOT) + 0.1 + (lines + 1) * LINE + 0.08
    page = Page(height)
    for place, (heading, one) in enumerate(maps.items()):
        row, column = divmod(place, 2)
        left = column * SECTION + (SECTION - 2 * PANEL - GAP) / 2
        top = row * (HEAD + PANEL + FOOT)
        page.text(left, top + 0.07, f"{_letter(place)}", weight="bold", size=9)
        page.text(left + 0.16, top + 0.08, literal(heading, most=48), size=8)
        for half, what in enumerate(("batch", "class")):
            axes = page.axes(left + half * (PANEL + GAP), top + HEAD, PANEL, PANEL)
            if one is None:
                empty(axes, "not run")
                continue
            group, looks = (one.batch, batches) if what == "batch" else (one.y, classes)
            _scatter(axes, one, group, looks)
            axes.set_xlabel(f"by {what}: silhouette {_number(one.silhouette[what])}", labelpad=3)
    foot = rows * (HEAD + PANEL + FOOT) + 0.1
    for side, (entries, title) in enumerate(((batch_entries, "Batch"), (class_entries, "Class"))):
        page.legend(side * SECTION + 0.12, foot, entries, columns[side], title)
    return page.figure


def _scatter(axes: Axes, one: Map, group: NDArray[np.int64], looks: Sequence[Look]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_edgecolor(PALE)
    size = float(np.clip(6000 / max(len(one.xy), 1), 2.0, 14))
    order = np.random.default_rng(0).permutation(len(one.xy))
    for layer in np.array_split(order, LAYERS):
        for index, (colour, marker) in [(-1, (PALE, ".")), *enumerate(looks)]:
            x, y = one.xy[layer[group[layer] == index]].T
            if len(x):  # dots as pixels: tens of thousands of them make a page slow to turn
                axes.scatter(x, y, size, colour, marker=marker, linewidths=0, alpha=0.75, rasterized=True)
    axes.margins(0.03)


def _columns(entries: Sequence[Line2D]) -> int:
    """As many columns as half the page holds: a letter takes about 0.065 inches at 7.5 pt."""
    longest = max(len(str(entry.get_label())) for entry in entries)
    return max(1, min(len(entries), int((SECTION - 0.2) / (0.38 + 0.065 * longest))))


def _short(name: str, most: int = 30) -> str:
    text = " ".join(str(name).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _role(name: str, split: Split) -> str:
    return "source" if name in split.sources else "target" if name in split.targets else "not used"


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
