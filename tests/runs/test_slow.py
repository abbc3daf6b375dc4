"""Whole trainings, on the demo study and on the real data."""

from pathlib import Path

import numpy as np
import pytest

from calib.runs.archive import Archive
from calib.runs.experiment import run
from tests.conftest import ROOT, compose

pytestmark = pytest.mark.slow


def test_calibration_helps_on_the_demo_study(tmp_path: Path) -> None:
    def accuracy(method: str) -> float:
        runs = [compose(f"method={method}", f"out={tmp_path}", "split=all", f"seed={s}") for s in range(2)]
        return float(np.mean([result["mean"]["accuracy"] for config in runs for result in run(config)]))

    assert accuracy("joint") > accuracy("baseline") + 0.05


@pytest.mark.parametrize(
    ("study", "method"),
    [("mi", "joint"), ("chd", "recon_t"), ("mi", "baseline"), ("chd", "cross_validation")],
)
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


def test_joint_on_mi_is_what_the_archive_says(tmp_path: Path, data_dir: Path) -> None:
    """A whole training; other engines and processors round otherwise, so only as close as seeds are."""
    (result,) = run(compose("dataset=mi", "split='13_2'", f"out={tmp_path}"))
    kept = Archive(ROOT / "docs" / "results" / "archive").runs("mi", "joint")[result["key"]]
    assert abs(result["targets"]["2"]["accuracy"] - kept.result["targets"]["2"]["accuracy"]) < 0.05
