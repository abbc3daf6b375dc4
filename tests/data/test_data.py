"""Tests of finding, verifying and reading files, and of the error for each way in which they can be wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
import requests

from calib.config import build
from calib.data.downloads import locate
from calib.data.replicates import infer_subjects
from calib.data.simulate import simulate
from calib.data.study import Study
from calib.data.transform import prepare
from calib.errors import CalibError, DataError
from tests.conftest import compose

WriteCsv = Callable[..., list[str]]


def load(*overrides: str) -> Study:
    return build(compose(*overrides).dataset)


def test_real_studies_have_the_samples_and_subjects_of_the_paper(data_dir: Path) -> None:
    sizes = {"mi": [1330, 1305, 1345], "chd": [1559, 1478, 1523, 1449]}
    subjects = {"mi": [266, 262, 269], "chd": [312, 298, 305, 292]}  # paper: 266/261/269, 312/296/305/290
    for name, features in (("mi", 204), ("chd", 199)):
        study = load(f"dataset={name}")
        assert [batch.x.shape for batch in study.batches.values()] == [(n, features) for n in sizes[name]]
        assert [batch.subject.max() + 1 for batch in study.batches.values()] == subjects[name]
        assert study.classes == ["control", name.upper()]
    assert load("dataset=mi").sha256() == load("dataset=mi").sha256()


def test_subject_blocks_begin_anew_at_every_change_of_label() -> None:
    labels = np.array([1] * 7 + [0] * 5 + [1] * 2 + [0])
    assert infer_subjects(labels, 5).tolist() == [0] * 5 + [1] * 2 + [2] * 5 + [3] * 2 + [4]


def test_csv_study(write_csv: WriteCsv) -> None:
    study = load(*write_csv())
    assert list(study.batches) == ["1", "2", "3"]
    assert list(study.features) == ["a", "b", "c", "d"]
    assert study.batches["1"].x.shape == (24, 4)
    assert study.batches["1"].y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 3
    assert load(*write_csv(), "dataset.replicates=null").batches["1"].subject is None


def test_features_in_another_order_are_aligned_by_name(write_csv: WriteCsv) -> None:
    def reorder(lines: list[str]) -> list[str]:
        rows = [line.split(",") for line in lines]
        return [",".join([d, label, board, b, a, c]) for label, board, a, b, c, d in rows]

    straight, shuffled = load(*write_csv()), load(*write_csv(reorder))
    np.testing.assert_array_equal(straight.batches["2"].x, shuffled.batches["2"].x)
    assert straight.sha256() == shuffled.sha256()


def cell(row: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    def spoil(lines: list[str]) -> list[str]:
        cells = lines[row].split(",")
        cells[column] = value
        return [*lines[:row], ",".join(cells), *lines[row + 1 :]]

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: [line.rsplit(",", 1)[0] for line in lines], "2.csv lacks 1 feature(s) compared with the first batch: 'd'"),
        (lambda lines: [f"{line},{'e' if i == 0 else 7}" for i, line in enumerate(lines)], "2.csv has in addition 1 feature(s) compared with the first batch: 'e'"),
        (lambda lines: [line.split(",", 1)[1] for line in lines], "2.csv has no column 'label', which dataset.label names. The first ones are: board, a, b, c."),
        (cell(0, 5, "a"), "2.csv has column 'a' twice"),
        (cell(3, 4, "high"), "2.csv, line 4, column 'c': 'high' is not a number"),
        (cell(3, 4, ""), "2.csv has 1 missing or infinite value(s), the first in line 4, column 'c'; repair the file or set dataset.impute=median"),
        (cell(5, 2, "inf"), "2.csv has 1 missing or infinite value(s), the first in line 6, column 'a'"),
        (cell(7, 0, "2"), "2.csv, line 8: label '2' is none of the classes 0, 1"),
        (cell(7, 0, ""), "2.csv, line 8: label"),
        (lambda _: [""], "2.csv cannot be read as a table"),
        (lambda lines: lines[:1], "2.csv has no rows"),
        (lambda lines: [*lines, '0,2,"1'], "2.csv: line 26 has 3 of 6 cells"),
    ],
)  # fmt: skip
def test_wrong_files(write_csv: WriteCsv, spoil: Callable[[list[str]], list[str]], message: str) -> None:
    with pytest.raises(DataError) as error:
        load(*write_csv(spoil))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_impute(write_csv: WriteCsv) -> None:
    clean = load(*write_csv()).batches["2"].x
    others = np.delete(clean[:, 2], 2)
    expected = {"mean": others.mean(), "median": np.median(others), "zero": 0}
    for rule, value in expected.items():
        for missing in ("", "-inf"):
            x = load(*write_csv(cell(3, 4, missing)), f"dataset.impute={rule}").batches["2"].x
            assert x[2, 2] == pytest.approx(value)
            np.testing.assert_array_equal(np.delete(x, 2, axis=0), np.delete(clean, 2, axis=0))
    with pytest.raises(CalibError, match="dataset.impute=mode is not one of: null, mean, median, zero"):
        load(*write_csv(), "dataset.impute=mode")


def test_a_column_that_a_batch_lacks_is_left_out(write_csv: WriteCsv) -> None:
    def empty(lines: list[str]) -> list[str]:
        return [lines[0], *(",".join([*line.split(",")[:4], "", line.split(",")[5]]) for line in lines[1:])]

    study = load(*write_csv(empty), "dataset.impute=median")
    assert list(study.features) == ["a", "b", "d"]
    assert (
        "1 of 4 features have no value in a whole batch ('2' lacks 1) and are left out: 'c'."
        in study.cautions[0].text
    )
    assert not load(*write_csv(empty), "dataset.impute=zero").batches["2"].x[:, 2].any()


def test_a_named_folder_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, cache = tmp_path / "named", tmp_path / "cache"
    for folder in (named, cache):
        folder.mkdir()
        (folder / "x.csv").write_text(folder.name)
    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)
    monkeypatch.setenv("CALIB_DATA_DIR", str(named))
    assert locate("x.csv") == named / "x.csv"
    monkeypatch.delenv("CALIB_DATA_DIR")
    assert locate("x.csv") == cache / "x.csv"


def test_checksum_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIB_DATA_DIR", str(tmp_path))
    (tmp_path / "x.csv").write_text("tampered")
    with pytest.raises(
        DataError, match=r"x.csv is not the expected one: its sha256 is \w+, not abc. Delete it"
    ):
        locate("x.csv", sha256="abc")


def test_missing_file_without_address(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/no.csv does not exist"):
        locate(str(tmp_path / "no.csv"), url="https://example.org/no.csv")


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests.Session, "request", refuse)
    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.setenv("CALIB_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(DataError) as error:
        load("dataset=mi")
    assert "1.csv is not in" in str(error.value)
    assert "connect to the network, or put the file into the folder named by CALIB_DATA_DIR" in str(
        error.value
    )


class _Answer:
    """The part of an HTTP answer that pooch reads."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.headers = {"content-length": str(len(content))}

    def raise_for_status(self) -> None: ...

    def iter_content(self, chunk_size: int) -> list[bytes]:
        return [self.content]

    def close(self) -> None: ...


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "get", lambda *_, **__: _Answer(b"a,b\n"))
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.delenv("CALIB_DATA_DIR", raising=False)
    address = "https://example.org/x.csv"
    with pytest.raises(DataError, match="does not have the expected sha256 abc"):
        locate("study/x.csv", address, "abc")
    assert not list(tmp_path.rglob("*.csv"))
    (tmp_path / "expected").write_text("a,b\n")
    digest = pooch.file_hash(str(tmp_path / "expected"))
    assert locate("study/x.csv", address, digest).read_text() == "a,b\n"


