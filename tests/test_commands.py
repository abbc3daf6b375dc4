"""The command ``calib``: its words, its help."""

import csv
import json
import subprocess
import sys
from importlib import import_module

import pytest

import calib
from calib.commands import COMMANDS, main
from calib.methods.base import TRAINED_AGAIN
from calib.runs.abilities import rows
from calib.runs.method_table import TABLE, read
from tests.conftest import METHODS, ROOT
from tests.renew_methods import PAGE, renewed


def called(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "calib.commands", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_every_command_is_a_module() -> None:
    for name in COMMANDS:
        assert callable(import_module(f"calib.commands.{name}").command_line)


def test_help_and_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["help"], ["-h"]):
        monkeypatch.setattr(sys, "argv", ["calib", *arguments])
        main()
        told = capsys.readouterr().out
        assert all(f"  {name} " in told for name in COMMANDS)
    monkeypatch.setattr(sys, "argv", ["calib", "--version"])
    main()
    assert capsys.readouterr().out == f"calib {calib.__version__}\n"
    monkeypatch.setattr(sys, "argv", ["calib", "methds"])
    with pytest.raises(SystemExit, match="calib has no command 'methds'; did you mean 'methods'"):
        main()


def test_the_table_of_methods_is_what_the_code_says() -> None:
    with TABLE.open(encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == rows(), "python -m tests.renew_methods renews it"
    table = read()
    assert [row["name"] for row in table] == METHODS
    assert renewed() == PAGE.read_text(encoding="utf-8"), "python -m tests.renew_methods renews it"
    rows_of = {row["name"]: row for row in table}
    assert (rows_of["joint_plus"]["later_batches"], rows_of["joint_plus"]["saved"]) == ("answered", "yes")
    assert rows_of["combat"]["later_batches"] == "corrected onto the training's batches"
    assert (rows_of["coral"]["later_batches"], rows_of["coral"]["saved"]) == ("one more target", "no")
    assert rows_of["pairwise"]["later_batches"] == TRAINED_AGAIN
    assert rows_of["oracle"]["notebook"] == "no"


def test_methods(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = import_module("calib.commands.methods").command_line
    monkeypatch.setattr(sys, "argv", ["calib methods"])
    command()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(METHODS) + 1
    assert lines[0].split() == ["name", "label", "needs", "later", "batches", "saved", "doi"]
    monkeypatch.setattr(sys, "argv", ["calib methods", "joint_plus", "--json"])
    command()
    (row,) = json.loads(capsys.readouterr().out)
    assert row["label"] == "Joint+"
    monkeypatch.setattr(sys, "argv", ["calib methods", "joint_pls"])
    with pytest.raises(SystemExit, match="There is no method 'joint_pls'; did you mean 'joint_plus'"):
        command()


@pytest.mark.parametrize("name", ["reproduce"])
def test_commands_have_help(name: str) -> None:
    done = called(name, "--help")
    assert done.returncode == 0, done.stderr
    assert name in done.stdout


def test_run_is_run_py() -> None:
    wrong = called("run", "method=joynt")  # test_again makes a run so
    assert wrong.returncode == 1
    assert "method=joynt is unknown; did you mean 'joint'?" in wrong.stderr
