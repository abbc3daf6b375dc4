"""Parts of inline SVG: text stays text, and colours are CSS classes, so that dark mode and paper follow."""

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from calib.report.figures.style import BATCH_COLOURS, CLASS_COLOURS
from calib.shown import one_line

SHAPES = (
    *("M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0", "M0-5.2L5 3.8H-5z", "M-4-4H4V4H-4z"),
    *(
        "M0-5.6L5.6 0L0 5.6L-5.6 0z",
        "M0 5.2L5-3.8H-5z",
        "M-1.8-5.2H1.8V-1.8H5.2V1.8H1.8V5.2H-1.8V1.8H-5.2V-1.8H-1.8z",
    ),
)
"""Circle, triangle, square, diamond, triangle upside down, plus: paths around the origin."""

PAPER, DARK_PAPER = "#ffffff", "#14171a"
"""The paper of the pages, as ``common.css`` has it."""

BROAD = "mwMW@%—…"
"""Signs that are broader than others in most type."""

CONTRAST = 3.0
"""Least contrast of a mark with its paper (WCAG 2.1, 1.4.11)."""

LINE = 14.0
"""Pixels from a line of a name to the next."""

WIDE, NARROW = 720, 358
"""Widths of charts in pixels. A phone of 390 pixels shows a narrow one as it is, with legible type."""


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; children and attributes are escaped, ``stroke_width`` is ``stroke-width``.

    An attribute that is None is left out; a float is rounded to tenths.
    """
    pairs = [
        (key.rstrip("_").replace("_", "-"), _digits(value))
        for key, value in attributes.items()
        if value is not None
    ]
    inside = Markup("").join(child if isinstance(child, Markup) else _text(child) for child in children)
    head = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in pairs)
    return Markup("<{}{}>{}</{}>").format(name, head, inside, name)


def _digits(value: object) -> object:
    """Return the value of an attribute: tenths for floats, names as they may be shown."""
    if isinstance(value, float):
        text = f"{value:.1f}".removesuffix(".0")
        return "0" if text == "-0" else text
    return value if isinstance(value, int | Markup) else one_line(value)


def _text(value: object) -> Markup:
    return escape(one_line(value))


def short(name: object, most: int) -> str:
    """Return a name of at most so many middling letters, cut with an ellipsis; wide signs count more."""
    text = " ".join(one_line(name).split()) or "(no name)"
    widths = [_width(sign) for sign in text]
    if sum(widths) <= most:
        return text
    kept, used = 0, 1.0
    while used + widths[kept] <= most:
        used += widths[kept]
        kept += 1
    return text[:kept].rstrip() + "…"


def _width(sign: str) -> float:
    """Return about how many letters of middle width a sign is wide."""
    if unicodedata.east_asian_width(sign) in "WF":
        return 2.0
    return 1.4 if sign in BROAD else 1.15 if sign.isupper() else 1.0


def svg(
    ident: str, width: int, height: float, title: str, description: str, *children: Markup, look: str
) -> Markup:
    """Return a picture that a screen reader reads as its title and its description.

    The title is no ``<title>``, which browsers show as a tip of the whole picture over those of its parts.
    """
    return tag(
        "svg",
        tag("desc", description, id=f"{ident}-desc"),
        *children,
        viewBox=f"0 0 {width} {math.ceil(height)}",
        width=width,
        height=math.ceil(height),
        role="img",
        aria_label=title,
        aria_describedby=f"{ident}-desc",
        class_=f"chart {look}",
    )


@dataclass(frozen=True)
class Scale:
    """Numbers from ``low`` to ``high`` on pixels from ``start`` to ``end``; others at an end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most so many round numbers within the scale."""
        return list(_round_numbers(self.low, self.high, most))


def _round_numbers(low: float, high: float, most: int) -> Iterator[float]:
    """Yield the multiples of 1, 2 or 5 times a power of ten between two numbers."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield round(i * step, 10)


