"""Tests that a method which takes more memory than is free is refused before it starts."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import calib.runs.input_checks
from calib.config import build
from calib.errors import CalibError
from calib.runs.experiment import run
from calib.runs.memory import _of_group, check_memory, free_memory
from calib.runs.run import method_settings
from tests.conftest import compose, small_run


def test_free_memory_is_known_here() -> None:
    free = free_memory("cpu")
    assert free is None or free > 2**20


def test_a_group_of_processes_leaves_its_limit(tmp_path: Path) -> None:
    assert _of_group(tmp_path) is None
    for name, text in (("current", "900"), ("max", "1000"), ("stat", "anon 700\ninactive_file 150")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert _of_group(tmp_path) == 1000 - 900 + 150
    (tmp_path / "memory.max").write_text("max")
    assert _of_group(tmp_path) is None


def test_what_fits_and_what_is_unknown_passes() -> None:
    check_memory("joint", 10**9, 0, 10**6, 20_000, 4, 16 * 10**9)
    check_memory("combat", 0, 6, 10**6, 500, 4, 24 * 10**9)
    check_memory("combat", 0, 6, 10**6, 500, 4, None)


def test_wide_networks_and_dense_data_are_refused_in_one_sentence() -> None:
    with pytest.raises(CalibError, match="takes about 38.4 GB .* 16.0 GB are free.* standardise_network"):
        check_memory("joint", 24 * 10**8, 0, 10**6, 20_000, 4, 16 * 10**9)
    with pytest.raises(CalibError, match="24.0 GB of memory for 1,000,000 samples of 500 .* baseline"):
        check_memory("combat", 0, 6, 10**6, 500, 4, 24 * 10**9 - 1)


@pytest.mark.parametrize(
    ("method", "copies"),
    [("combat", 6), ("combat_svm", 6), ("mnn", 3), ("sva", 3), ("joint", 0), ("nearest_source", 0)],
)
def test_copies_are_those_of_the_largest_part(method: str, copies: float) -> None:
    assert build(OmegaConf.create(method_settings(compose(f"method={method}")))).dense_copies == copies


def test_a_run_is_refused_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.runs.input_checks, "free_memory", lambda device: 1000)
    with pytest.raises(CalibError, match="method=combat takes about .* GB of memory"):
        run(small_run("combat", tmp_path))
    (folder,) = (tmp_path / "runs/demo/12_3").iterdir()
    assert not (folder / "result.json").exists()
