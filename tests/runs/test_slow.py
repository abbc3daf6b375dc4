"""Whole trainings, on the demo study and on the real data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import calib.runs.run
from calib.runs.experiment import run
from tests.conftest import ROOT, compose

pytestmark = pytest.mark.slow


def test_calibration_helps_on_the_demo_study(tmp_path: Path) -> None:
    def accuracy(method: str) -> float:
        runs = [compose(f"method={method}", f"out={tmp_path}", "split=all", f"seed={s}") for s in range(2)]
        return float(np.mean([result["mean"]["accuracy"] for config in runs for result in run(config)]))

    assert accuracy("joint") > accuracy("baseline") + 0.05


@pytest.mark.parametrize("study", ["mi", "chd"])
@pytest.mark.parametrize("method", ["joint", "recon_t", "baseline", "cross_validation"])
def test_real_studies_give_the_same_bytes_twice(
    study: str, method: str, tmp_path: Path, data_dir: Path
) -> None:
    short = "method.epochs=2" if method in ("joint", "recon_t") else "method.classifier.epochs=2"
    written = []
    for name in "ab":
        out = tmp_path / name
        run(compose(f"dataset={study}", f"method={method}", f"out={out}", short))
        (file,) = out.rglob("predictions.csv")
        written.append(file.read_bytes())
    assert written[0] == written[1]


NOTES_VERSION = 1
"""Version of the records that docs/results/ was made from; docs/performance.md says what has moved since."""


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_joint_on_mi_is_what_the_notes_say(
    protocol: str, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole training; other engines and processors round otherwise, so only as close as seeds are."""
    monkeypatch.setattr(calib.runs.run, "RECORD_VERSION", NOTES_VERSION)
    (result,) = run(compose("dataset=mi", "split='13_2'", f"protocol={protocol}", f"out={tmp_path}"))
    table = pd.read_csv(ROOT / "docs" / "results" / "runs.csv", comment="#", dtype={"target": str})
    same = table[
        (table["study"] == "mi")
        & (table["method"] == "joint")
        & (table["split"] == "13_2")
        & (table["protocol"] == protocol)
        & table["variant"].isna()
    ]
    assert result["key"] in set(same["key"])
    got = result["targets"]["2"]["accuracy"]
    assert same["accuracy"].min() - 0.05 < got < same["accuracy"].max() + 0.05
