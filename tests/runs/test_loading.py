"""Tests of reading a study once for all runs of a process."""

import hashlib
from pathlib import Path

import pytest
from omegaconf import DictConfig

from calib.data.study import Study
from calib.errors import DataError
from calib.registry import LOADER
from calib.runs.loading import _Reader
from tests.conftest import compose

ROWS = "plate,kind,a,b\n" + "".join(f"{p},{k},{i},{i * 2 + (k == 'x')}\n" for i, (p, k) in enumerate(
    (p, k) for p in "pq" for k in "xyxy"
))  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> DictConfig:
    (tmp_path / "own.csv").write_text(ROWS)
    file = f"dataset.path={tmp_path / 'own.csv'}"
    return compose("dataset=table", file, "dataset.batch=plate", "dataset.label=kind").dataset


def test_a_study_is_read_once(config: DictConfig) -> None:
    read = _Reader()
    first = read(config, LOADER)
    assert isinstance(first, Study)
    assert read(config, LOADER) is first


def test_other_settings_or_another_content_are_read_again(config: DictConfig, tmp_path: Path) -> None:
    read = _Reader()
    first = read(config, LOADER)
    config.name = "other"
    assert read(config, LOADER).name == "other"
    config.name = first.name
    assert read(config, LOADER) is not first
    (tmp_path / "own.csv").write_text(ROWS.replace("p,x,0,1", "p,x,5,1"))
    assert read(config, LOADER).batches["p"].x[0, 0] == 5


def test_a_file_that_has_been_damaged_is_refused_as_ever(
    config: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIB_DATA_DIR", str(tmp_path))
    values, table = tmp_path / "values.csv", tmp_path / "table.csv"
    values.write_text("gene,s1,s2,s3,s4\na,1,2,3,4\nb,2,2,5,1\n")
    table.write_text("id,plate,kind\ns1,p,x\ns2,p,y\ns3,q,x\ns4,q,y\n")
    settings = [
        f"dataset.values={{path: values.csv, sha256: {_sha(values)}}}",
        f"dataset.table={{path: table.csv, sha256: {_sha(table)}}}",
    ]
    own = compose("dataset=matrix", *settings, "dataset.batch=plate", "dataset.label=kind").dataset
    read = _Reader()
    assert read(own, LOADER) is read(own, LOADER)
    values.write_text(values.read_text() + "c,1,1,1,2\n")
    with pytest.raises(DataError, match=r"values.csv is not the expected one: its sha256 is"):
        read(own, LOADER)


def _sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
