"""Figures written to a folder, each with a caption that says what was drawn."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import joblib
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from calib.errors import DamagedError
from calib.files import read_table, safe_name
from calib.records.kept import Kept, content_key
from calib.records.record import Record
from calib.report.figures.style import rendered
from calib.runs.run import AS_PRINTED, Run

T = TypeVar("T")

KEPT = "kept"
"""Folder beside the figures in which they are kept by their content."""


@dataclass(frozen=True)
class Drawn:
    """A figure that has been written.

    Attributes:
        name: kind, study and, if it depends on them, split, protocol and seed.
        title: one line.
        caption: what was drawn.
        files: names of its files.
        stacked: name of the file with the panels below each other, for phones; "" without one.
    """

    name: str
    title: str
    caption: str
    files: list[str]
    stacked: str = ""


@dataclass(frozen=True)
class Drawing:
    """What a figure shows: the function that draws it, and what it is given.

    Attributes:
        name: name of the files without ending.
        draw: a function of a module, which draws the same figure of the same values.
        of: its arguments, of types that ``content_key`` knows.
        stacked: whether it also takes ``stacked=True``, and then puts panels below each other, for phones.
    """

    name: str
    draw: Callable[..., Figure]
    of: tuple[Any, ...]
    stacked: bool

    @property
    def key(self) -> str:
        """Return the hash of all that is drawn."""
        return content_key(self.draw.__module__, self.draw.__qualname__, self.of, self.stacked)

    @property
    def parts(self) -> dict[str, str]:
        """Return the names of its files by the part of the kept entry that they hold."""
        phone = {"stacked": f"{self.name}_stacked.png"} if self.stacked else {}
        return {"png": f"{self.name}.png", "pdf": f"{self.name}.pdf"} | phone

    def drawn(self) -> dict[str, bytes]:
        """Draw the figure, and return the content of its files by part."""
        figure = self.draw(*self.of)
        made = {kind: rendered(figure, kind) for kind in ("png", "pdf")}
        if self.stacked:
            made["stacked"] = rendered(self.draw(*self.of, stacked=True), "png")
        return made


@dataclass
class Gallery:
    """Figures in a folder, and the gaps among them; the same content is drawn once (``calib.records.kept``).

    Attributes:
        folder: where the figures are written; it is created.
        drawn: the figures; their files are there after ``draw_waiting``.
        missing: a sentence for each gap.
        waiting: the figures that have not been written yet.
    """

    folder: Path
    drawn: list[Drawn] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waiting: list[Drawing] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the folder.

        Raises:
            CalibError: the place cannot be written to.
        """
        Record(self.folder).make_folder()

    def add(
        self,
        name: str,
        title: str,
        caption: str,
        draw: Callable[..., Figure],
        *of: object,
        stacked: bool = True,
    ) -> None:
        """Add a figure, as PNG and PDF, and its panels below each other as a PNG for phones.

        Args:
            name: kind, study and, if it depends on them, split, protocol and seed.
            title, caption: text beside the figure.
            draw, of, stacked: see ``Drawing``.
        """
        drawing = Drawing(safe_name(name), draw, of, stacked)
        self.waiting.append(drawing)
        files = drawing.parts
        self.drawn.append(Drawn(drawing.name, title, caption, [*files.values()], files.get("stacked", "")))

    def write_list(self, name: str) -> None:
        """Write names, captions and gaps to ``<name>.json``."""
        content = {"figures": [asdict(figure) for figure in self.drawn], "missing": self.missing}
        Record(self.folder).write_text(f"{safe_name(name)}.json", json.dumps(content, indent=1))


def draw_waiting(galleries: Sequence[Gallery], workers: int = 1, title: str = "figures") -> None:
    """Write the figures that wait: those that are kept at once, the others drawn, several at a time.

    Raises:
        CalibError: a folder cannot be written to.
    """
    missing = []
    for gallery in galleries:
        for drawing in gallery.waiting:
            key = drawing.key
            parts = Kept(gallery.folder / KEPT).find(drawing.name, key, drawing.parts)
            if parts is None:
                missing.append(joblib.delayed(_draw)(drawing, key, gallery.folder))
            else:
                _write(drawing, parts, gallery.folder)
        gallery.waiting.clear()
    if missing:
        made = joblib.Parallel(n_jobs=min(workers, len(missing)), return_as="generator_unordered")(missing)
        for _ in tqdm(made, desc=title, total=len(missing), unit="figure", disable=None):
            pass


def _draw(drawing: Drawing, key: str, folder: Path) -> None:
    """Draw a figure, keep it, and write its files."""
    parts = drawing.drawn()
    Kept(folder / KEPT).keep(drawing.name, key, parts)
    _write(drawing, parts, folder)


def _write(drawing: Drawing, parts: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a figure that are not there yet."""
    for part, name in drawing.parts.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != parts[part]:
            Record(folder).write(name, partial(Path.write_bytes, data=parts[part]))


def tables_of(
    runs: Mapping[T, Run], name: str, dtype: Mapping[str, type] | None = None
) -> tuple[dict[T, pd.DataFrame], list[T]]:
    """Return a table of each finished run's record, and the runs whose records have none.

    A run with ``keep=predictions`` has none, and neither has one that was laid out from the archive.
    """
    found: dict[T, pd.DataFrame] = {}
    for place, run in runs.items():
        with suppress(DamagedError):
            found[place] = read_table(run.record.path / name, dtype=dtype)
    return found, [place for place in runs if place not in found]


def rules_of(run: Run) -> str:
    """Return the protocol of a run, and its training unless that has the printed rates."""
    config = run.config
    training = "" if config.training == AS_PRINTED else f", training {config.training}"
    return f"{config.protocol.name}{training}"


def map_folder(run: Run) -> Path:
    """Return the folder with the maps of a run's study, those of every method, split and seed."""
    return Path(str(run.config.out)) / "maps" / safe_name(run.study.name)
