"""Studies in a file of arrays: what was written is read, and damage is told in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from calib.data.arrays_file import load_arrays, write_study_arrays
from calib.data.matrix import dense
from calib.errors import CalibError

X = np.arange(24, dtype=np.float64).reshape(8, 3)
LABEL = ["b", "a", "", "", "b", "a", "b", ""]
BATCH = ["p10", "p10", "p2", "p2", "p10", "p10", "p1", "p1"]


def written(folder: Path, x: object = X, **columns: object) -> Path:
    file = folder / "data.npz"
    given = {"batch": BATCH, "sample": [f"s{i}" for i in range(8)], "subject": None} | columns
    write_study_arrays(file, x, LABEL, ["f1", "f2", "f3"], given)  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_what_was_written_is_read(tmp_path: Path, kind: type) -> None:
    study = load_arrays("mine", str(written(tmp_path, kind(X))))
    assert list(study.batches) == [
        "p1",
        "p2",
        "p10",
        "p1 (unlabelled)",
    ]  # natural order, then parts without labels
    assert study.classes == ["a", "b"]
    assert study.batches["p10"].y is not None
    assert study.batches["p10"].y.tolist() == [1, 0, 1, 0]
    assert study.batches["p2"].y is None
    assert np.array_equal(dense(study.batches["p10"].x), X[[0, 1, 4, 5]])
    assert study.batches["p10"].names is not None
    assert study.batches["p10"].names.tolist() == ["s0", "s1", "s4", "s5"]
    assert [one.code for one in study.cautions] == ["labelled_in_part"]


def test_the_positive_class_is_the_second(tmp_path: Path) -> None:
    file = str(written(tmp_path))
    assert load_arrays("mine", file, positive="a").classes == ["b", "a"]
    with pytest.raises(CalibError, match=r"dataset.positive=c is no label"):
        load_arrays("mine", file, positive="c")


def test_subjects_are_replicates_unless_they_have_two_classes(tmp_path: Path) -> None:
    study = load_arrays("mine", str(written(tmp_path, subject=["u", "v", "w", "w", "u", "v", "x", "y"])))
    assert study.batches["p10"].replicate is not None
    mixed = load_arrays("mine", str(written(tmp_path, subject=["u", "u", "w", "w", "u", "v", "x", "y"])))
    assert mixed.refusal


def test_damage_is_told(tmp_path: Path) -> None:
    bad = X.copy()
    bad[0, 0] = np.nan
    with pytest.raises(CalibError, match="values that are missing or infinite"):
        load_arrays("mine", str(written(tmp_path, bad)))
    file = tmp_path / "other.npz"
    np.savez(file, y=np.zeros(3))
    with pytest.raises(CalibError, match="has no array 'x'"):
        load_arrays("mine", str(file))
    np.savez(file, x=X, label=np.array(LABEL), batch=np.array(BATCH[:5]), features=np.array(["a", "b", "c"]))
    with pytest.raises(CalibError, match="'batch' has 5 entries, but 'label' has 8"):
        load_arrays("mine", str(file))
    file.write_bytes(b"no archive")
    with pytest.raises(CalibError):
        load_arrays("mine", str(file))
