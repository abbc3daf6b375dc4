"""Figures are drawn only where what they show is new, and with the bytes that they have without keeping."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib.report.figures import gallery as gallery_module
from calib.report.figures.gallery import KEPT, Gallery, draw_waiting
from calib.report.figures.style import in_style, rendered

drawn: list[float] = []
"""What the drawer has drawn, in order."""


@in_style
def line(numbers: pd.DataFrame, stacked: bool = False) -> Figure:
    """Draw a line, and count."""
    drawn.append(float(numbers["y"].iloc[0]))
    figure = Figure(figsize=(1, 1))
    figure.add_artist(Line2D([0, 1], numbers["y"], color="r" if stacked else "b"))
    return figure


def report(folder: Path, *values: float, caption: str = "") -> list[float]:
    """Draw a gallery with a figure of each value, and return which were drawn."""
    drawn.clear()
    gallery = Gallery(folder)
    for place, value in enumerate(values):
        gallery.add(f"line_{place}", "A line", caption, line, pd.DataFrame({"y": [value, 1.0]}))
    draw_waiting([gallery])
    assert all((folder / name).is_file() for one in gallery.drawn for name in one.files)
    return sorted(set(drawn))


def test_only_what_shows_something_new_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(tmp_path, 1, 2) == [1, 2]
    files = {file.name: file for file in tmp_path.iterdir() if file.is_file()}
    assert sorted(files) == sorted(
        f"line_{i}{end}" for i in (0, 1) for end in (".png", ".pdf", "_stacked.png")
    )
    before = {name: file.read_bytes() for name, file in files.items()}
    plain = line(pd.DataFrame({"y": [2.0, 1.0]}))
    assert before["line_1.png"] == rendered(plain, "png")
    assert before["line_1.pdf"] == rendered(plain, "pdf")
    stamps = {name: file.stat().st_mtime_ns for name, file in files.items()}

    assert report(tmp_path, 1, 2, caption="words beside a figure are not drawn") == []
    assert {name: file.stat().st_mtime_ns for name, file in files.items()} == stamps

    files["line_0.png"].unlink()
    files["line_1.pdf"].write_bytes(b"somebody's")
    assert report(tmp_path, 1, 2) == []  # written again from what is kept
    assert {name: file.read_bytes() for name, file in files.items()} == before

    assert report(tmp_path, 1, 3) == [3]  # a record has changed
    assert len(list((tmp_path / KEPT).iterdir())) == 2  # nothing names what was drawn of 2
    assert report(tmp_path, 1, 2) == [2]
    assert {name: file.read_bytes() for name, file in files.items()} == before


def test_an_entry_that_is_gone_or_damaged_is_drawn_again(tmp_path: Path) -> None:
    report(tmp_path, 1, 2)
    right = (tmp_path / "line_0.png").read_bytes()
    first, second = sorted((tmp_path / KEPT).iterdir())
    second.unlink()
    assert report(tmp_path, 1, 2) == [2]
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    assert report(tmp_path, 1, 2) == [1]
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    first.write_bytes(bytes(changed))
    assert report(tmp_path, 1, 2) == [1]
    assert (tmp_path / "line_0.png").read_bytes() == right
    assert first.read_bytes() == content


def test_several_are_drawn_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def parallel(n_jobs: int, **_: object) -> object:
        asked.append(n_jobs)
        return lambda work: (call(*args, **kwargs) for call, args, kwargs in work)

    monkeypatch.setattr(gallery_module.joblib, "Parallel", parallel)
    gallery = Gallery(tmp_path)
    for value in range(3):
        gallery.add(f"line_{value}", "", "", line, pd.DataFrame({"y": [value, 1.0]}))
    draw_waiting([gallery], workers=2)
    draw_waiting([gallery], workers=2)
    assert asked == [2]  # nothing waits any more
