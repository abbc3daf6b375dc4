"""Tests of reading h5ad files, and of the error for each way in which they can be wrong."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import calib.data.h5ad
from calib.config import build
from calib.data.h5ad import read_h5ad
from calib.data.study import Study
from calib.errors import CalibError, DataError
from tests.conftest import compose
from tests.made_h5ad import write_h5ad

ROWS, GENES = 23, 6
OBS = {
    "plate": [("b", "a", "c")[row % 3] for row in range(ROWS)],
    "kind": [("sick", "well")[row // 2 % 2] for row in range(ROWS)],
    "donor": [f"d{row // 2}" for row in range(ROWS)],
}
FEATURES = [f"g{i}" for i in range(GENES)]


def values() -> np.ndarray:
    return np.random.default_rng(0).poisson(1.0, (ROWS, GENES)).astype(np.float32)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return write_h5ad(
        tmp_path / "x.h5ad", OBS, FEATURES, values(), {"counts": sparse.csr_matrix(values() * 2)}
    )


def load(file: Path, *overrides: str) -> Study:
    named = ["dataset.batch=plate", "dataset.label=kind"]
    return build(compose("dataset=h5ad", f"dataset.path={file}", *named, *overrides).dataset)


def test_batches_and_classes_as_they_occur(made: Path) -> None:
    study = load(made)
    assert list(study.batches) == ["a", "b", "c"]
    assert (list(study.features), study.classes) == (FEATURES, ["sick", "well"])
    for batch, start in (("b", 0), ("a", 1), ("c", 2)):
        rows = np.arange(start, ROWS, 3)
        np.testing.assert_array_equal(study.batches[batch].x, values()[rows])
        assert study.batches[batch].y.tolist() == (rows // 2 % 2).tolist()
        assert study.batches[batch].subject is None


def test_named_batches_classes_layer_and_subjects(made: Path) -> None:
    study = load(
        made,
        "dataset.batches={second: c, first: b}",
        "dataset.classes={well: control, sick: case}",
        "dataset.layer=counts",
        "dataset.subject=donor",
    )
    assert list(study.batches) == ["first", "second"]
    assert study.classes == ["control", "case"]
    rows = np.arange(2, ROWS, 3)
    np.testing.assert_array_equal(study.batches["second"].x, 2 * values()[rows])
    assert study.batches["second"].y.tolist() == (1 - rows // 2 % 2).tolist()
    codes = pd.factorize(study.batches["second"].subject)[0]
    assert codes.tolist() == pd.factorize(rows // 2)[0].tolist()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_raw_counts_are_named_and_normalised_on_request(kind: Callable[[Any], Any], tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(30, (ROWS, GENES)).astype(np.float32)
    file = write_h5ad(tmp_path / "c.h5ad", OBS, FEATURES, kind(counts))
    (caution,) = load(file).cautions
    assert caution.code == "raw_counts"
    assert (
        "X holds whole numbers that look like raw counts and are taken as they are; set dataset.nor"
        in caution.text
    )
    study = load(file, "dataset.normalise=100", "dataset.features=[g1,g3]")
    assert not study.cautions
    rows = np.arange(1, ROWS, 3)
    expected = np.log1p(100 * counts / counts.sum(axis=1, keepdims=True))[rows][:, [1, 3]]
    np.testing.assert_allclose(study.batches["a"].dense, expected, rtol=1e-6)
    logs = write_h5ad(tmp_path / "l.h5ad", OBS, FEATURES, kind(np.log1p(counts)))
    assert not load(logs).cautions
    assert [one.code for one in load(logs, "dataset.normalise=100").cautions] == ["no_raw_counts"]
    with pytest.raises(DataError, match="X holds negative, missing or infinite values, which are no counts"):
        load(write_h5ad(tmp_path / "n.h5ad", OBS, FEATURES, kind(counts - 40)), "dataset.normalise=100")
    counts[[4, 7]] = 0
    with pytest.raises(
        DataError, match="2 samples without any count, the first 'cell_4', cannot be normalised"
    ):
        load(write_h5ad(tmp_path / "z.h5ad", OBS, FEATURES, kind(counts)), "dataset.normalise=100")


@pytest.mark.parametrize("chunk", [4, 1000])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_every_storage_gives_the_same(
    kind: Callable[[Any], Any], chunk: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calib.data.h5ad, "CHUNK", chunk)
    other = write_h5ad(tmp_path / "y.h5ad", OBS, FEATURES, kind(values().astype(np.int64)))
    cells = read_h5ad(other, "plate", "kind", {"1": "c", "2": "a"})
    assert sparse.issparse(cells.values) == (kind is not np.asarray)
    assert load(other).sha256() == load(made).sha256()


def test_a_file_of_an_older_anndata(made: Path, tmp_path: Path) -> None:
    """Check a file of version 0.7, with categories in a group of their own and no type at the root."""
    old = tmp_path / "old.h5ad"
    with h5py.File(old, "w") as h5:
        for table, index in (
            ("obs", np.array([f"cell_{row}" for row in range(ROWS)])),
            ("var", np.array(FEATURES)),
        ):
            group = h5.create_group(table)
            columns = ["plate", "kind"] if table == "obs" else []
            encoding = {"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "_index"}
            group.attrs.update(encoding | {"column-order": np.array(columns, h5py.string_dtype())})
            group.create_dataset("_index", data=index.astype(object), dtype=h5py.string_dtype())
            for column in columns:
                codes, found = pd.factorize(np.array(OBS[column], object), sort=True)
                kinds = group.create_dataset(f"__categories/{column}", data=found, dtype=h5py.string_dtype())
                kinds.attrs["ordered"] = False
                group.create_dataset(column, data=codes.astype(np.int8)).attrs["categories"] = kinds.ref
        stored = sparse.csr_matrix(values())
        group = h5.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (ROWS, GENES)}
        )
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(stored, part))
    assert load(old).sha256() == load(made).sha256()


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    numbers = OBS | {"kind": [row // 2 % 2 for row in range(ROWS)]}
    study = load(write_h5ad(tmp_path / "n.h5ad", numbers, FEATURES, values()))
    assert study.classes == ["0", "1"]
    assert study.batches["b"].y.tolist() == (np.arange(0, ROWS, 3) // 2 % 2).tolist()


def test_a_batch_without_labels_becomes_a_target(tmp_path: Path) -> None:
    kinds = [None if plate == "c" else kind for plate, kind in zip(OBS["plate"], OBS["kind"], strict=True)]
    study = load(write_h5ad(tmp_path / "u.h5ad", OBS | {"kind": kinds}, FEATURES, values()))
    assert study.batches["c"].y is None
    assert study.batches["a"].y is not None
    kinds[2] = "sick"
    study = load(write_h5ad(tmp_path / "p.h5ad", OBS | {"kind": kinds}, FEATURES, values()))
    assert {name: len(batch) for name, batch in study.batches.items()} == {
        "a": 8,
        "b": 8,
        "c": 1,
        "c (unlabelled)": 6,
    }
    assert study.batches["c (unlabelled)"].y is None
    assert [one.code for one in study.cautions] == ["labelled_in_part"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.layer=count"], "x.h5ad has no layers/count; it has: X (dataset.layer=null), counts."),
        (["dataset.batch=plates"], "has no column 'plates' in obs; did you mean 'plate'? It has: plate, kind, donor."),
        (["dataset.label=class"], "has no column 'class' in obs. It has: plate, kind, donor."),
        (["dataset.subject=doner"], "has no column 'doner' in obs; did you mean 'donor'?"),
        (["dataset.batches={x: aa, y: b}"], "batch 'x' should have 'aa' in column 'plate' of obs, which no cell has; did you mean 'a'? There is: a, b, c."),
        (["dataset.batches={only: a}"], "Study 'h5ad' has 1 batch; it needs at least two"),
        (["dataset.classes={sick: a, wel: b}"], "of batch 'a': label 'well' is none of the classes sick, wel; did you mean 'wel'?"),
        (["dataset.sha256=abc"], "x.h5ad is not the expected one: its sha256 is"),
    ],
)  # fmt: skip
def test_wrong_settings(made: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(DataError) as error:
        load(made, *overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_two_batches_of_the_same_cells(made: Path) -> None:
    with pytest.raises(CalibError, match=r"Two batches have the same value in dataset\.batches"):
        load(made, "dataset.batches={x: a, y: a}")


def test_wrong_contents(tmp_path: Path) -> None:
    file = tmp_path / "w.h5ad"
    spoilt = values()
    spoilt[4, 2] = np.nan
    missing = [None, *OBS["donor"][1:]]
    none: dict[str, Any] = {key: np.array([], object) for key in OBS}
    for arguments, overrides, message in (
        ((OBS, ["g", *FEATURES[:-2], "g"], values()), [], "w.h5ad has feature 'g' twice (1 names are repeated); rename"),
        ((OBS, FEATURES, spoilt), [], "batch 'a' has missing or infinite values, the first in 'g2'; repair the file"),
        ((OBS, FEATURES), [], "w.h5ad has no X; it has: no values at all."),
        ((OBS, FEATURES, None, {"a": values()}), [], "w.h5ad has no X; it has: a."),
        ((OBS, [], np.empty((ROWS, 0))), [], "w.h5ad is empty: 23 cells, 0 features."),
        ((none, FEATURES, np.empty((0, GENES))), [], "w.h5ad is empty: 0 cells, 6 features."),
        ((OBS | {"donor": missing}, FEATURES, values()), ["dataset.subject=donor"], "column 'donor' of obs has samples without a subject"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            load(write_h5ad(file, *arguments), *overrides)
        assert message in str(error.value)


def test_files_of_another_kind(tmp_path: Path, made: Path) -> None:
    def refused(file: Path) -> str:
        with pytest.raises(DataError) as error:
            load(file)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "none.h5ad does not exist; check the path" in refused(tmp_path / "none.h5ad")
    (text := tmp_path / "text.h5ad").write_text("label,a\n1,2\n")
    assert "text.h5ad is no h5ad file: it is not HDF5; check dataset.path." in refused(text)
    (empty := tmp_path / "empty.h5ad").write_bytes(b"")
    assert "empty.h5ad is no h5ad file" in refused(empty)
    with h5py.File(other := tmp_path / "other.h5", "w") as h5:
        h5["matrix"] = np.zeros(3)
    assert "other.h5 is HDF5 but no h5ad file: it has no table 'obs'" in refused(other)
    (half := tmp_path / "half.h5ad").write_bytes(made.read_bytes()[:3000])
    assert "half.h5ad cannot be read: " in refused(half)


def test_a_big_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (big := tmp_path / "big.h5ad").open("wb") as stream:
        stream.truncate(2 << 30)  # two gigabytes of zeros, which take no room on the disk
    with pytest.raises(DataError, match="it is not HDF5"):
        load(big)


def put(place: str, value: Any, where: Any = ()) -> Callable[[Any], None]:
    """Return a change of one number, or of a whole array where no place in it is named."""

    def change(h5: Any) -> None:
        if where != ():
            h5[place][where] = value
        else:
            stored = h5[place][:]
            del h5[place]
            h5[place] = value(stored)

    return change


@pytest.mark.parametrize(
    "shape", [(-ROWS, GENES), (ROWS, -GENES), (ROWS, 2**60), (ROWS - 1, GENES), (ROWS, GENES + 1)]
)
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix])
def test_sparse_values_of_another_shape(kind: Any, shape: tuple[int, int], tmp_path: Path) -> None:
    file = write_h5ad(tmp_path / "x.h5ad", OBS, FEATURES, kind(values()))
    with h5py.File(file, "r+") as h5:
        h5["X"].attrs["shape"] = np.array(shape)
    with pytest.raises(
        DataError, match=r"x.h5ad: X has the shape \(.*\), but obs has 23 cells and var 6 features"
    ):
        load(file)


@pytest.mark.parametrize("change", [np.transpose, lambda x: x[:, :, None], lambda x: x[:20], lambda x: x[0]])
def test_dense_values_of_another_shape(change: Any, made: Path) -> None:
    with h5py.File(made, "r+") as h5:
        put("X", change)(h5)
    with pytest.raises(DataError, match="X has the shape .*, but obs has 23 cells and var 6 features"):
        load(made)


@pytest.mark.parametrize(
    "change",
    [
        put("X/indices", 99, 0), put("X/indices", -1, 0), put("X/indptr", 10**6, 3), put("X/indptr", 1, 0),
        put("X/indptr", -1, 3), put("X/indptr", lambda x: x[:-1]), put("X/indices", lambda x: x[:-1]),
        put("X/data", lambda x: x[:-1]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix])
def test_sparse_values_at_no_right_place(kind: Any, change: Callable[[Any], None], tmp_path: Path) -> None:
    file = write_h5ad(tmp_path / "x.h5ad", OBS, FEATURES, kind(values()))
    with h5py.File(file, "r+") as h5:
        change(h5)
    with pytest.raises(
        DataError, match="X is damaged: its sparse values have no right places; fetch the file"
    ):
        load(file)


@pytest.mark.parametrize("package", ["anndata", "h5py"])
def test_packages_that_are_not_installed(package: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CalibError) as error:
        load(made)
    assert str(error.value) == (
        f"Reading x.h5ad needs the package {package}, which is not installed: pip install 'calib-omics[single-cell]', or in the folder of the repository pip install -c constraints.txt -e '.[single-cell]'."
    )
