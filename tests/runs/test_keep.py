"""Runs that keep predictions alone: the same answers, and made whole where the rest is asked for."""

from pathlib import Path

from calib.data.split import parse_split
from calib.runs.experiment import run
from calib.runs.planner import Job
from calib.runs.run import load, make_run
from tests.conftest import SMALL, compose

METHOD = "method=standardise_logistic"


def test_predictions_alone_are_the_same_and_are_completed(tmp_path: Path) -> None:
    words = (*SMALL, METHOD, f"out={tmp_path}")
    light, whole = compose(*words, "keep=predictions"), compose(*words)
    (first,) = run(light)
    folder = next(tmp_path.glob("runs/*/*/*"))
    before = (folder / "predictions.csv").read_bytes()
    assert not (folder / "embedding.npz").exists()
    assert not (folder / "mmd.csv").exists()
    assert first["mmd"] == {}
    study, data = load(whole)
    split = parse_split("12_3", study)
    jobs = [Job((), "", make_run(config, study, data, split)) for config in (light, whole)]
    assert jobs[0].run.key == jobs[1].run.key
    assert jobs[0].finished is not None
    assert jobs[1].finished is None  # a report counts it as not run
    (second,) = run(whole)
    assert second["mmd"]
    assert (folder / "embedding.npz").exists()
    assert (folder / "predictions.csv").read_bytes() == before
    stamp = (folder / "result.json").stat().st_mtime_ns
    assert run(light)[0]["mmd"]  # what has more is enough
    assert (folder / "result.json").stat().st_mtime_ns == stamp
