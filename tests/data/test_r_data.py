"""Tests of matrices and tables in files that R saved, on files made here."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdata")

from calib.config import build
from calib.data.r_data import as_matrix, as_table, at_place, read_r
from calib.data.study import Study
from calib.errors import CalibError, DataError
from tests.conftest import compose
from tests.made_rda import factor, matrix, named_list, with_slots, write

X = np.random.default_rng(0).normal(size=(8, 3))
SAMPLES = [f"s{number}" for number in range(8)]
GENES = ["g1", "g2", "g3"]
PLATES = factor([1, 1, 1, 1, 2, 2, 2, 2], ["p", "q"])
KINDS = ["a", "b"] * 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with the same study as a list, as an object with slots and as loose objects."""
    whole = matrix(X, SAMPLES, GENES)
    table = {"plate": PLATES, "kind": KINDS}
    objects = {
        "study": named_list({"x": whole, **table, "note": ["made here"]}),
        "held": with_slots({"assay": named_list({"": matrix(X.T, GENES, SAMPLES)})}),
        "rows": named_list(table, SAMPLES[::-1]),
        "bare": matrix(X, None, None),
    }
    write(tmp_path / "study.rda", objects)
    return tmp_path / "study.rda"


def load(file: Path, values: str, table: str | None, *settings: str) -> Study:
    place = "" if table is None else f", object: {table}"
    files = [
        f"dataset.values={{path: {file}, object: '{values}'}}",
        f"dataset.table={{path: {file}{place}}}",
    ]
    names = ["dataset.batch=plate", "dataset.label=kind", "dataset.samples=rows"]
    return build(compose("dataset=matrix", *files, *names, *settings).dataset)


def test_a_list_is_a_table_of_its_vectors_of_the_right_length(file: Path) -> None:
    study = load(file, "study$x", "study")
    assert list(study.batches) == ["p", "q"]
    assert study.features == GENES
    np.testing.assert_allclose(study.batches["p"].dense, X[:4])
    assert study.batches["q"].names.tolist() == SAMPLES[4:]  # type: ignore[union-attr]
    found = as_table(at_place(read_r(file), "study", file), 8)
    assert list(found.columns) == ["plate", "kind"]


def test_slots_and_numbers_lead_to_a_part(file: Path) -> None:
    study = load(file, "held@assay[[1]]", "study", "dataset.samples=columns")
    np.testing.assert_allclose(study.batches["q"].dense, X[4:])


def test_rows_of_a_data_frame_are_matched_by_name(file: Path) -> None:
    study = load(file, "study$x", "rows")  # whose rows are named the other way round
    assert study.batches["p"].names.tolist() == SAMPLES[4:]  # type: ignore[union-attr]
    assert [study.classes[label] for label in study.batches["p"].y] == ["b", "a"] * 2  # type: ignore[union-attr]


def test_a_matrix_without_names_is_read_in_its_order(file: Path) -> None:
    study = load(file, "bare", "study")
    assert study.features == ["feature 1", "feature 2", "feature 3"]
    np.testing.assert_allclose(study.batches["p"].dense, X[:4])


def test_loose_objects_are_a_table(tmp_path: Path) -> None:
    file = tmp_path / "loose.rda"
    loose = named_list({"plate": PLATES, "kind": KINDS}).value
    write(file, {"x": matrix(X, None, None), "plate": loose[0], "kind": loose[1]})
    study = load(file, "x", None)
    np.testing.assert_allclose(study.batches["q"].dense, X[4:])


def test_a_missing_value_is_nan(tmp_path: Path) -> None:
    x = X.copy()
    x[1, 2] = np.array([0x7FF00000000007A2], np.uint64).view(float)[0]  # R's NA_real_
    write(tmp_path / "x.rda", {"x": matrix(x, SAMPLES, GENES)})
    values, rows, columns = as_matrix(at_place(read_r(tmp_path / "x.rda"), "x", tmp_path / "x.rda"))
    assert np.argwhere(np.isnan(values)).tolist() == [[1, 2]]
    assert (rows, columns) == (SAMPLES, GENES)


@pytest.mark.parametrize(
    ("values", "table", "message"),
    [
        ("stud$x", "study", r"'stud\$x' is not in it; did you mean 'study'"),
        ("study$y", "study", r"'study\$y' is not in it"),
        ("study[[9]]", "study", r"there is nothing at 'study\[\[9\]\]' that has a part '\[\[9\]\]'"),
        ("study[1]", "study", r"'study\[1\]' is not in it"),
        ("study$x$y", "study", r"nothing at 'study\$x\$y' that has a part '\$y'"),
        ("study", "study", r"'study' is no matrix of numbers"),
        ("study$kind", "study", r"'study\$kind' is no matrix of numbers"),
        ("study$x", "bare", r"'bare' is no table of 8 samples"),
    ],
)
def test_a_wrong_place_is_refused_in_one_sentence(values: str, table: str, message: str, file: Path) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(file, values, table)
    assert "\n" not in str(error.value)


def test_a_matrix_has_to_be_named(file: Path) -> None:
    with pytest.raises(
        CalibError, match=r"dataset.values.object must name the matrix in the R file study.rda"
    ):
        build(compose("dataset=matrix", f"dataset.values={file}", f"dataset.table={file}").dataset)