def test_simulated_study_is_deterministic_skewed_and_has_its_truth() -> None:
    settings = compose().dataset
    arguments = {k: v for k, v in settings.items() if k not in ("_target_", "name", "unit")}
    (study, truth), (again, _) = simulate(**arguments), simulate(**arguments)
    assert study.sha256() == again.sha256()
    for name, batch in build(settings).batches.items():
        np.testing.assert_array_equal(batch.x, study.batches[name].x.astype(np.float32))
    assert study.sha256() != simulate(**arguments | {"seed": 1})[0].sha256()
    x = pd.DataFrame(np.concatenate([batch.x for batch in study.batches.values()]))
    assert (x > 0).all().all()
    assert x.skew().median() > 1
    for name, batch in study.batches.items():
        assert np.bincount(batch.subject).tolist() == [5] * (batch.subject.max() + 1)
        logs = np.log(truth.clean[name])
        gap = np.abs(logs[batch.y == 1].mean(axis=0) - logs[batch.y == 0].mean(axis=0))
        rest = np.setdiff1d(np.arange(len(gap)), truth.informative)
        assert gap[truth.informative].mean() > 2 * gap[rest].mean()
        rank = pd.DataFrame(batch.x).corrwith(pd.DataFrame(truth.clean[name]), method="spearman")
        assert rank.min() > 0.999  # a batch distorts a feature monotonically


def test_prepare(study: Study) -> None:
    x = study.batches["2"].x
    assert prepare(study, "none", "none", "float32").batches["2"].x.dtype == np.float32
    np.testing.assert_array_equal(prepare(study, "none", "none", "float64").batches["2"].x, x)
    np.testing.assert_allclose(
        prepare(study, "arcsinh", "none", "float64").batches["2"].x, np.arcsinh(x / 100)
    )
    scaled = prepare(study, "none", "standardise", "float64").batches["2"].x
    np.testing.assert_allclose([scaled.mean(axis=0), scaled.std(axis=0)], [[0] * 12, [1] * 12], atol=1e-9)
    ranged = prepare(study, "log2", "minmax", "float64").batches["2"].x
    assert (ranged.min(axis=0).tolist(), ranged.max(axis=0).tolist()) == ([0] * 12, [1] * 12)
    negative = study.batches["1"]
    negative.x[:] = -np.abs(negative.x)
    assert np.isfinite(prepare(study, "log2", "standardise", "float64").batches["1"].x).all()
