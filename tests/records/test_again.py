"""A finished record that is made again: it stays until the new one is whole, whatever happens between."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from calib.errors import CalibError
from calib.files import read_arrays
from calib.records import record as module
from calib.records.corrections import CORRECTED
from calib.records.record import ERROR, NEXT, RESULT, Record
from calib.runs import experiment
from calib.runs.again import FOLDER
from calib.runs.experiment import run
from calib.runs.models import MODEL, load_model
from tests.conftest import ROOT, small_run
from tests.faults import content, results, started, wait_for


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def made(path: Path, value: str, *others: str) -> Record:
    """A finished record with a file ``a.txt``, made in the place of the one that may be there."""
    record = Record(path)
    record.prepare()
    record.write_text("a.txt", value)
    for name in others:
        record.write_text(name, value)
    record.finish({"key": path.name.rpartition("-")[2], "value": value})
    return record


class Killed(BaseException):
    """Stands for SIGKILL: no code of the process runs after it but that of the test."""


@pytest.mark.parametrize("again", [["force=true"], ["save_model=true"]], ids=["force", "save_model"])
def test_a_run_that_fails_when_it_is_made_again_loses_nothing(
    again: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small_run("baseline", tmp_path))
    before, (folder,) = results(tmp_path), tmp_path.glob("runs/*/*/*")
    with monkeypatch.context() as changed:
        changed.setattr(experiment, "judge", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(small_run("baseline", tmp_path, *again))
    assert results(tmp_path) == before
    assert Record(folder).damage() == ""
    assert "ZeroDivisionError" in (folder / NEXT / ERROR).read_text()
    run(small_run("baseline", tmp_path))  # found, and what was left is removed
    assert results(tmp_path) == before
    assert not (folder / NEXT).exists()
    run(small_run("baseline", tmp_path, *again))
    assert results(tmp_path) != before
    assert {place.name for place in tmp_path.rglob(".*")} <= {FOLDER}
    assert (folder / MODEL).is_file() == (again == ["save_model=true"])


def test_a_correction_made_again_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calib.methods.combat import ComBat

    run(small_run("combat", tmp_path))
    (file,) = tmp_path.glob(f"corrections/*/*/{CORRECTED}")
    before = file.with_name(RESULT).read_bytes()
    with monkeypatch.context() as changed:
        changed.setattr(ComBat, "correct", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(small_run("combat", tmp_path, "force=true"))
    assert file.with_name(RESULT).read_bytes() == before
    assert Record(file.parent).is_finished()
    assert read_arrays(file)
    run(small_run("combat", tmp_path, "force=true"))
    assert file.with_name(RESULT).read_bytes() != before
    assert {place.name for place in tmp_path.rglob(".*")} <= {FOLDER}


@pytest.mark.parametrize("moves", range(6))
def test_a_kill_between_two_moves_is_mended(
    moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x-1"
    made(path, "old", "only_old.txt")
    with monkeypatch.context() as changed:
        changed.setattr(Record, "settle", lambda self: None)
        new = made(path, "new", "only_new.txt")
    assert Record(path).read()["value"] == "new"  # type: ignore[index]
    assert json.loads((path / RESULT).read_text())["value"] == "old"
    count = 0

    def killed(before: Any) -> Any:
        def step(*given: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > moves:
                raise Killed
            return before(*given, **options)

        return step

    with monkeypatch.context() as changed:
        changed.setattr(Path, "replace", killed(Path.replace))
        changed.setattr(Path, "unlink", killed(Path.unlink))
        changed.setattr(module.shutil, "rmtree", killed(module.shutil.rmtree))
        try:
            new.settle()
        except Killed:
            assert moves < 6
    assert (path / RESULT).is_file(), "readers that know nothing of .next find a record"
    found = Record(path).read()
    assert found is not None
    assert found["value"] == "new"
    with Record(path).locked():
        pass
    assert names(path) == {"a.txt", "only_new.txt", "run.log", RESULT}
    assert (path / "a.txt").read_text() == "new"
    assert Record(path).read() == found


def test_a_damaged_new_record_does_not_hide_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x-1"
    made(path, "old")
    with monkeypatch.context() as changed:
        changed.setattr(Record, "settle", lambda self: None)
        made(path, "new")
    (path / NEXT / RESULT).write_text("{")
    assert Record(path).read()["value"] == "old"  # type: ignore[index]
    with Record(path).locked():
        pass
    assert names(path) == {"a.txt", "run.log", RESULT}


def test_half_a_new_record_does_not_mend_a_damaged_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x-1"
    made(path, "old")
    (path / NEXT).mkdir()
    (path / NEXT / "a.txt").write_text("old")
    (path / "a.txt").write_text("bad")
    assert "a.txt is missing or not as it was written" in Record(path).damage()


def test_no_file_of_before_is_left_of_a_damaged_record(tmp_path: Path) -> None:
    path = tmp_path / "x-1"
    made(path, "old", "only_old.txt")
    (path / "a.txt").write_text("bad")
    made(path, "new")
    assert names(path) == {"a.txt", "run.log", RESULT}


def test_the_result_of_a_damaged_record_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed while emptying the folder leaves no result of files that are gone."""
    path, gone = tmp_path / "x-1", []
    made(path, "old", "z.txt")
    (path / "a.txt").write_text("bad")
    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda file, **options: gone.append(file.name) or unlink(file, **options)
    )
    Record(path).prepare()
    assert gone[0] == RESULT
    assert {"a.txt", "z.txt"} <= set(gone)


def test_a_lock_that_is_waited_for_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x-1"
    program = f"""
import sys, time
from pathlib import Path
from calib.records.record import Record
with Record(Path({str(path)!r})).locked():
    print("locked", flush=True)
    time.sleep(3)
    Path({str(tmp_path / "left")!r}).touch()
"""
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(CalibError), Record(path).locked(wait=False):
        pass
    (path / NEXT).mkdir()
    Record(path).tidy()  # which does not wait
    assert (path / NEXT).is_dir()
    with caplog.at_level(logging.WARNING), Record(path).locked():
        assert (tmp_path / "left").exists()
        assert f"Another process is making the record {path}; waiting" in caplog.text
    other.stdout.close()
    assert other.wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("again", ["force=true", "save_model=true"])
def test_a_kill_while_a_record_is_made_again_loses_nothing(again: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), f"out={tmp_path}", "method.epochs=30", "progress=false"]
    subprocess.run(command, check=True, capture_output=True)
    before, whole = results(tmp_path), content(tmp_path)
    (folder,) = tmp_path.glob("runs/*/*/*")
    for _ in range(4):
        process = started([*command, again])
        wait_for(lambda: (folder / NEXT / "run.log").exists(), process)
        time.sleep(0.3)
        assert results(tmp_path) == before
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert results(tmp_path) == before
    subprocess.run([*command, again], check=True, capture_output=True)
    assert content(tmp_path) == whole
    assert results(tmp_path) != before
    assert {place.name for place in tmp_path.rglob(".*")} <= {FOLDER}
    if again == "save_model=true":
        assert load_model(folder)
