"""Figures written to a folder, each with a caption that says what was drawn."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from calib.files import safe_name
from calib.records.record import Record
from calib.report.figures.style import save
from calib.runs.run import AS_PRINTED, Run


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


def both(draw: Callable[..., Figure], *of: object) -> tuple[Figure, Figure]:
    """Return a figure as for paper, and with its panels below each other for phones."""
    return draw(*of), draw(*of, stacked=True)


@dataclass
class Gallery:
    """Figures in a folder, and the gaps among them.

    Attributes:
        folder: where the figures are written; it is created.
        drawn: the figures.
        missing: a sentence for each gap.
    """

    folder: Path
    drawn: list[Drawn] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the folder.

        Raises:
            CalibError: the place cannot be written to.
        """
        Record(self.folder).make_folder()

    def add(self, name: str, title: str, caption: str, figure: Figure, stacked: Figure | None = None) -> None:
        """Write a figure as PNG and PDF, and its panels below each other as a PNG for phones."""
        name = safe_name(name)
        files = [file.name for file in save(figure, self.folder, name)]
        phone = save(stacked, self.folder, f"{name}_stacked", kinds=("png",))[0].name if stacked else ""
        self.drawn.append(Drawn(name, title, caption, [*files, *([phone] if phone else [])], phone))

    def write_list(self, name: str) -> None:
        """Write names, captions and gaps to ``<name>.json``."""
        content = {"figures": [asdict(figure) for figure in self.drawn], "missing": self.missing}
        Record(self.folder).write_text(f"{safe_name(name)}.json", json.dumps(content, indent=1))


def rules_of(run: Run) -> str:
    """Return the protocol of a run, and its training unless that has the printed rates."""
    config = run.config
    training = "" if config.training == AS_PRINTED else f", training {config.training}"
    return f"{config.protocol.name}{training}"


def map_folder(run: Run) -> Path:
    """Return the folder with the maps of a run's study, those of every method, split and seed."""
    return Path(str(run.config.out)) / "maps" / safe_name(run.study.name)
