"""Figures: content, odd names, the same bytes twice, gaps; maps and their files."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from calib.data.split import Split, all_splits, parse_split
from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.evaluation.differential import differential, p_values
from calib.evaluation.distances import batch_distances
from calib.evaluation.separation import chosen_rows, silhouette, standardised
from calib.records.record import Record
from calib.report.figures import tsne
from calib.report.figures.curves import distance_figure, loss_figure
from calib.report.figures.features import MOST_SETS, overlap_figure
from calib.report.figures.gallery import draw_waiting
from calib.report.figures.layout import log_ticks
from calib.report.figures.maps import map_figure
from calib.report.figures.split_figures import draw_split
from calib.report.figures.study_figures import draw_study
from calib.report.figures.style import (
    DPI,
    STACKED,
    WIDTH,
    batch_look,
    class_look,
    in_style,
    literal,
    save,
    styled,
)
from calib.report.figures.tsne import Map, MapSettings, make_maps, project, record_map
from calib.runs.experiment import run
from calib.runs.run import load, make_run
from tests.conftest import ROOT, SMALL, compose

ODD = ["<script>alert(1)</script>", "cost $x_1$ or $", "_hidden\nname that goes on and on and on"]


def draw(figure: Figure) -> None:
    """Draw a figure, which makes its ticks, as saving does."""
    with styled():
        FigureCanvasAgg(figure).draw()


def words(figure: Figure) -> list[str]:
    """Return all text of a figure as drawn."""
    draw(figure)
    found = figure.findobj(Text)
    return [text.get_text() for text in found if isinstance(text, Text) and text.get_text()]


def made_study(batches: list[str], classes: list[str], rows: int = 26) -> Study:
    """Return a random study with these batches and classes."""
    rng = np.random.default_rng(0)
    made = {
        name: Batch(name, rng.gamma(2, 50, (rows + i, 6)), np.arange(rows + i) % len(classes), np.arange(rows + i) // 2 * 1)
        for i, name in enumerate(batches)
    }  # fmt: skip
    return Study("made", made, list("abcdef"), classes)


def made_map(study: Study) -> Map:
    """Return a random map of a study."""
    rng = np.random.default_rng(1)
    batch = np.repeat(np.arange(len(study.batches)), [len(b.x) for b in study.batches.values()])
    y = np.concatenate([b.y if b.y is not None else np.full(len(b.x), -1) for b in study.batches.values()])
    measured = {"batch": -0.0123, "class": 0.4567, "map_batch": 0.0, "map_class": float("nan")}
    return Map(rng.normal(size=(len(y), 2)), batch, y, measured)


def two_maps() -> Figure:
    """Return a figure of two maps."""
    study = made_study(["1", "2", "3"], ["control", "MI"])
    one = made_map(study)
    return map_figure(
        {"Raw data": one, "Other": one}, list(study.batches), study.classes, parse_split("12_3", study)
    )


def made_history(seed: int) -> pd.DataFrame:
    """Return the losses of a training."""
    epochs = np.arange(1, 21)
    noise = 1 + 0.1 * np.random.default_rng(seed).random(20)
    losses = {"L_C (A)": 0.078 * noise, "L_D": 80 / epochs * noise, "L_R": 1e7 * np.exp(-epochs) * noise}
    return pd.DataFrame({"training": "joint training", "epoch": epochs} | losses)


def assert_inside_and_apart(figure: Figure) -> None:
    """Assert that no text leaves the page and that no two texts overlap."""
    draw(figure)
    width, height = figure.bbox.width, figure.bbox.height
    hidden = set()  # ticks beyond the ends of an axis exist but are not drawn
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        ticks = {*axis.get_major_ticks(), *axis.get_minor_ticks()}
        drawn = set(axis._update_ticks()) if axis.axes.axison else set()
        hidden |= {tick.label1 for tick in ticks - drawn}
    boxes = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text not in hidden and text.get_text().strip() and text.get_visible():
            box = text.get_window_extent()
            if box.width and box.height:
                boxes.append((text.get_text(), box))
    for name, box in boxes:
        assert box.x0 >= -1, name
        assert box.x1 <= width + 1, name
        assert box.y0 >= -1, name
        assert box.y1 <= height + 1, name
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            down = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across < 1.5 or down < 1.5, f"{one!r} and {other!r}"


def test_the_user_s_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    study = made_study(["1", "2"], ["control", "case"])
    found = {"Samples": differential(p_values(study))}
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        save(overlap_figure(found, ["1", "2"]), tmp_path, "mine")
        assert dict(matplotlib.rcParams) == before
    save(overlap_figure(found, ["1", "2"]), tmp_path, "yours")
    for kind in ("png", "pdf"):
        assert (tmp_path / f"mine.{kind}").read_bytes() == (tmp_path / f"yours.{kind}").read_bytes()


def test_files_have_print_size_and_no_date(tmp_path: Path) -> None:
    png, pdf = save(loss_figure({"split 12_3": {0: made_history(0)}}), tmp_path / "new", "losses")
    assert imread(png).shape[1] == int(WIDTH * DPI)
    assert DPI >= 200
    assert b"CreationDate" not in pdf.read_bytes()
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["losses.pdf", "losses.png"]


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.report.test_figures import *; import calib.report.figures.draw\n"
        "save(two_maps(), Path(sys.argv[1]), 'maps'); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    for file in save(two_maps(), tmp_path / "here", "maps"):
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


@pytest.mark.parametrize("name", ODD)
def test_names_are_drawn_letter_by_letter(name: str) -> None:
    @in_style
    def drawn() -> Figure:
        figure = Figure()
        figure.text(0, 0, literal(name, 99))
        return figure

    (text,) = drawn().texts
    assert text.get_text().replace(r"\$", "$").lstrip("\N{ZERO WIDTH SPACE}") == " ".join(name.split())
    assert text._preprocess_math(text.get_text())[1] is not True  # not a formula


stacked_or_not = pytest.mark.parametrize("stacked", [False, True])


@stacked_or_not
def test_maps_say_what_they_are(stacked: bool) -> None:
    study = made_study(["1", "2", "3"], ["control", "MI"])
    one = made_map(study)
    figure = map_figure(
        {"Raw data": one, "ComBat": one},
        list(study.batches),
        study.classes,
        parse_split("12_3", study),
        stacked,
    )
    said = words(figure)
    assert {"a", "b", "Raw data", "ComBat"} <= set(said)
    assert figure.get_figwidth() == (STACKED if stacked else WIDTH)
    assert said.count("by batch: silhouette \N{MINUS SIGN}0.012") == 2
    assert said.count("by class: silhouette 0.457") == 2
    legends = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert legends == [["1 (source)", "2 (source)", "3 (target)"], ["control", "MI"]]
    assert_inside_and_apart(figure)


@stacked_or_not
def test_thirteen_classes_and_odd_batches_have_legible_legends(stacked: bool) -> None:
    classes = ["acinar", "activated_stellate", "alpha", "beta", "delta", "ductal", "endothelial", "epsilon",
               "gamma", "macrophage", "mast", "quiescent_stellate", "schwann"]  # fmt: skip
    study = made_study(ODD, classes)
    assert len({class_look(i) for i in range(13)}) == 13
    assert len({batch_look(i) for i in range(9)}) == 9
    split = Split((ODD[0], ODD[1]), (ODD[2],), "12_3")
    figure = map_figure({"Raw data": made_map(study)}, list(study.batches), study.classes, split, stacked)
    batches, kinds = ([text.get_text() for text in legend.get_texts()] for legend in figure.legends)
    assert kinds == classes
    assert [text.rpartition(" ")[2] for text in batches] == ["(source)", "(source)", "(target)"]
    assert batches[1] == r"cost \$x_1\$ or \$ (source)"  # after a backslash matplotlib draws the sign
    assert_inside_and_apart(figure)


def test_samples_without_labels_are_grey() -> None:
    study = made_study(["1", "2", "3"], ["control", "MI"])
    study = replace(study, batches=study.batches | {"3": replace(study.batches["3"], y=None)})
    figure = map_figure(
        {"Raw data": made_map(study)}, list(study.batches), study.classes, parse_split("12_3", study)
    )
    assert figure.legends[1].get_texts()[-1].get_text() == "no label"


@stacked_or_not
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_overlaps_of_any_number_of_batches(count: int, stacked: bool) -> None:
    names = [*ODD, "4", "5"][:count]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((200, count)) < 0.6, columns=names)
    figure = overlap_figure({"Samples": table, "Subjects": table}, names, {"Samples": 82}, stacked)
    said = words(figure)
    common = int(table.all(axis=1).sum())
    assert {"paper: 82", str(common), *(str(int(n)) for n in table.sum())} <= set(said)
    bars = next(axes for axes in figure.axes if axes.get_ylabel() == "features").patches
    assert len(bars) == min(2**count - 1, MOST_SETS)
    assert bars[0].get_height() == common
    assert_inside_and_apart(figure)


def test_a_batch_that_was_not_tested_keeps_the_other_colours() -> None:
    table = pd.DataFrame({"3": [True, False], "1": [False, True]})
    figure = overlap_figure({"Samples": table}, ["1", "2", "3"])
    bars = next(axes for axes in figure.axes if axes.get_ylabel() == "features").patches
    assert [matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in bars[1:]] == [
        batch_look(2)[0],
        batch_look(0)[0],
    ]


@stacked_or_not
@pytest.mark.parametrize("batches", [["1", "2", "3"], ["1", "2", "3", "4"], ODD])
def test_distances_of_every_method(batches: list[str], stacked: bool) -> None:
    rng = np.random.default_rng(0)
    data = {name: rng.normal(i, 1, (30, 3)).astype("float32") for i, name in enumerate(batches)}
    table = batch_distances(
        {"before": data, "after": {k: x - x.mean(0) for k, x in data.items()}}, 0, draws=4
    )
    floors = {(batches[0], batches[1]): 0.3}
    figure = distance_figure({"ComBat": table, "$odd$": table}, floors, stacked)
    pairs = len(batches) * (len(batches) - 1) // 2
    assert len(figure.axes) == 2 * pairs
    assert_inside_and_apart(figure)


@stacked_or_not
def test_loss_curves(stacked: bool) -> None:
    seeds = {0: made_history(0), 4: made_history(1)}
    figure = loss_figure({"split 12_3": seeds}, {"L_C (A)": 0.08}, stacked)
    panels = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_yscale() for axes in panels] == ["linear", "log", "log"]
    assert [len(axes.lines) for axes in panels] == [4, 3, 3]  # two seeds, their mean, the floor
    thin, mean = panels[0].lines[0], panels[0].lines[2]
    assert thin.get_linewidth() < mean.get_linewidth()
    said = words(figure)
    assert any("each of 2 seeds" in text for text in said)
    assert_inside_and_apart(figure)


def test_ticks_are_plain_numbers() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(0.01, 0.09)
    log_ticks(axes.xaxis, 0.01, 0.09)
    draw(figure)
    assert {"0.01", "0.02", "0.05"} <= {text.get_text() for text in axes.get_xticklabels()}


def test_silhouettes() -> None:
    rng = np.random.default_rng(0)
    x, group = np.concatenate([rng.normal(0, 1, (20, 3)), rng.normal(9, 1, (20, 3))]), np.repeat([0, 1], 20)
    assert silhouette(x, group) > 0.7
    assert abs(silhouette(x, np.tile([0, 1], 20))) < 0.1
    assert silhouette(x, np.where(np.arange(40) == 0, -1, group)) > 0.7
    assert np.isnan(silhouette(x, np.zeros(40, int)))
    assert np.isnan(silhouette(x, np.full(40, -1)))


def test_spaces_are_standardised() -> None:
    z = np.array([[1.0, 5, 1e8], [3, 5, 1e8], [5, 5, 1e8]], np.float32)
    np.testing.assert_allclose(standardised(z)[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    assert (standardised(z)[:, 1:] == 0).all()


def test_rows_are_drawn_by_number_and_seed_only() -> None:
    assert chosen_rows(7, 0, 7).tolist() == list(range(7))
    rows = chosen_rows(1000, 0, 50)
    assert len(set(rows.tolist())) == 50
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == chosen_rows(1000, 0, 50).tolist() != chosen_rows(1000, 1, 50).tolist()


def test_maps_are_the_same_twice_and_survive_collapse() -> None:
    x = np.random.default_rng(0).normal(size=(40, 5))
    x[20:] += 12
    xy = project(x, seed=0)
    assert xy.tobytes() == project(x, seed=0).tobytes()
    assert silhouette(xy, np.repeat([0, 1], 20)) > 0.5
    assert (project(np.ones((9, 3)), seed=0) == 0).all()
    assert project(x[:3], seed=0).shape == (3, 2)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Record, Study]:
    """Return a record with calibrated data, which is all that a map needs, and its study."""
    study = made_study(["1", "2"], ["control", "case"], rows=15)
    record = Record(tmp_path / "record")
    record.make_folder()
    sizes = [len(b.x) for b in study.batches.values()]
    np.savez(
        record.path / "embedding.npz", z=np.concatenate([b.x for b in study.batches.values()]).astype("float32"),
        batch=np.repeat(["1", "2"], sizes), row=np.concatenate([np.arange(n) for n in sizes]),
    )  # fmt: skip
    return record, study


def test_maps_are_kept_by_what_decides_them(written: tuple[Record, Study], tmp_path: Path) -> None:
    record, study = written
    maps = tmp_path / "maps"
    first = record_map(record, study, maps)
    (file,) = maps.iterdir()
    stamp = file.stat().st_mtime_ns
    again = record_map(record, study, maps)
    assert (file.stat().st_mtime_ns, first.silhouette) == (stamp, again.silhouette)
    np.testing.assert_array_equal(first.xy, again.xy)
    fewer = record_map(record, study, maps, MapSettings(seed=1, limit=20))
    assert len(fewer.xy) == len(fewer.y) == 20
    other = replace(study, batches=study.batches | {"2": replace(study.batches["2"], y=None)})
    assert (record_map(record, other, maps).y[15:] == -1).all()
    with np.load(file, allow_pickle=False) as stored:
        assert set(stored.files) == {"xy", "silhouette"}
    assert len(list(maps.iterdir())) == 3  # and nothing half-written


def test_a_hundred_records_are_mapped_once_a_space(
    written: tuple[Record, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, study = written
    with np.load(record.path / "embedding.npz") as stored:
        z, known = stored["z"], {name: stored[name] for name in ("batch", "row")}
    records = [Record(tmp_path / str(place)) for place in range(100)]
    for place, one in enumerate(records):
        one.make_folder()
        np.savez(one.path / "embedding.npz", z=z + place % 3, **known)
    mapped: list[bytes] = []

    def counted(x: np.ndarray, *_: int) -> np.ndarray:
        mapped.append(x.tobytes())
        return np.zeros((len(x), 2), np.float32)

    monkeypatch.setattr(tsne, "project", counted)
    maps, settings = tmp_path / "maps", MapSettings()
    assert len(list(make_maps(records, study, maps, settings, workers=1))) == 3
    for one in records:
        record_map(one, study, maps, settings)
    assert not list(make_maps(records, study, maps, settings, workers=1))
    assert len(mapped) == 3


def test_one_map_serves_all_records_with_the_same_data(written: tuple[Record, Study], tmp_path: Path) -> None:
    record, study = written
    twin = Record(tmp_path / "twin")
    twin.make_folder()
    shutil.copy(record.path / "embedding.npz", twin.path)
    maps = tmp_path / "maps"
    assert len(list(make_maps([record, twin], study, maps, MapSettings(), workers=1))) == 1
    assert len(list(maps.iterdir())) == 1
    assert not list(make_maps([twin], study, maps, MapSettings(), workers=1))


def test_records_that_have_no_map(written: tuple[Record, Study], tmp_path: Path) -> None:
    record, study = written
    with pytest.raises(CalibError, match="has batches that study"):
        record_map(record, made_study(["1", "x"], ["control", "case"]), tmp_path)
    (record.path / "embedding.npz").unlink()
    with pytest.raises(CalibError, match="force=true"):
        record_map(record, study, tmp_path)


def test_other_cells_than_the_paper_s_are_called_so_and_each_training_has_its_figure(tmp_path: Path) -> None:
    small = [
        f"out={tmp_path}",
        *SMALL,
        "dataset.name=pancreas_mini",
        "method.epochs=3",
        "method.batch_size=8",
    ]
    cells, data = load(compose(*small))
    (split, *_) = all_splits(cells)
    drawn = {}
    for training, more in (
        ("as_printed", ["method.epochs=3"]),
        ("converged", ["+tuned.converged.joint.epochs=4"]),
    ):
        config = compose(*small[:-2], "method.batch_size=8", f"training={training}", *more)
        run(config)
        gallery = draw_split({"joint": make_run(config, cells, data, split)}, tmp_path / "figures")
        drawn[training] = gallery.drawn[0]
    assert [one.name for one in drawn.values()] == [
        "tsne_pancreas_mini_12_3_paper_seed0",
        "tsne_pancreas_mini_12_3_paper_converged_seed0",
    ]
    for one in drawn.values():
        assert one.title.startswith("Figure 4 on other cells. t-SNE before and after each calibration: ")
        assert one.caption.endswith(
            "Not the paper's 4036 cells, but 300 cells of the paper's three protocols, 6 types."
        )
    assert "protocol paper, training converged" in drawn["converged"].title


def test_a_split_is_drawn_as_far_as_it_was_run(tmp_path: Path) -> None:
    small = [*SMALL, "method.epochs=3", "method.batch_size=8"]
    config = compose(f"out={tmp_path}", *small)
    run(config)
    study, data = load(config)
    splits = all_splits(study)
    runs = {
        name: make_run(compose(f"out={tmp_path}", f"method={name}", *small), study, data, splits[0])
        for name in ("joint", "recon_t")
    }
    folder = tmp_path / "figures"
    gallery = draw_split(runs, folder)
    assert gallery.missing == ["demo 12_3 recon_t, protocol paper, seed 0 has not been run."]
    joints = {one.label: {0: make_run(config, study, data, one)} for one in splits}
    whole = draw_study(study, {"paper": joints}, folder)
    assert "Joint training on demo split 13_2, protocol paper, has not been run." in whole.missing
    draw_waiting([gallery, whole])
    drawn = [*gallery.drawn, *whole.drawn]
    assert [one.name.partition("_")[0] for one in drawn] == ["tsne", "S1b", "S1a", "losses"]
    for one in drawn:
        assert one.stacked == f"{one.name}_stacked.png"
        assert all((folder / file).stat().st_size > 1000 for file in one.files)
        assert one.caption
    listed = json.loads((folder / "figures_demo_12_3_paper_seed0.json").read_text())
    assert [one["name"] for one in listed["figures"]] == [one.name for one in gallery.drawn]
    silhouettes = pd.read_csv(folder / "silhouettes_demo_12_3_paper_seed0.csv")
    assert silhouettes["method"].tolist() == ["joint"]
