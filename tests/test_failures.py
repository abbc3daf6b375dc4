"""Tests that failures of the machine and of numerical libraries are one sentence each."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calib.data.study import Study
from calib.errors import CalibError
from calib.failures import in_one_sentence, interrupted, out_of_memory
from calib.runs.run import load
from tests.conftest import ROOT, SMALL, compose
from tests.faults import allow_interrupts
from tests.runs.test_cli import Done, call

__all__ = ["call"]  # the fixture

COMMAND = [sys.executable, ROOT / "run.py", "progress=false"]


def test_memory_and_eigenvalues_are_sentences() -> None:
    for error, message in (
        (MemoryError(), "Reading study 'a' needs more memory than there is"),
        (np.linalg.LinAlgError("Eigenvalues did not converge."), r"no decomposition \(Eigenvalues did not"),
    ):
        with pytest.raises(CalibError, match=message), in_one_sentence("Reading study 'a'"):
            raise error
    with pytest.raises(KeyError), in_one_sentence("anything"):
        raise KeyError("a fault of ours keeps its traceback")
    assert not out_of_memory(ValueError())


def test_no_memory_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(study: Study) -> str:
        raise MemoryError

    monkeypatch.setattr(Study, "sha256", full)
    with pytest.raises(CalibError, match="Reading study 'demo' needs more memory"):
        load(compose(*SMALL))


def test_too_many_threads() -> None:
    with pytest.raises(CalibError, match="threads=1000000 must be at most"):
        load(compose(*SMALL, "threads=1000000"))


def test_an_interrupt_is_one_sentence(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, f"out={tmp_path}", "method.epochs=100000"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=allow_interrupts,
    ) as process:
        while not list(tmp_path.rglob("run.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.strip().startswith("Interrupted; what is recorded is kept")
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.skipif(os.name == "nt", reason="no such pipes there")
def test_a_run_whose_output_nobody_reads_is_recorded(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    arguments = [*COMMAND, f"out={tmp_path}", *SMALL, "method=standardise_logistic"]
    done = subprocess.run(
        arguments, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "folder" not in done.stderr
    assert len(list(tmp_path.rglob("result.json"))) == 1


@pytest.mark.parametrize("name", ["a=b", "c (1)", "it's, 2"])
def test_a_path_that_hydra_cannot_read(name: str, tmp_path: Path, call: Callable[..., Done]) -> None:
    done = call("dataset=table", f"dataset.path={tmp_path / name}.csv")
    assert done.code == 1
    (line,) = done.err.strip().splitlines()
    assert line.startswith("Error: dataset.path=")
    assert "cannot be read" in line
    (quoted,) = shlex.split(line.partition("write it as ")[2].removesuffix("."))
    done = call("dataset=table", quoted)
    assert f"{name}.csv" in done.err  # now the file is looked for
    assert "cannot be read:" not in done.err


def test_an_error_in_the_place_of_an_interrupt_is_known() -> None:
    """Check an error of tidying up, raised again by a library as an error of its own, and an error alone."""

    def tidy() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("tidying up")

    def named() -> None:
        try:
            tidy()
        except AttributeError as error:
            raise ValueError("named anew") from error

    with pytest.raises(ValueError, match="anew") as found:
        named()
    assert interrupted(found.value)
    assert not interrupted(ValueError("alone"))
    assert not interrupted(None)
