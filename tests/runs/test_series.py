"""Many runs at once: the plan, the order, failures and interruptions, and the way from runs to the page."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
import requests
import yaml
from hydra.errors import MissingConfigException

from calib.commands import reproduce as reproduce_command
from calib.errors import CalibError
from calib.records.record import RESULT
from calib.runs.launch import carry_out_all
from calib.runs.planner import Planner
from calib.runs.schedule import guessed_seconds, plan_table, schedule
from calib.runs.series import Series, read_series
from tests.conftest import CONF, SMALL, fast
from tests.faults import allow_interrupts, script

FILE = CONF / "reproduce.yaml"
TINY = " ".join(SMALL)
CHAIN = ("joint", "baseline", "combat", "cross_validation")


def tiny(*methods: str, seeds: tuple[int, ...] = (0,)) -> list[Series]:
    """Return series of runs that take no time, one for each method."""
    return [
        Series(
            ["demo"],
            [method],
            ["paper"],
            seeds,
            [" ".join(o.replace(" ", "") for o in [*SMALL, *fast(method)])],
        )
        for method in methods
    ]


def planned(out: Path, *methods: str, seeds: tuple[int, ...] = (0,)) -> list:
    """Return the jobs of ``tiny`` series."""
    return list(Planner(CONF, out).jobs(tiny(*methods, seeds=seeds)))


def test_every_listed_series_can_be_planned_by_name() -> None:
    for name in ("paper", "demo", "notes"):
        assert all(read_series(FILE, name))
    assert len(read_series(FILE, "paper,demo")) == len(read_series(FILE, "paper")) + len(
        read_series(FILE, "demo")
    )
    with pytest.raises(CalibError, match="series=papper is not one of: paper, readings, demo"):
        read_series(FILE, "papper")


def test_a_series_is_narrowed_and_its_seeds_replaced() -> None:
    one = Series(["mi", "chd"], ["joint", "combat"], ["paper"], [0, 1])
    some = one.narrowed(studies=["chd"], methods=["combat", "desc"], seeds=[7])
    assert (some.studies, some.methods, some.protocols, some.seeds) == (["chd"], ["combat"], ["paper"], [7])
    assert not one.narrowed(protocols=["released"])
    assert some.commands({}) == ["python run.py -m split=all dataset=chd method=combat protocol=paper seed=7"]


def test_the_plan_is_all_splits_once(tmp_path: Path) -> None:
    series = tiny("joint", seeds=(0, 1))
    jobs = list(Planner(CONF, tmp_path).jobs([*series, *series]))
    assert [(job.run.split.label, job.run.config.seed) for job in jobs] == [
        (split, seed) for seed in (0, 1) for split in ("12_3", "13_2", "23_1")
    ]
    assert not list(tmp_path.iterdir())


def test_makers_of_a_correction_come_first_and_the_longest_before_the_short(tmp_path: Path) -> None:
    jobs = planned(tmp_path, "baseline", "joint", "normae", "desc")
    guesses = {"runs": {"joint": 30.0, "baseline": 8.0, "normae": 1.0, "desc": 1.0}, "corrections": {"normae": 500.0, "desc": 40.0}, "studies": {"demo": 0.5}}  # fmt: skip
    ordered = schedule(jobs, guesses)
    names = [str(one.job.run.config.method.name) for one in ordered]
    assert names[:2] == ["normae", "desc"]
    assert names[2:5] == ["joint"] * 3
    assert [one.seconds for one in ordered[:3]] == [250.5, 20.5, 15.0]
    assert sorted(names) == sorted(str(job.run.config.method.name) for job in jobs)


def test_what_is_recorded_is_not_made_again_and_tells_the_time(tmp_path: Path) -> None:
    jobs = planned(tmp_path, "baseline")
    first = schedule(jobs, guessed_seconds(CONF))
    assert carry_out_all(first[:1], CONF, "basic") == {}
    left = schedule(jobs, guessed_seconds(CONF))
    assert [one.job.run.split.label for one in left] == ["13_2", "23_1"]
    done = first[0].job.finished
    assert done is not None
    assert left[0].seconds == pytest.approx(done.result["seconds"]["total"])
    *_, total = plan_table(jobs, left)
    assert "3 runs, 1 recorded; 2 to make" in total


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_failed_run_stops_no_other(launcher: str, tmp_path: Path) -> None:
    bad = Series(
        ["demo"], ["joint"], ["paper"], [0], [f"{TINY} method.epochs=3 method.batch_size=8 method.lr=1e30"]
    )
    jobs = list(Planner(CONF, tmp_path).jobs([bad, *tiny("baseline")]))
    failures = carry_out_all(schedule(jobs, guessed_seconds(CONF)), CONF, launcher, workers=2)
    assert len(failures) == 3
    assert all(name.startswith("demo") and "joint, protocol paper, seed 0" in name for name in failures)
    assert all("lower the learning rate" in why for why in failures.values())
    assert len(list(tmp_path.rglob(RESULT))) == 3


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_run_that_diverges_keeps_its_losses_and_its_reason(launcher: str, tmp_path: Path) -> None:
    lr = f"{TINY} method.epochs=20 method.batch_size=8 method.lr=1e12"
    jobs = list(Planner(CONF, tmp_path).jobs([Series(["demo"], ["joint"], ["paper"], [0], [lr])]))[:1]
    (why,) = carry_out_all(schedule(jobs, guessed_seconds(CONF)), CONF, launcher, workers=1).values()
    (error,) = tmp_path.glob("runs/*/*/*/error.txt")
    told = error.read_text().splitlines()[-1]
    assert told == f"calib.errors.DivergedError: {why}"
    found = re.search(
        r"a loss is no longer a finite number in epoch (\d+) \(.*L_C \(A\) .*\); lower the", why
    )
    assert found
    history = pd.read_csv(error.with_name("history.csv"))
    assert history["epoch"].tolist() == list(range(1, int(found[1]) + 1))
    assert not np.isfinite(history.iloc[-1, 2:].astype(float)).all()
    assert not list(tmp_path.rglob(RESULT))


def test_a_study_that_cannot_be_loaded_is_told_and_stops_no_other(tmp_path: Path) -> None:
    planner = Planner(CONF, tmp_path)
    missing = Series(
        ["table"], ["joint"], ["paper"], [0], ["dataset.path=none.csv dataset.batch=b dataset.label=l"]
    )
    jobs = list(planner.jobs([missing, *tiny("baseline")]))
    assert len(jobs) == 3
    (why,) = planner.refused.values()
    assert "none.csv" in why


def test_runs_with_another_classifier_share_their_correction(tmp_path: Path) -> None:
    """One of them makes it, and the schedule begins with that one."""
    small = " ".join(override.replace(" ", "") for override in SMALL)
    variants = [f"{small} {words}" for words in ("logistic", "logistic_cv", "method.corrector.k=5")]
    jobs = Planner(CONF, tmp_path).jobs([Series(["demo"], ["mnn"], variants=variants)])
    corrections = [job.correction for job in jobs]
    assert len(set(corrections[:6])) == 1
    assert len(set(corrections[6:])) == 1
    assert len(set(corrections)) == 2
    assert {job.correction for job in planned(tmp_path, "baseline")} == {None}


@pytest.fixture
def reproduce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that calls the script on a list of series that take no time."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    lists = yaml.safe_load((conf / "reproduce.yaml").read_text())
    lists["demo"] = [{"studies": ["demo"], "methods": list(CHAIN), "seeds": [0]}]
    lists["both"] = [{"studies": ["demo", "pancreas"], "methods": ["combat"], "seeds": [0]}]
    (conf / "reproduce.yaml").write_text(yaml.safe_dump(lists))
    study = yaml.safe_load((conf / "dataset" / "demo.yaml").read_text())
    small = yaml.safe_load("\n".join(o.removeprefix("dataset.").replace("=", ": ") for o in SMALL))
    (conf / "dataset" / "demo.yaml").write_text(yaml.safe_dump(study | small))
    few = {"epochs": 3, "batch_size": 8}
    (conf / "tuned" / "demo.yaml").write_text(
        yaml.safe_dump({"d": few, "joint": few, "cross_validation": {**few, "epochs": 2}})
    )
    monkeypatch.setattr(reproduce_command, "CONF", conf)

    def call(*arguments: str) -> int:
        options: argparse.Namespace = reproduce_command.parser().parse_args(["--series", "demo", "--jobs", "1", "--launcher", "basic", *arguments])  # fmt: skip
        return reproduce_command.main(options)

    return call


def counted_and_made(
    out: Path, methods: str, reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Count the runs of the whole list, which writes nothing, and make those of these methods."""
    assert reproduce("--out", str(out), "--dry-run") == 0
    assert "12 runs, 0 recorded; 12 to make" in capsys.readouterr().out
    assert not out.exists()
    assert reproduce("--out", str(out), "--methods", methods) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "report" / "index.html")