def tick_text(value: float) -> str:
    """Return a number of an axis without needless digits."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def words(text: str, x: float, y: float, look: str = "", anchor: str | None = None) -> Markup:
    """Return a line of text; ``anchor`` is ``middle`` or ``end``."""
    return tag("text", text, x=float(x), y=float(y), class_=look or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Markup:
    """Return a straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=look)


def box(x1: float, y1: float, x2: float, y2: float, look: str, tip: str | None = None) -> Markup:
    """Return a rectangle between two corners."""
    width, height = max(x2 - x1, 0.0), max(y2 - y1, 0.0)
    return tag("rect", x=float(x1), y=float(y1), width=width, height=height, class_=look, data_tip=tip)


def mark(shape: int, x: float, y: float, look: str, scale: float = 1.0, tip: str | None = None) -> Markup:
    """Return one of ``SHAPES`` at a place."""
    place = f"translate({x:.1f} {y:.1f})" + (f" scale({scale:g})" if scale != 1 else "")
    return tag("path", d=SHAPES[shape % len(SHAPES)], transform=place, class_=look, data_tip=tip)


def two_lines(name: object, most: int, second: int) -> list[str]:
    """Return a name on one line of so many middling letters, or with a second one, which ``short`` cuts."""
    text = short(name, 2 * (most + second))
    if short(text, most) == text:
        return [text]
    words_of = text.split(" ")
    fit = [n for n in range(1, len(words_of)) if not short(" ".join(words_of[:n]), most).endswith("…")]
    if not fit:
        return [short(text, most)]
    return [" ".join(words_of[: fit[-1]]), short(" ".join(words_of[fit[-1] :]), second)]


@dataclass(frozen=True)
class Row:
    """A line of a chart by rows.

    Attributes:
        label: its name.
        number: the text at its end.
        draw: returns its marks on the scale at a height.
        tip: what is shown where the pointer is on it.
        strong: whether its name is set in bold.
    """

    label: str
    number: str
    draw: Callable[[Scale, float], Markup]
    tip: str
    strong: bool = False


@dataclass(frozen=True)
class Wide:
    """The measures of a wide chart in pixels: its width, the ends of its scale, the letters of a name."""

    width: int = WIDE
    start: float = 226.0
    end: float = 588.0
    letters: int = 32


@dataclass(frozen=True)
class RowChart:
    """A chart by rows, drawn wide (name, marks and number in a line) and narrow (name above its marks).

    Attributes:
        ident: its name in the page.
        title, description: for readers who do not see it.
        rows: from the top.
        low, high: ends of the scale.
        axis: what the scale means.
        behind: returns what lies behind the rows, between two heights.
        notes: lines of text above the rows, each at a place of the scale.
        wide: the measures of the wide drawing.
        numbers: what the numbers at the ends of the rows are.
    """

    ident: str
    title: str
    description: str
    rows: Sequence[Row]
    low: float
    high: float
    axis: str
    behind: Callable[[Scale, float, float], Markup] = lambda scale, top, bottom: Markup("")
    notes: Sequence[tuple[float, str]] = ()
    wide: Wide = Wide()
    numbers: str = ""

    def draw(self) -> Markup:
        """Return both drawings; the page shows the one that fits."""
        return self._one(wide=True) + self._one(wide=False)

    def _one(self, *, wide: bool) -> Markup:
        width, least = (self.wide.width, 23.0) if wide else (NARROW, 38.0)
        start, end = (self.wide.start, self.wide.end) if wide else (10.0, 348.0)
        scale = Scale(self.low, self.high, start, end)
        top = 6.0 + 16.0 * (len(self.notes) + bool(self.numbers))
        names = [self._name(row, wide=wide) for row in self.rows]
        steps = [least + LINE * (len(lines) - 1) for lines in names]
        bottom = top + sum(steps) + 4
        parts = [self.behind(scale, top - 4, bottom)]
        for place, (value, text) in enumerate(self.notes):
            parts.append(_note(text, scale(value), 12.0 + 16.0 * place, scale))
        if self.numbers:
            parts.append(words(self.numbers, width, top - 8.0, "tick", "end"))
        y = top
        for row, lines, step in zip(self.rows, names, steps, strict=True):
            middle = y + (step / 2 if wide else step - 10.0)
            look = "name strong" if row.strong else "name"
            first = middle + 4 - LINE / 2 * (len(lines) - 1) if wide else y + 15
            named = [words(text, 0, first + LINE * i, look) for i, text in enumerate(lines)]
            named.append(words(row.number, width, middle + 4 if wide else first, "value", "end"))
            ground = box(0.0, y, float(width), y + step, "ground")
            parts.append(tag("g", ground, *named, row.draw(scale, middle), class_="row", data_tip=row.tip))
            y += step
        axis = [line(scale.start, bottom, scale.end, bottom, "axis")]
        for value in scale.ticks(6 if wide else 5):
            axis.append(line(scale(value), bottom, scale(value), bottom + 4, "axis"))
            axis.append(words(tick_text(value), scale(value), bottom + 17, "tick", "middle"))
        middle = (scale.start + scale.end) / 2
        axis.append(words(self.axis, middle, bottom + 34, "axis-name", "middle"))
        ident, look = (f"{self.ident}-wide", "wide") if wide else (f"{self.ident}-narrow", "narrow")
        return svg(ident, width, bottom + 40, self.title, self.description, *parts, *axis, look=look)

    def _name(self, row: Row, *, wide: bool) -> list[str]:
        """Return the lines of a row's name; in a narrow chart the number stands beside the first."""
        second = (self.wide.letters if wide else 47) - 4 * row.strong
        return two_lines(row.label, second if wide else second - len(row.number), second)


