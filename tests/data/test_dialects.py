"""Tests that text tables are read as people save them: separators, decimal signs, encodings, spreadsheets."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.data.downloads import locate
from calib.data.h5ad import load_h5ad_study
from calib.data.study import Study
from calib.data.table_study import load_table_study
from calib.errors import CalibError, DataError
from tests.data.test_settings import plates
from tests.made_h5ad import write_h5ad

LABELS = ("gesund", "kr\u00e4nklich")


def load(file: Path, **settings: Any) -> Study:
    return load_table_study(**{"name": "t", "path": str(file), "batch": "batch", "label": "label"} | settings)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-32"])
def test_dialects(separator: str, decimal: str, encoding: str, tmp_path: Path) -> None:
    made = plates(LABELS)
    file = tmp_path / "t.csv"
    made.to_csv(file, index=False, sep=separator, decimal=decimal, encoding=encoding)
    study = load(file)
    assert study.classes == sorted(LABELS)
    assert list(study.features) == ["mz_0", "mz_1", "mz_2"]
    x = np.concatenate([batch.x for batch in study.batches.values()])
    np.testing.assert_array_equal(x, made.filter(like="mz_").to_numpy())


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    plates(LABELS).to_csv(tmp_path / "t.csv", index=False, encoding="latin-1")
    (found,) = load(tmp_path / "t.csv").cautions
    assert found.code == "not_utf8"
    assert "t.csv is not UTF-8 and is read as latin-1" in found.text
    plates(LABELS).to_csv(tmp_path / "t.csv", index=False)
    assert not load(tmp_path / "t.csv").cautions


def test_compressed_and_with_the_line_that_spreadsheets_write(tmp_path: Path) -> None:
    made = plates()
    text = "sep=;\n" + made.to_csv(index=False, sep=";", decimal=",")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    x = np.concatenate([batch.x for batch in load(tmp_path / "t.csv.gz").batches.values()])
    np.testing.assert_array_equal(x, made.filter(like="mz_").to_numpy())


def test_names_with_commas_in_a_file_with_semicolons(tmp_path: Path) -> None:
    made = plates().rename(
        columns={"mz_0": "PC(16:0,18:1,20:0)", "mz_1": "PC(16:0,18:2,20:0)", "mz_2": "a,b,c"}
    )
    made.to_csv(tmp_path / "t.csv", index=False, sep=";")
    assert list(load(tmp_path / "t.csv").features) == list(made.columns[2:])
    made.to_csv(tmp_path / "t.csv", index=False)
    assert list(load(tmp_path / "t.csv").features) == list(made.columns[2:])


@pytest.mark.parametrize(
    ("cells", "outcome"),
    [
        (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        (["0,123", "0,456", "0,789"], [0.123, 0.456, 0.789]),
        (["1,5", "2.5", "3"], "'1,5' is not a number; write numbers with decimal points, without"),
        (["1,234", "2,345", "3,456"], "1,234 may have a decimal comma or a comma between thousands"),
        (["1.234,5", "2", "3"], "'1.234,5' is not a number"),
        (["1,5e3", "-2,5", "+3"], [1500, -2.5, 3]),
        (
            ["1.234", "950", "2.345"],
            "such as 1.234 seem to have a point .* of their column, such as 950, have",
        ),
        (["1.234", "2.345", "3.456"], [1.234, 2.345, 3.456]),
        (["1.25", "950", "2.345"], [1.25, 950, 2.345]),
        (
            ["7'126", "8'001", "9'400"],
            "'f' holds no numbers, but cells such as \"7'126\"; write numbers with",
        ),
        (
            ["7.1 %", "8.2 %", "9.3 %"],
            "such as '7.1 %'; .*, or leave it out with dataset.ignore=.f. if it is no",
        ),
        (["<0.5", "<0.5", "<0.5"], "'f' holds no numbers, but cells such as '<0.5'"),
    ],
)
def test_commas_in_numbers(cells: list[str], outcome: Any, tmp_path: Path) -> None:
    made = plates()[["batch", "label"]].assign(f=cells * 12)
    made.to_csv(tmp_path / "t.csv", index=False, sep=";")
    if isinstance(outcome, str):
        with pytest.raises(DataError, match=outcome):
            load(tmp_path / "t.csv")
    else:
        x = np.concatenate([batch.x for batch in load(tmp_path / "t.csv").batches.values()])
        np.testing.assert_array_equal(x[:, 0], np.tile(np.array(outcome, float), 12))


def test_points_between_thousands_in_one_of_several_columns(tmp_path: Path) -> None:
    made = plates()[["batch", "label"]].assign(f=["1.234", "950", "2.345"] * 12, g=["0.5", "1.25", "2"] * 12)
    made.to_csv(tmp_path / "t.csv", index=False, sep=";")
    with pytest.raises(DataError, match="numbers such as 1.234 seem to have a point between thousands"):
        load(tmp_path / "t.csv")
    made.to_csv(tmp_path / "t.csv", index=False)  # where commas stand between cells, it is no proof
    np.testing.assert_array_equal(load(tmp_path / "t.csv").batches["a"].x[:3, 0], [1.234, 950, 2.345])


@pytest.mark.parametrize("separator", ["|", " "])
def test_cells_that_are_separated_otherwise(separator: str, tmp_path: Path) -> None:
    plates().to_csv(tmp_path / "t.csv", index=False, sep=separator)
    with pytest.raises(DataError, match=r"one column only, 'batch.label.mz_0.mz_1.mz_2'; put commas, semic"):
        load(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.zip", "t.csv.bz2", "t.csv.xz", "t.tar"])
def test_only_gzip_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    plates().to_csv(tmp_path / name, index=False, compression=None)
    assert len(load(tmp_path / name).batches) == 3


def test_names_keep_their_commas_and_zeros_beside_decimal_commas(tmp_path: Path) -> None:
    made = plates(("1,50", "2,5")).assign(id=[f"{i:03d}" for i in range(36)])
    made.to_csv(tmp_path / "t.csv", index=False, sep=";", decimal=",")
    study = load(tmp_path / "t.csv", sample="id")
    assert study.classes == ["1,50", "2,5"]
    assert list(study.batches["a"].names[:2]) == ["000", "001"]


@pytest.mark.parametrize("name", ["t.xlsx", "t.XLSX", "t.xls", "t.ods"])
def test_a_spreadsheet_without_its_reader(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Missing optional dependency", name="openpyxl")

    monkeypatch.setattr(pd, "ExcelFile", missing)
    with pytest.raises(
        CalibError, match=r"needs a package that is not installed \(openpyxl\); save the sheet as CSV"
    ):
        load(tmp_path / name)


def test_a_spreadsheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plates(("01", "NA 2")).assign(batch=[1] * 12 + [2] * 12 + [10] * 12)

    class Book:
        sheet_names = ("data", "notes")

        def __init__(self, _: Path) -> None: ...

        def __enter__(self) -> "Book":
            return self

        def __exit__(self, *_: object) -> None: ...

    def read(_: Book, header: object = 0, nrows: object = None, **__: object) -> pd.DataFrame:
        return pd.DataFrame([list(made.columns)]) if header is None else made.copy()

    monkeypatch.setattr(pd, "ExcelFile", Book)
    monkeypatch.setattr(pd, "read_excel", read)
    study = load(tmp_path / "t.xlsx" if (tmp_path / "t.xlsx").write_bytes(b"PK") else tmp_path)
    assert list(study.batches) == ["1", "2", "10"]
    assert study.classes == ["01", "NA 2"]
    assert [one.code for one in study.cautions] == ["several_sheets"]
    assert "has 2 sheets; only the first, 'data', is read" in study.cautions[0].text


def test_a_damaged_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"no zip at all")
    with pytest.raises(CalibError, match="save the sheet as CSV"):
        load(tmp_path / "t.xlsx")


def test_paths_are_looked_up_in_the_current_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, data = tmp_path / "here", tmp_path / "data"
    for folder in (here, data):
        folder.mkdir()
        (folder / "x.csv").write_text(folder.name)
    monkeypatch.setenv("CALIB_DATA_DIR", str(data))
    monkeypatch.setenv("HOME", str(data))
    monkeypatch.chdir(here)
    assert locate("x.csv") == here / "x.csv"
    assert locate("x.csv", url="https://example.org/x.csv") == data / "x.csv"
    assert locate("~/x.csv") == data / "x.csv"
    (here / "x.csv").unlink()
    assert locate("x.csv") == data / "x.csv"
    with pytest.raises(DataError) as error:
        locate("sub/y.csv")
    for folder in (here, data):
        assert str(folder / "sub" / "y.csv") in str(error.value)
    (here / "sub").mkdir()
    with pytest.raises(DataError, match="sub is a folder; name a file"):
        locate("sub")


def cells(batch: list[Any]) -> dict[str, Any]:
    return {"plate": batch, "kind": [("sick", "well")[i % 2] for i in range(len(batch))]}


@pytest.mark.parametrize("missing", [None, "nan", "NA"])
def test_cells_without_a_batch_are_refused(
    missing: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    batch = ["a", "b", missing, *["a", "b"] * 6]
    x = np.arange(30.0).reshape(15, 2)
    file = write_h5ad(tmp_path / "x.h5ad", cells(batch), ["g0", "g1"], x)
    with pytest.raises(
        DataError, match="1 of 15 cells have no batch in column 'plate' of obs, the first 'cell_2'"
    ):
        load_h5ad_study("t", str(file), "plate", "kind")
    study = load_h5ad_study("t", str(file), "plate", "kind", batches={"a": "a", "b": "b"})
    assert [len(b) for b in study.batches.values()] == [7, 7]
    assert "1 cells of other batches or of none are left out" in caplog.text


@pytest.mark.parametrize("first", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("second", [np.asarray, sparse.csc_matrix])
def test_dense_and_sparse_files_together(first: Any, second: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = {name: rng.poisson(0.5, (12, 5)).astype(float) for name in ("a", "b")}
    files = []
    for name, kind in (("a", first), ("b", second)):
        features = [f"g{i}" for i in range(5)]
        files.append(str(write_h5ad(tmp_path / f"{name}.h5ad", cells([name] * 12), features, kind(x[name]))))
    study = load_h5ad_study("t", files, "plate", "kind")
    for name, batch in study.batches.items():
        np.testing.assert_array_equal(batch.dense, x[name])
