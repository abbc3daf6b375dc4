"""Square charts of trust: is the stated confidence right, and is a call of use?"""

import math

import numpy as np
from markupsafe import Markup
from scipy import stats

from calib.plates.answer import Trust
from calib.plates.page.charts import EMPTY, records
from calib.report.numbers import number
from calib.report.page.intervals import ranged
from calib.report.page.svg import NARROW, Scale, box, line, mark, svg, tag, tick_text, words


def reliability(trust: Trust) -> Markup:
    """Return stated confidence against the share of right answers, with the number of units below."""
    table = trust.reliability.dropna(subset=["confidence", "accuracy"])
    if table.empty:
        return EMPTY
    reach = [wilson(float(item["accuracy"]), int(item["count"]))[0] for item in records(table)]
    low = math.floor(min(*reach, float(table["confidence"].min()), 0.5) * 10) / 10
    across, up = Scale(low, 1.0, 46.0, 346.0), Scale(low, 1.0, 236.0, 12.0)
    parts = [_frame(across, up, "stated confidence", "share of right answers")]
    parts.append(line(across(low), up(low), across(1.0), up(1.0), "dashed"))
    most = float(table["count"].max())
    points = []
    for item in records(table):
        x, y, n = across(float(item["confidence"])), float(item["accuracy"]), int(item["count"])
        first, last = wilson(y, n)
        height = 30 * n / most
        group = [
            box(x - 5, 308 - height, x + 5, 308.0, "bar"),
            line(x, up(first), x, up(last), "whisker"),
            mark(0, x, up(y), "point"),
        ]
        stated = number(float(item["confidence"]), 2)
        tip = f"stated {stated}, right {ranged(y, first, last)}, {n} {trust.unit}s"
        parts.append(tag("g", *group, data_tip=tip))
        points.append(f"{x:.1f},{up(y):.1f}")
    parts.insert(2, tag("polyline", points=" ".join(points), class_="path faint"))
    parts.append(words(f"{trust.unit}s in the bin (at most {int(most)})", across.start, 323, "tick"))
    return svg(
        "reliability",
        NARROW,
        332,
        "Reliability diagram",
        "Stated confidence against the share of right answers; on the dashed line both are equal.",
        *parts,
        look="square",
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of independent units (1927, doi 10.2307/2276774)."""
    if count < 1:
        return math.nan, math.nan
    z2 = float(stats.norm.ppf(0.975)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def benefit(trust: Trust) -> Markup:
    """Return the net benefit of the model, of treating all and of treating none; empty with more classes."""
    table = trust.benefit
    if table.empty:
        return EMPTY
    model = table["model"].to_numpy(float)
    high = max(float(np.nanmax(table[["model", "all"]].to_numpy(float))), 0.05)
    low = min(-0.15 * high, float(np.nanmin(model)))
    across, up = Scale(0.0, 1.0, 46.0, 346.0), Scale(low, high, 236.0, 12.0)
    parts = [_frame(across, up, "threshold of probability", "net benefit")]
    labels = {"none": "nobody", "all": "everybody", "model": "the model"}
    for name in ("none", "all", "model"):
        values = table[name].to_numpy(float)
        seen = np.isfinite(values) & (values >= low)
        places = zip(table["threshold"].to_numpy(float)[seen], values[seen], strict=True)
        points = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in places)
        parts.append(tag("polyline", points=points, class_=f"path {name}"))
    for i, name in enumerate(("model", "all", "none")):
        x = 46.0 + 104 * i
        parts.append(line(x, 292, x + 22, 292, f"path {name}"))
        parts.append(words(labels[name], x + 27, 296, "tick"))
    for item in records(table):
        x = across(float(item["threshold"]))
        half = 150.0 / len(table)
        tip = f"threshold {number(float(item['threshold']), 2)}: " + ", ".join(
            f"{labels[name]} {number(float(item[name]), 3)}" for name in ("model", "all", "none")
        )
        parts.append(box(x - half, 12.0, x + half, 236.0, "ground", tip))
    return svg(
        "benefit",
        NARROW,
        332,
        "Net benefit",
        "Net benefit against the threshold for the model, for treating everybody and for treating nobody.",
        *parts,
        look="square",
    )


def _frame(across: Scale, up: Scale, x_name: str, y_name: str) -> Markup:
    """Return the axes of a square chart."""
    parts = []
    for value in across.ticks(5):
        parts.append(line(across(value), up.start, across(value), up.start + 4, "axis"))
        parts.append(words(tick_text(value), across(value), up.start + 16, "tick", "middle"))
    for value in up.ticks(5):
        parts.append(line(across.start, up(value), across.end, up(value), "hair"))
        parts.append(words(tick_text(value), across.start - 7, up(value) + 4, "tick", "end"))
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(words(x_name, (across.start + across.end) / 2, up.start + 33, "axis-name", "middle"))
    middle = (up.start + up.end) / 2
    turned = tag(
        "text",
        y_name,
        transform=f"translate(11 {middle:.1f}) rotate(-90)",
        text_anchor="middle",
        class_="axis-name",
    )
    return EMPTY.join([*parts, turned])