def test_a_reproduction_of_one_method(
    tmp_path: Path, reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    counted_and_made(out, "combat", reproduce, capsys)
    table = (out / "report" / "tables" / "table_accuracy_demo_paper.md").read_text()
    assert "| average |  | ours | – | 0." in table


def test_a_study_that_cannot_be_downloaded_is_left_out_and_named(
    tmp_path: Path,
    reproduce: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.delenv("CALIB_DATA_DIR", raising=False)
    out = tmp_path / "out"
    missing = "pancreas: File human_pancreas_norm_complexBatch.h5ad is not in"
    assert reproduce("--series", "both", "--out", str(out)) == 0
    said = capsys.readouterr().out
    assert said.count(f"Left out: {missing}") == 2  # before the runs and after them
    assert "Failed" not in said
    assert len(list(out.rglob(RESULT))) == 3 + 1  # the runs, and the correction that they share
    page = (out / "report" / "index.html").read_text()
    assert missing in unescape(page)
    assert not (out / "report" / "tables" / "table_3_paper.md").exists()  # no frame of what was not run
    assert (
        reproduce("--series", "both", "--out", str(out), "--studies", "demo,pancreas", "--report-only") == 1
    )
    assert f"Failed: {missing}" in capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_chain_twice(
    tmp_path: Path, reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    counted_and_made(out, "joint,baseline", reproduce, capsys)
    stamps = {file: file.stat().st_mtime_ns for file in out.rglob(RESULT)}
    assert reproduce("--out", str(out)) == 0
    assert "12 runs, 6 recorded; 6 to make" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    report = out / "report"
    tables = {
        file.name: file.read_bytes() for file in (report / "tables").iterdir() if "cost" not in file.name
    }
    assert {"claims.csv", "table_accuracy_demo_paper.tex", "table_metrics_demo_paper.md"} <= set(tables)
    page = (report / "index.html").read_text()
    assert page.count("<img") == 4
    assert reproduce("--out", str(out), "--report-only") == 0
    assert tables == {name: (report / "tables" / name).read_bytes() for name in tables}


def test_the_script_refuses_in_one_sentence(tmp_path: Path, reproduce: Callable[..., int]) -> None:
    with pytest.raises(CalibError, match="No series of 'demo' has all that is asked for"):
        reproduce("--out", str(tmp_path), "--methods", "none")
    with pytest.raises(CalibError, match="Nothing of what is planned is recorded"):
        reproduce("--out", str(tmp_path / "empty"), "--report-only")


def test_wrong_options_end_in_one_sentence(
    tmp_path: Path, reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (["--seeds", "one"], ["--jobs", "0"]):
        with pytest.raises(SystemExit):
            reproduce(*wrong)
        assert f"argument {wrong[0]}: invalid" in capsys.readouterr().err
    with pytest.raises(MissingConfigException, match="nonsense"):
        reproduce("--out", str(tmp_path), "--methods", "combat", "--launcher", "nonsense")


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on_and_gives_the_same_tables(tmp_path: Path) -> None:
    options = ["--series", "demo", "--methods", "baseline,combat", "--jobs", "2"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(script(*options, "--out", str(whole)), check=True, capture_output=True)
    with subprocess.Popen(script(*options, "--out", str(broken)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as process:  # fmt: skip
        while len(list(broken.glob(f"runs/**/{RESULT}"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    stamps = {file: file.stat().st_mtime_ns for file in broken.glob(f"runs/**/{RESULT}")}
    assert 2 <= len(stamps) < 6
    subprocess.run(script(*options, "--out", str(broken)), check=True, capture_output=True)
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    for file in sorted((whole / "report" / "tables").iterdir()):
        if "cost" not in file.name and "claims" not in file.name:  # these files contain times
            again = (broken / "report" / "tables" / file.name).read_bytes()
            assert file.read_bytes() == again.replace(bytes(broken), bytes(whole)), file.name


def test_an_interruption_is_said_in_one_sentence(tmp_path: Path) -> None:
    options = ["--series", "demo", "--methods", "joint", "--out", str(tmp_path), "--jobs", "1"]
    with subprocess.Popen(
        script(*options),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=allow_interrupts,
    ) as process:
        while not list(tmp_path.rglob("run.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in told
    assert "repeat the command to go on" in told
