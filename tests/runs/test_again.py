"""A command that was carried out before shows its records without loading what computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.commands.run import carry_out
from calib.runs import again
from tests.conftest import ROOT, compose, fast, small_run


def records(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in out.glob("runs/*/*/*/result.json")}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return whether each command was recognised, in order."""
    told: list[bool] = []
    usual = again.found_again

    def noted(config: object) -> bool:
        told.append(usual(config))
        return told[-1]

    monkeypatch.setattr("calib.commands.run.found_again", noted)
    return told


def test_a_command_is_recognised(found: list[bool], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = small_run("baseline", tmp_path)
    carry_out(config)
    before = records(tmp_path)
    caplog.clear()
    with caplog.at_level("INFO"):
        carry_out(config)
    assert found == [False, True]
    assert records(tmp_path) == before
    assert "Already done:" in caplog.text
    assert "Sources: '1', '2'." in caplog.text
    for overrides in (["seed=1"], ["force=true"], ["split='13_2'"], ["protocol=released"]):
        carry_out(small_run("baseline", tmp_path, *overrides))
    assert found[2:] == [False] * 4


def test_what_has_changed_is_not_recognised(
    found: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.gamma(4, 2, (40, 3)).round(3), columns=["a", "b", "c"])
    table = table.assign(plate=np.repeat(["p1", "p2"], 20), label=["x", "y"] * 20)
    table.to_csv(tmp_path / "t.csv", index=False)
    names = ["dataset.batch=plate", "dataset.label=label", "dataset.name=t", "split=p1:p2"]
    config = compose(
        "dataset=table", f"dataset.path={tmp_path}/t.csv", *names, f"out={tmp_path}/out",
        "method=baseline", *fast("baseline"), "progress=false",
    )  # fmt: skip
    carry_out(config)
    carry_out(config)
    assert found == [False, True]
    table.assign(a=table["a"] + 1).to_csv(tmp_path / "t.csv", index=False)  # other data
    carry_out(config)
    assert found[2:] == [False]
    assert len(records(tmp_path / "out")) == 2
    with monkeypatch.context() as patch:  # other code
        patch.setattr(again, "code", lambda: ["other"])
        carry_out(config)
    assert found[3:] == [False]
    for file in (tmp_path / "out").glob("runs/*/*/*/predictions.csv"):  # a damaged record
        file.write_text("")
    carry_out(config)
    assert found[4:] == [False]


def test_nothing_that_computes_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from calib.commands import main; "
        f"sys.argv = ['calib', 'run', 'method=standardise_logistic', 'out={tmp_path}', 'progress=false']; main(); "
        "print({'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    for loaded in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert (done.stdout.splitlines()[-1] != "set()") == loaded
        assert "Standardised, logistic regression" in done.stdout + done.stderr
    assert "Already done:" in done.stdout + done.stderr
