"""Tests that a saved model tells the class mix of later batches, and warns where its method loses by it."""

import json
import logging
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.commands.predict import main
from calib.errors import CalibError
from calib.files import read_arrays, write_archive
from calib.runs.experiment import run
from calib.runs.mixes import as_recorded
from calib.runs.models import MIX, MODEL, load_model
from calib.runs.predict import predict
from tests.conftest import compose, fast

METHOD = "standardise_logistic"
PLATES = {"north": 0.5, "south": 0.5, "new": 0.7}
"""Plate -> its share of cases."""


def plate(name: str, share: float, classes: int = 2, samples: int = 60) -> pd.DataFrame:
    """Return a plate with replicates and this share of the last class."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    last = int(share * samples)
    y = np.append(np.arange(samples - last) % (classes - 1), np.full(last, classes - 1))
    means = np.random.default_rng(1).normal(scale=0.3, size=(classes, 20))
    x = np.repeat(
        np.exp(5 + rng.normal(scale=0.1, size=20) + means[y] + rng.normal(scale=0.3, size=(samples, 20))),
        2,
        axis=0,
    )
    x *= np.exp(rng.normal(scale=0.05, size=x.shape))
    table = pd.DataFrame(x, columns=[f"mz_{i:02d}" for i in range(20)]).round(3)
    table.insert(0, "label", np.repeat([f"class {c}" for c in y], 2))
    table.insert(0, "subject", np.repeat([f"{name} {i}" for i in range(samples)], 2))
    table.insert(0, "batch", name)
    return table


def trained(folder: Path, classes: int = 2) -> Path:
    """Return the record of a saved model of three plates, ``plates.csv``, the last without labels."""
    table = pd.concat([plate(name, share, classes) for name, share in PLATES.items()])
    table.loc[table["batch"] == "new", "label"] = None
    table.to_csv(folder / "plates.csv", index=False)
    names = ["dataset.batch=batch", "dataset.label=label", "dataset.subject=subject", "dataset.name=plates"]
    place = [f"dataset.path={folder / 'plates.csv'}", f"out={folder}", "split=north+south:new"]
    run(compose("dataset=table", *names, *place, f"method={METHOD}", *fast(METHOD), "save_model=true"))
    (found,) = folder.glob("runs/plates/*/*")
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no method have been measured, so that the tests hold whatever the table says."""
    monkeypatch.setattr("calib.evaluation.mix_borne.measured", dict)


def test_the_mix_of_the_runs_target_is_that_of_its_record(model: Path) -> None:
    known = load_model(model).mix
    assert known is not None
    assert known.directions.shape == (2, 20)
    found = predict(model, model.parents[3] / "plates.csv", only="new").class_mix["new"]
    recorded = json.loads((model / "result.json").read_text())["class_mix"]["new"]
    assert as_recorded(found, ["class 0", "class 1"]) == recorded
    assert abs(found.shares[1] - PLATES["new"]) < 0.12


def test_a_later_batch_of_another_mix_is_warned_of(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    later = plate("later", 0.95)
    pd.concat([later, later.head(2).assign(batch="one")]).drop(columns="label").to_csv(
        "later.csv", index=False
    )
    with caplog.at_level(logging.INFO):
        main([f"run={model}", "data=later.csv"])
    found = predict(model, tmp_path / "later.csv").class_mix
    assert list(found) == ["later"]  # two rows of one subject are one sample
    shares, low, high = found["later"].shares, found["later"].low, found["later"].high
    assert shares[1] > 0.8
    line = (
        f"Batch 'later' has about {shares[0]:.0%} 'class 0' (95 % interval {low[0]:.0%} to {high[0]:.0%}), "
        f"{shares[1]:.0%} 'class 1' (95 % interval {low[1]:.0%} to {high[1]:.0%}), estimated without its labels"
    )
    assert line in caplog.messages
    (said,) = [text for text in caplog.messages if "seems to have" in text]
    assert said.startswith("Warning: Batch 'later' seems to have ")
    assert f"what {METHOD} loses by such a mix was not measured" in said


def test_a_batch_of_the_usual_mix_gives_a_line_only(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    plate("usual", 0.5).to_csv("usual.csv", index=False)
    with caplog.at_level(logging.INFO):
        main([f"run={model}", "data=usual.csv"])
    assert "Batch 'usual' has about " in caplog.text
    assert "seems to have" not in caplog.text


def test_of_many_classes_the_largest_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = trained(tmp_path, classes=6)
    monkeypatch.chdir(tmp_path)
    plate("later", 0.5, classes=6).to_csv("later.csv", index=False)
    with caplog.at_level(logging.INFO):
        main([f"run={folder}", "data=later.csv"])
    (line,) = [text for text in caplog.messages if "estimated without its labels" in text]
    assert line.count("95 % interval") == 4
    assert "'class 5' (95 %" in line.split(",")[0]
    assert line.endswith(" and less of 2 more classes, estimated without its labels")


def test_a_model_of_an_older_version_tells_no_mix(model: Path, tmp_path: Path) -> None:
    state = read_arrays(model / MODEL)
    older = {name: array for name, array in state.items() if not name.startswith(MIX)}
    found = predict(rewritten(model, older, tmp_path), model.parents[3] / "plates.csv")
    assert load_model(tmp_path).mix is None
    assert (found.class_mix, found.mix_warnings) == ({}, {})
    assert len(found.probability) == 3


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("directions", np.ones((2, 19)), "do not fit each other"),
        ("directions", np.ones((3, 20)), "do not fit each other"),
        ("centres", np.ones(3), "do not fit each other"),
        ("widths", np.ones(2), "do not fit each other"),
        ("weights", np.ones(3), "do not fit each other"),
        ("widths", np.zeros((2, 2)), "out of their range"),
        ("offsets", np.array([1.0, -1.0]), "out of their range"),
        ("reference", np.array([2.0, -1.0]), "out of their range"),
        ("weights", np.array([0.2, -1.0]), "out of their range"),
        ("separations", np.array([np.nan, 1.0]), "no finite numbers"),
        ("offsets", None, "offsets"),
        ("further", np.ones(2), "further"),
    ],
)
def test_arrays_that_do_not_fit_are_damage(
    name: str, array: np.ndarray | None, reason: str, model: Path, tmp_path: Path
) -> None:
    state = {**read_arrays(model / MODEL), MIX + name: array}
    folder = rewritten(model, {key: part for key, part in state.items() if part is not None}, tmp_path)
    with pytest.raises(CalibError, match=f"is damaged .*{reason}.*; train it again"):
        load_model(folder)


def rewritten(model: Path, state: dict[str, np.ndarray], folder: Path) -> Path:
    """Return a folder with a model's settings and other arrays."""
    (folder / "config.yaml").write_text((model / "config.yaml").read_text())
    with (folder / MODEL).open("wb") as stream:
        write_archive(stream, state)
    return folder
