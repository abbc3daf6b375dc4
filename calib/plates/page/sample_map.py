"""The map of the samples: marks by plate and by call, what a tip says of each, and the legends."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from calib.plates.answer import Answer
from calib.plates.page.charts import key
from calib.report.page.svg import SHAPES, class_look, plate_look, short, svg, tag

MOST_POINTS = 4000
"""Most samples on the map."""

MAP_WIDTH = 1000
"""Width of the drawing in its own units, so that places are whole numbers."""


def sample_map(answer: Answer) -> dict[str, Any] | None:
    """Return the map of the samples: the drawing, its data for hovering, and its two legends."""
    table = answer.map.dropna(subset=["x", "y"])
    if table.empty:
        return None
    total = len(table)
    if total > MOST_POINTS:
        table = table.iloc[np.linspace(0, total - 1, MOST_POINTS).round().astype(int)]
    x, y = table["x"].to_numpy(float), table["y"].to_numpy(float)
    width, height = float(np.ptp(x)) or 1.0, float(np.ptp(y)) or 1.0
    tall = round(MAP_WIDTH * min(max(height / width, 0.5), 0.8))
    scale = min((MAP_WIDTH - 40) / width, (tall - 40) / height)
    across = ((x - (x.max() + x.min()) / 2) * scale + MAP_WIDTH / 2).round().astype(int)
    down = (tall / 2 - (y - (y.max() + y.min()) / 2) * scale).round().astype(int)
    plates = [str(name) for name in answer.design.plates["plate"]]
    plates += [name for name in dict.fromkeys(map(str, table["plate"])) if name not in plates]
    place = {name: i for i, name in enumerate(plates)}
    plate = [place[str(name)] for name in table["plate"]]
    klass, state = _map_classes(answer, table)
    size = {True: 1.9, False: 1.35}[len(table) <= 400] if len(table) <= 1500 else 0.95
    by_plate = [_use("a", *plate_look(p), u, v) for p, u, v in zip(plate, across, down, strict=True)]
    by_call = [
        _use("a", *class_look(c), u, v, s) if c >= 0 else _use("a", 0, "grey", u, v, s)
        for c, s, u, v in zip(klass, state, across, down, strict=True)
    ]
    shapes = [tag("path", d=path, id=f"a{i}", transform=f"scale({size})") for i, path in enumerate(SHAPES)]
    drawing = svg(
        "map",
        MAP_WIDTH,
        tall,
        "Map of the samples",
        "Two principal components of the calibrated data; a mark is a sample. The table of calls has the "
        "names.",
        tag("defs", *shapes),
        tag("g", *by_plate, class_="by-plate"),
        tag("g", *by_call, class_="by-call"),
        tag("circle", r=16, cx=-99, cy=-99, class_="ring"),
        look="map",
    )
    present = [i for i in range(len(answer.classes)) if i in set(klass)]
    return {
        "drawing": drawing,
        "data": {
            "plates": [short(name, 60) for name in plates],
            "classes": [short(name, 60) for name in answer.classes],
            "sample": [short(name, 60) for name in table["sample"]],
            "plate": plate,
            "call": klass,
            "state": state,
        },
        "plates": [(short(plates[i], 40), _key(*plate_look(i)), f"plate {i}") for i in sorted(set(plate))],
        "classes": [(short(answer.classes[i], 40), _key(*class_look(i)), f"call {i}") for i in present],
        "drawn": len(table),
        "total": total,
    }


def _map_classes(answer: Answer, table: pd.DataFrame) -> tuple[list[int], list[str]]:
    """Return the class of each sample, -1 without one, and its state: known, called or abstained."""
    index = {str(name): i for i, name in enumerate(answer.classes)}
    silent: set[tuple[str, str]] = set()
    if len(answer.calls):
        without = answer.calls[answer.calls["answer"] == "abstained"]
        silent = set(zip(without["plate"].astype(str), without["sample"].astype(str), strict=True))
    klass, state = [], []
    for item in table.itertuples():
        known = str(item.known)
        klass.append(index.get(known or str(item.call), -1))
        key = (str(item.plate), str(item.sample))
        state.append("k" if known in index else "a" if key in silent else "u")
    return klass, state


def _use(name: str, shape: int, look: str, x: int, y: int, state: str = "") -> Markup:
    """Return a mark of the map, in few letters since there are thousands."""
    return Markup(
        f'<use href="#{name}{shape}" x="{x}" y="{y}" class="{look}{" " + state if state else ""}"/>'
    )


def _key(shape: int, look: str) -> Markup:
    """Return a mark for the legend."""
    return key(SHAPES[shape], look)