def _note(text: str, x: float, y: float, scale: Scale) -> Markup:
    """Return a line of text at a place of the scale, on that side of it where it has room."""
    half = 3.1 * len(text)
    if x - half < scale.start:
        return words(text, max(x, scale.start), y, "tick")
    if x + half > scale.end:
        return words(text, min(x, scale.end), y, "tick", "end")
    return words(text, x, y, "tick", "middle")


def grid(scale: Scale, top: float, bottom: float) -> Markup:
    """Return hairlines at the ticks of a scale from left to right."""
    return Markup("").join(line(scale(value), top, scale(value), bottom, "hair") for value in scale.ticks())


def plate_look(index: int) -> tuple[int, str]:
    """Return shape and CSS class of a plate; 42 plates differ."""
    return index % len(SHAPES), f"p{index % len(BATCH_COLOURS)}"


def class_look(index: int) -> tuple[int, str]:
    """Return shape and CSS class of a class; 54 classes differ, the first six by shape alone."""
    colours, shapes = len(CLASS_COLOURS), len(SHAPES)
    return (index + index // (2 * colours)) % shapes, f"q{index % colours}"


def palette() -> str:
    """Return the CSS of the marks' colours: those of the figures, changed where they would be lost."""
    named = [(f"p{i}", colour) for i, colour in enumerate(BATCH_COLOURS)]
    named += [(f"q{i}", colour) for i, colour in enumerate(CLASS_COLOURS)]

    def rules(paper: str) -> str:
        return " ".join(f".{name} {{ --c: {legible(colour, paper)}; }}" for name, colour in named)

    return f"{rules(PAPER)}\n@media screen and (prefers-color-scheme: dark) {{ {rules(DARK_PAPER)} }}"


def legible(colour: str, paper: str) -> str:
    """Return a colour, mixed with black or white until it has ``CONTRAST`` with the paper."""
    end = 0 if _light(paper) > 0.5 else 255
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for percent in range(0, 101, 4):
        mixed = "#" + "".join(f"{round(part + (end - part) * percent / 100):02x}" for part in parts)
        if contrast(mixed, paper) >= CONTRAST:
            return mixed
    raise AssertionError(f"{colour} cannot be seen on {paper}.")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours by WCAG 2.1, from 1 to 21."""
    dark, light = sorted((_light(one), _light(other)))
    return (light + 0.05) / (dark + 0.05)


def _light(colour: str) -> float:
    """Return the relative luminance of a colour by WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
