"""Grid search by leaving a source out: the runs, the choice, and that no target takes part in it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

import calib.runs.experiment
from calib.commands import search as search_command
from calib.data.simulate import demo_study
from calib.data.split import Split, leave_one_source_out, parse_split
from calib.data.study import Study
from calib.errors import CalibError, SplitError
from calib.runs.cli import main as command_line
from calib.runs.experiment import run
from calib.runs.launch import carry_out_all
from calib.runs.schedule import Scheduled
from calib.runs.search import RULE, Search, Setting, Trial, choose, read_grid
from tests.conftest import CONF, ROOT, SMALL, compose, fast

TINY = [*SMALL, *fast("joint")]
GRID = "hydra: {sweeper: {params: {method.lr: '1e-3,1e-1'}}}\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Return a configuration folder with a grid of two learning rates, ``tiny``."""
    copy = tmp_path / "conf"
    shutil.copytree(CONF, copy)
    (copy / "search" / "tiny.yaml").write_text(GRID)
    return copy


@pytest.fixture
def script(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that calls ``calib search`` on the grid ``tiny`` and returns its exit code."""
    monkeypatch.setattr(search_command, "CONF", conf)

    def call(*arguments: str) -> int:
        typed = ["--search", "tiny", "--launcher", "basic", *arguments]
        monkeypatch.setattr(sys, "argv", ["calib search", *typed])
        return search_command.main(search_command.parser().parse_args(typed))

    return call


def recorded(out: Path) -> list[str]:
    """Return the splits of all records."""
    return sorted(json.loads(f.read_text())["split"] for f in out.glob("runs/*/*/*/result.json"))


def test_every_source_is_left_out_once(study: Study) -> None:
    assert [s.label for s in leave_one_source_out(parse_split("12_3", study), study)] == ["2_1", "1_2"]
    five = {str(i): replace(study.batches["1"], name=str(i)) for i in range(1, 6)}
    many = replace(study, batches=five)
    assert [s.label for s in leave_one_source_out(parse_split("415_23", many), many)] == [
        "15_4",
        "45_1",
        "41_5",
    ]
    with pytest.raises(SplitError, match=r"split=1_23 has one source, '1', so none can be left out"):
        leave_one_source_out(parse_split("1_23", study), study)


@pytest.mark.parametrize(
    "label",
    ["12_3", "plate_1+lab B:x", "O'Neil+b:c", 'a+"b":c', r"a\b+c:d", r"a\'b+c:d", "a+b:c\\", "a,b+c=(1):é"],
)
def test_hydra_reads_the_name_of_a_split_as_it_is(label: str) -> None:
    override = Split((), (), label).override
    assert OverridesParser.create().parse_override(override).value() == label


@pytest.mark.parametrize(
    ("study", "search", "count"),
    [("mi", "weights_grid", 18), ("pancreas", "weights_grid", 18), ("chd", "steps_grid", 9)],
)
def test_the_papers_values_are_in_the_grids(study: str, search: str, count: int) -> None:
    settings, published = read_grid(CONF, search, [f"dataset={study}"])
    assert len(settings) == count  # the published one is in the grid and has not been added
    assert settings.count(published) == 1
    assert all(one.values.get("method.alpha1") == one.values.get("method.alpha2") for one in settings)
    config = compose(f"dataset={study}")
    for key, value in published.values.items():
        assert config.method[key.removeprefix("method.")] == value


def test_a_grid_is_in_hydras_order_and_gets_the_published_values(conf: Path) -> None:
    grid = "hydra: {sweeper: {params: {method.gamma: '1,2', method.beta: 'range(3,5)', method.alpha1: 7}}}\n"
    (conf / "search" / "other.yaml").write_text(grid)
    settings, published = read_grid(conf, "other", ["dataset=mi"])
    assert published.overrides == ("method.alpha1=10", "method.beta=10", "method.gamma=0.01")
    assert [" ".join(one.overrides) for one in settings[:2]] == [
        "method.alpha1=7 method.beta=3 method.gamma=1",
        "method.alpha1=7 method.beta=4 method.gamma=1",
    ]
    assert len(settings) == 5
    assert settings[-1] == published
    assert settings[0].changes(published) == list(settings[0].overrides)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("method: {beta: 1}\n", "lists no values below hydra.sweeper.params"),
        ("hydra: {sweeper: {params: {seed: '1,2'}}}\n", "varies seed; only settings of a method"),
        ("hydra: {sweeper: {params: {method.alfa1: '1,2'}}}\n", "varies method.alfa1, which method=joint"),
    ],
)
def test_a_wrong_grid_is_one_sentence(grid: str, sentence: str, conf: Path) -> None:
    (conf / "search" / "wrong.yaml").write_text(grid)
    with pytest.raises(CalibError, match=re.escape(sentence)):
        read_grid(conf, "wrong", ["dataset=demo"])


PUBLISHED = Setting({"a": 10, "b": 1})


def trial(a: float, b: float, *accuracy: float | None) -> Trial:
    """Return a trial with one seed and an accuracy for each source left out."""
    return Trial(Setting({"a": a, "b": b}), {str(i): [value] for i, value in enumerate(accuracy)})


def test_the_highest_mean_is_chosen() -> None:
    trials = [trial(1, 1, 0.5, 0.9), trial(10, 1, 0.6, 0.6), trial(100, 1, 0.8, 0.65)]
    chosen = choose(trials, PUBLISHED)
    assert chosen is trials[2]
    assert chosen.score == pytest.approx(0.725)
    assert chosen.spread == pytest.approx(np.std([0.8, 0.65], ddof=1))


def test_equal_means_go_to_the_published_values_then_to_the_first() -> None:
    tied = [trial(1, 2, 0.7, 0.8), trial(1, 1, 0.8, 0.7), trial(10, 2, 0.75, 0.75), trial(10, 1, 0.7, 0.8)]
    assert choose(tied, PUBLISHED) is tied[3]
    assert choose(tied[:3], PUBLISHED) is tied[1]  # the first of two settings with one changed value
    assert choose(tied[:1], PUBLISHED) is tied[0]
    sums = [trial(1, 1, 0.1, 0.2, 0.3), trial(10, 1, 0.3, 0.2, 0.1)]  # their sums differ in the last digit
    assert choose(sums, PUBLISHED) is sums[1]


def test_a_setting_that_lacks_a_run_is_not_chosen() -> None:
    trials = [trial(1, 1, 0.9, None), trial(10, 1, 0.0, 0.0)]
    assert choose(trials, PUBLISHED) is trials[1]
    assert choose(trials[:1], PUBLISHED) is None
    assert (trials[0].missing, trials[0].score, trials[0].spread) == (1, None, None)


@pytest.mark.slow
def test_a_search_from_runs_to_table_and_after_an_interruption(
    script: Callable[..., int],
    conf: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    arguments = ["--split", "13_2", "--seeds", "0,1", "--out", str(out), "--set", *TINY]
    assert script(*arguments, "--dry-run") == 0
    assert "8, 0 recorded; 8 to make" in capsys.readouterr().out
    assert not out.exists()
    assert script(*arguments) == 0
    said = capsys.readouterr().out
    assert RULE in said
    assert "trained on one source, as the split has two" in said
    table = pd.read_csv(out / "search" / "demo_13_2_tiny_joint_paper.csv")
    assert list(table) == [
        "lr", "left_out_1", "left_out_3", "mean", "sd", "missing", "chosen", "published", "target_2",
    ]  # fmt: skip
    assert table["lr"].tolist() == [0.001, 0.1]
    np.testing.assert_allclose(table["mean"], (table["left_out_1"] + table["left_out_3"]) / 2, atol=1e-6)
    (chosen,) = table.index[table["chosen"]]
    assert table["mean"][chosen] == table["mean"].max()
    assert table["lr"][table["published"]].tolist() == [compose().method.lr]
    ran = table["chosen"] | table["published"]
    assert table["target_2"].notna().tolist() == ran.tolist()
    assert recorded(out) == sorted(["3_1", "1_3"] * 4 + ["13_2"] * 2 * int(ran.sum()))

    files = sorted(out.glob("runs/demo/3_1/*/result.json"))
    before = {file: file.stat().st_mtime_ns for file in files}
    files[1].unlink()  # as after an interruption
    first = (out / "search" / "demo_13_2_tiny_joint_paper.csv").read_bytes()
    assert script(*arguments) == 0
    assert [file for file in files if file.stat().st_mtime_ns != before[file]] == [files[1]]
    assert (out / "search" / "demo_13_2_tiny_joint_paper.csv").read_bytes() == first
    capsys.readouterr()

    monkeypatch.setattr(calib.runs.experiment, "carry_out", lambda _: pytest.fail("a run was made again"))
    assert script(*arguments) == 0
    again = capsys.readouterr().out
    assert "8, 8 recorded; none to make" in again
    (typed,) = [line for line in again.splitlines() if line.startswith("python run.py")]
    monkeypatch.setattr(sys, "argv", [*shlex.split(typed)[1:], "hydra/launcher=basic"])
    command_line(run, conf)  # the printed command names a finished run


def searched(conf: Path, out: Path) -> list[Trial]:
    """Return the trials of split 12_3 of the demo study, after its inner runs."""
    search = Search(conf, out, "demo", "joint", "paper", "tiny", also=TINY)
    (split,) = search.splits("12_3")
    jobs = search.inner_jobs([split])
    for job in jobs:
        assert set(job.run.split.sources + job.run.split.targets) == {"1", "2"}
    assert not carry_out_all([Scheduled(job, 1.0) for job in jobs], conf, "basic")
    return search.trials(split)


def spoiled(study: Study) -> Study:
    """Return the study with other data, random labels and fewer samples in batch 3."""
    rng = np.random.default_rng(0)
    target = study.batches["3"]
    y = rng.permutation(target.y)[:-4]
    x = rng.exponential(1e6, target.x[:-4].shape)
    return replace(study, batches=study.batches | {"3": replace(target, x=x, y=y, subject=None)})


def test_the_target_has_no_say(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(**settings: object) -> Study:
        return spoiled(demo_study(**settings))

    true = searched(conf, tmp_path / "true")
    changed.__module__ = demo_study.__module__  # else the configuration would refuse to call it
    monkeypatch.setattr("calib.data.simulate.demo_study", changed)
    other = searched(conf, tmp_path / "other")
    assert true == other
    assert len({one.score for one in true}) > 1
    for kind in ("predictions.csv", "history.csv", "embedding.npz"):
        files = [sorted((tmp_path / which).rglob(kind)) for which in ("true", "other")]
        contents = [sorted(file.read_bytes() for file in found) for found in files]
        assert len(contents[0]) == 4
        assert contents[0] == contents[1]


def test_runs_that_several_splits_need_are_made_once(conf: Path, tmp_path: Path) -> None:
    four = [*fast("joint"), "dataset.subjects=[8,6,9,5]", *SMALL[1:]]
    search = Search(conf, tmp_path, "demo", "joint", "paper", "tiny", also=four)
    splits = [*search.splits("12_3"), *search.splits("12_4"), *search.splits("12_34")]
    assert len(search.inner_jobs(splits)) == 2 * 2
    assert len(search.inner_jobs(search.splits("all"))) == 2 * 12
    (triple,) = search.splits("123_4")
    assert {job.run.split.label for job in search.inner_jobs([triple])} == {"23_1", "13_2", "12_3"}


def test_failed_runs_are_told_and_their_setting_is_not_eligible(
    script: Callable[..., int], conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (conf / "search" / "tiny.yaml").write_text(GRID.replace("1e-1", "1e30"))
    out = tmp_path / "out"
    assert script("--out", str(out), "--set", *TINY) == 1
    said = capsys.readouterr().out
    assert "Not eligible, 2 runs are missing: lr=1e+30" in said
    assert len(re.findall(r"^Failed: demo \d_\d joint.*method.lr=1e\+30: .*lower the", said, re.M)) == 2
    table = pd.read_csv(out / "search" / "demo_12_3_tiny_joint_paper.csv")
    assert table["missing"].tolist() == [0, 2]
    assert table["mean"].isna().tolist() == [False, True]
    assert table["chosen"].sum() == 1


def test_nothing_is_chosen_where_every_setting_lacks_a_run(
    script: Callable[..., int], conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("--out", str(tmp_path), "--set", *SMALL, "method.epochs=1", "method.gamma=1e300") == 1
    assert "Nothing is chosen: every setting lacks a run" in capsys.readouterr().out


def test_plates_with_awkward_names(
    script: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    plates = ["north 1", "O'Neil", 'the "new" one', "a_b", *(f"p_{i}" for i in range(8))]
    rows = [
        [plate, "sick" if i % 2 else "healthy", *rng.gamma(2, 100 * (1 + i % 2), 4)]
        for plate in plates
        for i in range(12)
    ]
    table = pd.DataFrame(rows, columns=["batch", "label", "a", "b", "c", "d"])
    table.loc[table["batch"] == "a_b", "label"] = "unknown"
    table.to_csv(file := tmp_path / "plates.csv", index=False)
    out = tmp_path / "out"
    split = 'north 1+O\'Neil+the "new" one:a_b+p_0'
    also = [f"dataset.path={file}", "dataset.name=plates", *fast("joint")]
    arguments = ["--study", "table", "--split", split, "--out", str(out), "--set", *also]
    assert script(*arguments) == 0
    assert set(recorded(out)) == {
        split, "O'Neil+the \"new\" one:north 1", "north 1+the \"new\" one:O'Neil", "north 1+O'Neil:the \"new\" one",
    }  # fmt: skip
    (written,) = (out / "search").glob("plates_north-1*.csv")
    found = pd.read_csv(written)
    assert {"left_out_north 1", "left_out_O'Neil", 'left_out_the "new" one', "target_p_0"} <= set(found)
    assert found["target_a_b"].isna().all()  # it has no labels
    said = capsys.readouterr().out
    assert "trained on 2 of the 3 sources" in said
    (typed,) = [line for line in said.splitlines() if line.startswith("python run.py")]
    monkeypatch.setattr(calib.runs.experiment, "carry_out", lambda _: pytest.fail("another run was made"))
    monkeypatch.setattr(sys, "argv", shlex.split(typed)[1:])
    command_line(run, CONF)
    with pytest.raises(CalibError, match=r"Batch 'a_b' has no labels"):
        script(*arguments, "--split", "north 1+a_b:O'Neil")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--search", "tinny"], "search=tinny is not one of: joint_plus_fine_grid, joint_plus_grid, steps_grid, tiny, weights_grid; did you mean 'tiny'?"),
        (["--split", "1_23"], "has one source, '1', so none can be left out"),
        (["--split", "12_5"], "has no batch 5"),
        (["--split", "all", "--set", "dataset.n_sources=1"], "split=1_23 has one source"),
        (["--method", "baseline"], "varies method.lr, which method=baseline does not have"),
        (["--seeds=-1"], "seed=-1 must be a whole number of at least 0"),
    ],
)  # fmt: skip
def test_errors(arguments: list[str], sentence: str, script: Callable[..., int], tmp_path: Path) -> None:
    with pytest.raises(CalibError, match=re.escape(sentence)):
        script(*arguments, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_from_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "search.py"), "--study", "MI"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: dataset=MI is unknown; did you mean 'mi'?")
    assert done.stderr.count("\n") == 1
