"""Tests of cells in a Seurat object that R saved, on files made here."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("rdata")

from calib.config import build
from calib.data.seurat_object import read_seurat
from calib.data.study import Study
from calib.errors import CalibError, DataError
from tests.conftest import compose
from tests.made_rda import factor, write, write_seurat

COUNTS = sparse.csr_matrix(np.array([[1, 0, 2.5], [0, 3, 0], [0, 0, 1], [4, 0, 0], [2, 1, 0], [0, 1, 7]]))
GENES = ["g1", "g2", "g3"]
KINDS = factor([1, 2, 1, 2, 1, 2], ["alpha", "beta"])
"""A factor, as R makes it of a column of text."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    columns = {"tech": ["b", "b", "a", "a", "c", None], "celltype": KINDS, "depth": [1.5, 2, 3, 4, 5, 6]}
    return write_seurat(tmp_path / "cells.rda", COUNTS, GENES, columns)


def load(file: Path, *overrides: str) -> Study:
    names = ["dataset.batch=tech", "dataset.label=celltype"]
    return build(compose("dataset=h5ad", f"dataset.path={file}", *names, *overrides).dataset)


def test_cells_genes_and_columns_are_read(file: Path) -> None:
    obs, genes, x = read_seurat(file, None)
    assert genes == GENES
    np.testing.assert_array_equal(x.toarray(), COUNTS.toarray())
    assert x.dtype == np.float32
    assert obs.index.tolist() == [f"cell_{i}" for i in range(6)]
    assert obs["celltype"].tolist() == ["alpha", "beta"] * 3
    assert obs["tech"].isna().tolist() == [False] * 5 + [True]
    assert obs["depth"].tolist() == [1.5, 2, 3, 4, 5, 6]


def test_a_missing_value_of_a_factor_stays_missing(tmp_path: Path) -> None:
    columns = {"celltype": factor([1, -(2**31), 2], ["alpha", "beta"])}
    obs, _, _ = read_seurat(write_seurat(tmp_path / "f.rda", COUNTS[:3], GENES, columns), None)
    assert obs["celltype"].isna().tolist() == [False, True, False]


def test_it_is_read_as_an_h5ad_file_is(file: Path) -> None:
    study = load(file, "dataset.batches={one: a, two: b}")
    assert [(batch.name, batch.x.shape) for batch in study.batches.values()] == [
        ("one", (2, 3)),
        ("two", (2, 3)),
    ]
    np.testing.assert_array_equal(study.batches["one"].dense, COUNTS.toarray()[2:4])
    assert study.classes == ["alpha", "beta"]
    with pytest.raises(
        DataError, match=r"1 of 6 cells have no batch in column 'tech' of obs, the first 'cell_5'"
    ):
        load(file)
    with pytest.raises(DataError, match=r"no column 'teck' in obs; did you mean 'tech'\?"):
        load(file, "dataset.batch=teck")


def test_what_is_no_seurat_object_is_refused_in_one_sentence(file: Path, tmp_path: Path) -> None:
    write(tmp_path / "other.RData", {"x": KINDS})
    with pytest.raises(
        DataError, match="other.RData holds no Seurat object with a table of cells and a matrix 'counts'"
    ):
        load(tmp_path / "other.RData")
    (tmp_path / "damaged.rda").write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged.rda cannot be read as R data: .*; fetch it again"):
        load(tmp_path / "damaged.rda")
    with pytest.raises(
        DataError, match="dataset.layer=scale is no matrix of a Seurat object; choose counts or data"
    ):
        load(file, "dataset.layer=scale")
    with pytest.raises(DataError, match="and a matrix 'data'"):
        load(file, "dataset.layer=data")


@pytest.mark.parametrize("gene", [3, -1])
def test_a_value_of_no_gene_is_refused(gene: int, tmp_path: Path) -> None:
    wrong = COUNTS.copy()
    wrong.indices[2] = gene
    columns = {"tech": ["a", "b"] * 3, "celltype": KINDS}
    with pytest.raises(DataError, match="holds no Seurat object with a table of cells and a matrix 'counts'"):
        load(write_seurat(tmp_path / "wrong.rda", wrong, GENES, columns))


def test_without_the_extra_the_message_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rdata.parser", None)
    with pytest.raises(CalibError, match=r"needs the package rdata.parser.*'.\[single-cell\]'"):
        load(file)
