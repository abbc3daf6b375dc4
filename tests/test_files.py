"""Tests of files: NumPy archives have the bytes that NumPy writes, and a file is written whole or not at all."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

import calib.files
from calib.files import Stack, read_rows, write_archive, write_whole


def test_a_stack_is_written_as_the_array_it_stands_for(tmp_path: Path) -> None:
    z = np.random.default_rng(0).normal(size=(20, 3))
    names = np.array(["a", "bc"])
    np.savez(expected := io.BytesIO(), z=z.astype(np.float32), names=names, allow_pickle=False)
    parts = (z[rows] for rows in (slice(0, 7), slice(7, 7), slice(7, 20)))
    write_archive(got := io.BytesIO(), {"z": Stack(z.shape, "float32", parts), "names": names})
    assert got.getvalue() == expected.getvalue()


def test_objects_are_not_pickled() -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_archive(io.BytesIO(), {"x": np.array([{}], object)})


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_rows_of_an_archive(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.files, "BLOCK", block)
    z = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savez(tmp_path / "z.npz", other=np.arange(4), z=z)
    for rows in (np.array([0, 3, 4, 31, 49]), np.arange(50), np.array([], int)):
        np.testing.assert_array_equal(read_rows(tmp_path / "z.npz", "z", rows), z[rows])
    assert read_rows(tmp_path / "z.npz", "other", np.array([1, 3])).tolist() == [1, 3]


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, flushed = tmp_path / "a.txt", []

    def flush(number: int) -> None:
        assert not file.exists()
        flushed.append(os.fstat(number).st_size)

    monkeypatch.setattr(os, "fsync", flush)
    write_whole(file, lambda temporary: temporary.write_text("whole"))
    assert flushed == [5]
    assert file.read_text() == "whole"
