"""Tests that sparse data stay sparse and give the same numbers as dense data."""

import numpy as np
import pytest
import torch
from scipy import sparse

import calib.data.matrix
import calib.data.tensors
from calib.data.matrix import as_floats, blocks, feature_means, infinite_feature
from calib.data.study import Batch, Study
from calib.data.tensors import Rows, by_blocks
from calib.data.transform import BatchScale, Transform, prepared
from calib.runtime import Runtime


def sparse_values(rows: int = 30, features: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.poisson(5, (rows, features)) * (rng.random((rows, features)) < 0.3)
    return values.astype(np.float32)


def test_number_types_hold_every_value() -> None:
    for kind, expected in ((np.uint16, np.float32), (np.int64, np.float64), (np.float32, np.float32)):
        for values in (sparse_values().astype(kind), sparse.csr_matrix(sparse_values().astype(kind))):
            x = as_floats(values)
            assert x.dtype == expected
            assert sparse.issparse(x) == sparse.issparse(values)


def test_half_empty_values_are_smaller_as_an_array() -> None:
    full = np.ones((3, 4), np.float32)
    assert isinstance(as_floats(sparse.csr_matrix(full)), np.ndarray)
    full[:, :2] = 0
    assert isinstance(as_floats(sparse.csr_matrix(full)), np.ndarray)
    full[0, 2] = 0
    assert isinstance(as_floats(sparse.csr_matrix(full)), sparse.csr_array)


def test_values_stored_in_parts_are_added_before_a_logarithm() -> None:
    twice = sparse.csr_matrix((np.array([1.0, 2.0]), np.array([4, 4]), np.array([0, 2, 2])), shape=(2, 6))
    assert prepared(as_floats(twice), "log2", "none", "float32").toarray()[0, 4] == 2


@pytest.mark.parametrize("transform", ["none", "arcsinh", "log2"])
@pytest.mark.parametrize("scale", ["none", "standardise", "minmax"])
def test_sparse_data_are_prepared_as_dense_ones(transform: Transform, scale: BatchScale) -> None:
    values = sparse_values()
    expected = prepared(values.astype(np.float64), transform, scale, "float32")
    for x in (as_floats(values), as_floats(sparse.csr_matrix(values))):
        got = prepared(x, transform, scale, "float32")
        assert got.dtype == np.float32
        assert sparse.issparse(got) == (sparse.issparse(x) and scale == "none")
        np.testing.assert_array_equal(calib.data.matrix.dense(got), expected)


def test_the_first_infinite_feature_and_the_means_are_the_same() -> None:
    values = sparse_values()
    x = as_floats(sparse.csr_matrix(values))
    assert (feature_means(x) == values.mean(axis=0)).all()
    assert infinite_feature(x) is infinite_feature(values) is None
    values[20, 3], values[2, 7] = np.inf, np.nan
    assert infinite_feature(as_floats(sparse.csr_matrix(values))) == infinite_feature(values) == 3


def test_the_checksum_does_not_depend_on_storage_or_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = sparse_values()
    kinds = [values, values.astype(np.float64), np.asfortranarray(values), sparse.csr_array(values)]

    def checksums() -> set[str]:
        return {Study("s", {"a": Batch("a", x)}, ["g"], ["c", "d"]).sha256() for x in kinds}

    whole = checksums()
    assert len(whole) == 1
    monkeypatch.setattr(calib.data.matrix, "BLOCK", 50)
    assert len(list(blocks(values))) == 8
    assert checksums() == whole


@pytest.mark.parametrize("merged", [0, 10**6])
def test_rows_are_the_same_from_every_kind_of_batch(merged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.data.tensors, "MERGED", merged)
    batches = [sparse_values(rows, seed=rows) for rows in (30, 1, 17)]
    kinds = [
        batches,
        [np.asfortranarray(x) for x in batches],
        [sparse.csr_array(x) for x in batches],
        [batches[0], sparse.csr_array(batches[1]), batches[2]],
    ]
    index = torch.randint(48, (100,), generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.float64):
        for kind in kinds:
            got = Rows(kind, Runtime(0, dtype=dtype)).take(index)
            assert got.dtype == dtype
            assert got.is_contiguous()
            np.testing.assert_array_equal(got, np.concatenate(batches)[index])


def test_large_batches_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.data.tensors, "MERGED", 0)
    batches = [sparse_values(rows) for rows in (5, 6)]
    rows = Rows(batches, Runtime(0))
    batches[1][3] = -1
    assert (rows.take(torch.tensor([5 + 3])) == -1).all()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_blocks_give_what_the_whole_gives(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    x, network = kind(sparse_values()), torch.nn.Linear(12, 3)
    seen: list[int] = []

    def judge(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.shape[1])
        return network(rows)

    expected = by_blocks(judge, x, Runtime(0))
    monkeypatch.setattr(calib.data.matrix, "BLOCK", 12 * 8)
    np.testing.assert_allclose(by_blocks(judge, x, Runtime(0)), expected, rtol=1e-5, atol=1e-6)
    assert (by_blocks(judge, x, Runtime(0), whole=True) == expected).all()
    assert seen == [30, 8, 8, 8, 6, 30]
    assert by_blocks(judge, x[:0], Runtime(0)).shape == (0, 3)
