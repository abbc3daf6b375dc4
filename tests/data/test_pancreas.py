"""Tests of the pancreas study, on simulated and real cells: cell types, genes, and the download."""

import csv
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache as kept
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pooch
import pytest
import requests
from scipy import sparse

import calib.data.genes
from calib.config import build
from calib.data import figshare
from calib.data.downloads import data_folders, find
from calib.data.study import Study
from calib.errors import CalibError, DataError, UnreachableError
from calib.report.paper import PARTS_OF_PANCREAS
from calib.runs.experiment import run
from tests.conftest import ROOT, compose, fast
from tests.made_h5ad import TECHNOLOGIES, made_cells, whole_composition, write_h5ad

EXPECTED = {str(kind): list(n) for kind, n in compose("dataset=pancreas").dataset.cell_types.items()}
WANTED = ["celseq", "fluidigmc1", "smartseq2"]
FEW = {
    "smarter": {"alpha": 9, "beta": 9},
    "celseq": {"alpha": 20, "beta": 16, "schwann": 4},
    "fluidigmc1": {"alpha": 18, "beta": 14, "activated_stellate": 3},
    "smartseq2": {"alpha": 22, "beta": 12, "schwann": 1},
}
GENES = 400


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a download cache of the test's own."""
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write(tmp_path / "few.h5ad")


def write(file: Path, spoil: Any = lambda obs, x: (obs, x), genes: int = GENES) -> Path:
    obs, x = spoil(*made_cells(FEW, genes))
    return write_h5ad(file, obs, [f"g{i}" for i in range(genes)], None, {"counts": x})


def load(file: Path, *overrides: str) -> Study:
    free = [f"dataset.cell_types.{kind}=null" for kind in EXPECTED]
    here = [f"dataset.path={file}", "dataset.figshare=null", "dataset.genes=20"]
    return build(compose("dataset=pancreas", *here, *free, *overrides).dataset)


def test_the_composition_is_that_of_the_paper() -> None:
    assert len(EXPECTED) == 13
    sizes = np.array(list(EXPECTED.values())).sum(axis=0)
    assert sizes.tolist() == [1004, 638, 2394]
    assert sizes.sum() == 4036
    facts = data_folders()[0] / "pancreas" / "label_counts.csv"
    if facts.is_file():
        with facts.open() as stream:
            rows = {
                row.pop("celltype"): [int(row[tech]) for tech in WANTED] for row in csv.DictReader(stream)
            }
        assert list(rows.items()) == list(EXPECTED.items())


def test_thirteen_classes_in_their_order_whatever_occurs(few: Path) -> None:
    study = load(few)
    assert study.classes == list(EXPECTED)
    assert [len(batch) for batch in study.batches.values()] == [40, 35, 35]
    counts = [np.bincount(batch.y, minlength=13) for batch in study.batches.values()]
    assert [c[study.classes.index("schwann")] for c in counts] == [4, 0, 1]
    assert [c[study.classes.index("activated_stellate")] for c in counts] == [0, 3, 0]
    assert len(study.features) == 20
    assert set(study.features) <= {f"g{i}" for i in range(GENES)}


def test_values_are_scaled_and_logged_counts(few: Path) -> None:
    study = load(few, "dataset.genes=5")
    obs, x = made_cells(FEW, GENES)
    x = x.toarray().astype(float)
    parts = [x[(obs["tech"] == tech).to_numpy()] for tech in WANTED]
    common = np.logical_and.reduce([(part > 0).any(axis=0) for part in parts])
    columns = [int(feature[1:]) for feature in study.features]
    assert common[columns].all()
    for part, batch in zip(parts, study.batches.values(), strict=True):
        scaled = part[:, columns] / part[:, common].sum(axis=1, keepdims=True) * 10_000
        np.testing.assert_allclose(batch.dense, np.log1p(scaled))


def test_counts_may_be_stored_in_full(few: Path, tmp_path: Path) -> None:
    full = write(tmp_path / "full.h5ad", lambda obs, x: (obs, x.toarray()))
    assert load(full).sha256() == load(few).sha256()


def test_genes_that_vary_are_chosen(tmp_path: Path) -> None:
    def spoil(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        rng, x = np.random.default_rng(0), x.toarray()
        x[:] = rng.poisson(20, x.shape)
        x[:, [3, 11, 40]] *= rng.choice([0, 2], (len(x), 3))
        return obs, sparse.csr_matrix(x)

    for flavor in ("cell_ranger", "seurat"):
        study = load(write(tmp_path / "v.h5ad", spoil), "dataset.genes=3", f"dataset.flavor={flavor}")
        assert list(study.features) == ["g3", "g11", "g40"]


def test_no_step_looks_at_a_label(few: Path, tmp_path: Path) -> None:
    def shuffle(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        kinds = np.random.default_rng(1).permutation(obs["celltype"])
        return obs.assign(celltype=kinds), x

    true, shuffled = load(few), load(write(tmp_path / "shuffled.h5ad", shuffle))
    assert true.features == shuffled.features
    for name, batch in true.batches.items():
        np.testing.assert_array_equal(batch.dense, shuffled.batches[name].dense)
        assert not np.array_equal(batch.y, shuffled.batches[name].y)


def test_spellings_of_cell_types(few: Path, tmp_path: Path) -> None:
    def respell(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        spelled = {"activated_stellate": "Activated-Stellate", "schwann": "Schwann ", "alpha": "ALPHA"}
        return obs.assign(celltype=obs["celltype"].replace(spelled)), x

    study, other = load(few), load(write(tmp_path / "spelled.h5ad", respell))
    assert [b.y.tolist() for b in study.batches.values()] == [b.y.tolist() for b in other.batches.values()]

    def misspell(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        return obs.assign(celltype=obs["celltype"].replace("schwann", "swann")), x

    with pytest.raises(DataError, match=r"label 'swann' is none of the classes .*did you mean 'schwann'\?"):
        load(write(tmp_path / "misspelled.h5ad", misspell))


def test_another_composition(few: Path) -> None:
    with pytest.raises(DataError) as error:
        load(few, "dataset.cell_types.beta=[16,15,12]")
    message = str(error.value)
    assert (
        "few.h5ad is not the expected one: batch '2' has 14 samples of class 'beta', not 15; delete it"
        in message
    )
    assert "or set dataset.cell_types.beta=null to use it as it is" in message
    with pytest.raises(CalibError, match=r"cell_types.beta has 2 numbers of samples for 3 batches; give one"):
        load(few, "dataset.cell_types.beta=[16,14]")
    assert load(few, "dataset.cell_types.beta=[16,14,12]").batches["2"].y is not None


def test_unfit_counts(tmp_path: Path) -> None:
    def negative(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        x.data[np.flatnonzero(np.isin(obs["tech"], WANTED))[0]] = -1
        return obs, x

    def empty(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        keep = np.ones(len(obs))
        keep[np.flatnonzero(obs["tech"] == "fluidigmc1")[0]] = 0
        return obs, sparse.csr_matrix(sparse.diags(keep) @ x)

    def apart(obs: pd.DataFrame, x: Any) -> tuple[pd.DataFrame, Any]:
        return obs, sparse.csr_matrix(x.multiply((obs["tech"] != "celseq").to_numpy()[:, None]))

    with pytest.raises(
        DataError, match=r"n.h5ad holds negative, missing or infinite values where raw counts"
    ):
        load(write(tmp_path / "n.h5ad", negative))
    with pytest.raises(DataError, match=r"1 cell\(s\) have no counts .* of batch '2'; leave them out with"):
        load(write(tmp_path / "e.h5ad", empty))
    assert len(load(tmp_path / "e.h5ad", "dataset.min_genes=1").batches["2"]) == 34
    with pytest.raises(DataError, match="a.h5ad: no gene is detected in every batch"):
        load(write(tmp_path / "a.h5ad", apart))


def test_wrong_settings(few: Path) -> None:
    for override, message in (
        ("dataset.genes=401", "dataset.genes=401 is more than the"),
        ("dataset.genes=0", "dataset.genes=0 must be a whole number of at least 1"),
        ("dataset.min_genes=-1", "dataset.min_genes=-1 must be"),
        ("dataset.total=0", "dataset.total=0 must be a number of at least 1"),
        (
            "dataset.flavor=seurat_v3",
            "dataset.flavor=seurat_v3 is not one of: cell_ranger, seurat; did you mean",
        ),
        ("dataset.layer=raw", "few.h5ad has no layers/raw; it has: counts."),
    ):
        with pytest.raises(CalibError) as error:
            load(few, override)
        assert message in str(error.value)


def test_the_choice_of_genes_is_remembered(
    few: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = load(few)
    (file,) = (cache / "genes").iterdir()
    text = file.read_text()
    assert text.splitlines()[1:] == first.features
    rank = calib.data.genes.ranked_genes
    with monkeypatch.context() as patch:
        patch.setattr(calib.data.genes, "ranked_genes", lambda *_: pytest.fail("chosen again"))
        assert load(few).sha256() == first.sha256()
    for spoilt in (
        "",
        text[:-9],
        text.replace(first.features[3], "g999"),
        "\n".join(text.splitlines()[1:]),
        "\xff",
    ):
        file.write_text(spoilt, encoding="latin1")
        asked: list[int] = []
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(calib.data.genes, "ranked_genes", lambda *a, n=asked: n.append(1) or rank(*a))
            assert load(few).sha256() == first.sha256()
        assert asked
        assert file.read_text() == text
    assert "is damaged and is made again" in caplog.text
    load(few, "dataset.genes=19")
    load(few, "dataset.flavor=seurat")
    load(few, "dataset.total=1000")
    assert len(list((cache / "genes").iterdir())) == 4


def test_without_a_place_for_the_choice(few: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert len(load(few).features) == 20


@dataclass
class Host:
    """A local server that answers like figshare to a download."""

    content: bytes
    md5: str = ""
    cut: list[int] = field(default_factory=list)
    """Number of bytes after which each of the next answers ends."""
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    """The Range header of every request for the file."""
    address: str = ""

    def article(self) -> bytes:
        entry = {"id": 7, "name": "cells.h5ad", "size": len(self.content), "computed_md5": self.md5}
        return json.dumps({"files": [{"id": 6}, entry | {"download_url": f"{self.address}/file/7"}]}).encode()


@pytest.fixture
def host(few: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    content = few.read_bytes()
    host = Host(content, hashlib.md5(content).hexdigest())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/articles/5":
                return self.answer(200, host.article())
            if self.path != "/file/7":
                return self.answer(404, b"")
            wanted = self.headers["Range"]
            host.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
            return self.answer(
                206 if start else 200, host.content[start:], host.cut.pop(0) if host.cut else None
            )

        def answer(self, code: int, body: bytes, cut: int | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    host.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(figshare, "API", host.address)
    monkeypatch.setattr(figshare, "BLOCK", 500)
    monkeypatch.delenv("CALIB_DATA_DIR", raising=False)
    yield host
    server.shutdown()
    server.server_close()


def download() -> Path:
    return figshare.locate_published("pancreas/cells.h5ad", 5, 7)


def test_download(host: Host, cache: Path) -> None:
    file = download()
    assert file == cache / "pancreas" / "cells.h5ad"
    assert file.read_bytes() == host.content
    sha256 = hashlib.sha256(host.content).hexdigest()
    assert (file.parent / "cells.h5ad.sha256").read_text() == f"{sha256}  cells.h5ad\n"
    assert download() == file
    assert host.asked == [None]
    study = load(Path("pancreas/cells.h5ad"), "dataset.figshare={article: 5, file: 7}")
    assert len(study.features) == 20
    file.write_bytes(host.content[:-1])
    with pytest.raises(DataError, match=r"cells.h5ad is no longer what was downloaded: .* Delete both"):
        download()


def test_a_broken_download_goes_on(host: Host) -> None:
    host.cut = [3000, 2000]
    assert download().read_bytes() == host.content
    assert host.asked == [None, "bytes=3000-", "bytes=5000-"]


def test_an_interrupted_download_goes_on_in_the_next_call(host: Host, cache: Path) -> None:
    host.cut = [1000] * figshare.ATTEMPTS
    with pytest.raises(
        DataError, match=r"could not be downloaded from figshare, article 5 .*arrived and are kept"
    ):
        download()
    assert not (cache / "pancreas" / "cells.h5ad").exists()
    assert download().read_bytes() == host.content
    assert host.asked[-1] == f"bytes={1000 * figshare.ATTEMPTS}-"
    assert not list(cache.rglob("*.part"))


def test_a_host_that_cannot_go_on_begins_anew(host: Host) -> None:
    host.cut, host.ranges = [3000], False
    assert download().read_bytes() == host.content


def test_a_download_with_another_md5_is_not_kept(host: Host, cache: Path) -> None:
    host.md5 = "0" * 32
    with pytest.raises(DataError, match="does not have the MD5 that figshare publishes"):
        download()
    assert not [file for file in cache.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
    host.md5 = ""
    with pytest.raises(DataError, match="article 5 lists no file 7 with a checksum"):
        download()


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.delenv("CALIB_DATA_DIR", raising=False)
    with pytest.raises(UnreachableError) as error:
        build(compose("dataset=pancreas").dataset)
    assert "human_pancreas_norm_complexBatch.h5ad is not in" in str(error.value)
    assert "connect to the network and repeat the command, or put the file into the folder" in str(
        error.value
    )
    with pytest.raises(DataError, match="/no.h5ad does not exist"):
        figshare.locate_published("/no.h5ad", 5, 7)


PARTS = {
    "pancreas_mini": {
        "1": {"acinar": 23, "alpha": 20, "beta": 13, "delta": 6, "ductal": 36, "endothelial": 2},
        "2": {"acinar": 1, "alpha": 39, "beta": 45, "delta": 6, "ductal": 8, "endothelial": 1},
        "3": {"acinar": 7, "alpha": 50, "beta": 12, "delta": 6, "ductal": 25},
    },
    "pancreas_500": {
        "1": {"acinar": 23, "alpha": 20, "beta": 13, "delta": 6, "ductal": 36, "endothelial": 2},
        "2": {"acinar": 12, "alpha": 39, "beta": 30, "delta": 9, "ductal": 9, "endothelial": 1},
        "3": {"acinar": 1, "alpha": 39, "beta": 45, "delta": 6, "ductal": 8, "endothelial": 1},
        "4": {"acinar": 15, "alpha": 35, "beta": 34, "delta": 6, "ductal": 9, "endothelial": 1},
        "5": {"acinar": 7, "alpha": 50, "beta": 12, "delta": 6, "ductal": 25},
    },
    "pancreas_1000_three": {
        "1": {"acinar": 19, "activated_stellate": 2, "alpha": 15, "beta": 15, "delta": 2, "ductal": 17, "gamma": 3, "mast": 1, "quiescent_stellate": 1},
        "2": {"acinar": 1, "activated_stellate": 1, "alpha": 16, "beta": 12, "delta": 1, "ductal": 8, "endothelial": 1, "gamma": 2},
        "3": {"acinar": 8, "activated_stellate": 1, "alpha": 49, "beta": 20, "delta": 5, "ductal": 39, "endothelial": 3, "gamma": 13, "macrophage": 1, "quiescent_stellate": 1},
    },
    "pancreas_1000": {
        "1": {"acinar": 19, "activated_stellate": 2, "alpha": 15, "beta": 15, "delta": 2, "ductal": 17, "gamma": 3, "mast": 1, "quiescent_stellate": 1},
        "2": {"acinar": 16, "activated_stellate": 6, "alpha": 58, "beta": 25, "delta": 15, "ductal": 10, "endothelial": 1, "gamma": 7, "quiescent_stellate": 1, "schwann": 1},
        "3": {"acinar": 1, "activated_stellate": 1, "alpha": 16, "beta": 12, "delta": 1, "ductal": 8, "endothelial": 1, "gamma": 2},
        "4": {"acinar": 88, "activated_stellate": 22, "alpha": 167, "beta": 174, "delta": 28, "ductal": 71, "endothelial": 16, "epsilon": 1, "gamma": 18, "macrophage": 6, "mast": 1, "quiescent_stellate": 10, "schwann": 1},
        "5": {"acinar": 8, "activated_stellate": 1, "alpha": 49, "beta": 20, "delta": 5, "ductal": 39, "endothelial": 3, "gamma": 13, "macrophage": 1, "quiescent_stellate": 1},
    },
}  # fmt: skip
"""Cells of every type in every batch of the parts of the study that can be had."""


@kept
def real(name: str) -> Study:
    """Return a real part of the study, or skip the test where its file is not here."""
    config = compose(f"dataset={name}").dataset
    if find(config.path) is None:
        pytest.skip(f"the real cells are not here: python scripts/fetch_data.py {name} fetches them")
    return build(config)


@pytest.mark.parametrize("name", PARTS)
def test_a_real_part_has_the_cells_of_its_card(name: str) -> None:
    study = real(name)
    found = {
        batch.name: {
            study.classes[i]: int(n)
            for i, n in enumerate(np.bincount(batch.y))
            if n  # type: ignore[arg-type]
        }
        for batch in study.batches.values()
    }
    assert found == PARTS[name]
    sizes = [sum(kinds.values()) for kinds in PARTS[name].values()]
    assert [batch.x.shape for batch in study.batches.values()] == [(size, 325) for size in sizes]
    content = PARTS_OF_PANCREAS[name]
    assert re.match(rf"{sum(sizes)} cells .*, {len(study.classes)} types$", content), content
    assert ("five protocols" in content) == (len(sizes) == 5)
    assert study.n_sources == len(sizes) - 1
    assert all((b.dense >= 0).all() and (b.dense > 0).any(axis=0).all() for b in study.batches.values())


def test_every_study_that_is_fetched_has_an_address_a_checksum_and_a_card() -> None:
    for name in ("mi", "chd", "pancreas", *PARTS):
        config = compose(f"dataset={name}").dataset
        assert all(config.card[key] for key in ("summary", "batch", "class", "licence", "doi", "source"))
        assert config.unit == 100
        if name != "pancreas":  # which figshare's MD5 checks
            files = [config] if "path" in config else config.files.values()
            assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in files)
            assert re.search(r"/[0-9a-f]{40}/", config.url), "the address names a commit"


def test_the_three_protocols_are_the_same_cells_as_in_the_five() -> None:
    for small, large in (("pancreas_mini", "pancreas_500"), ("pancreas_1000_three", "pancreas_1000")):
        three, five = real(small), real(large)
        for own, whole in (("1", "1"), ("2", "3"), ("3", "5")):
            assert three.batches[own].names.tolist() == five.batches[whole].names.tolist()  # type: ignore[union-attr]


@pytest.fixture
def mini() -> Study:
    return real("pancreas_mini")


def test_the_real_piece(mini: Study) -> None:
    assert mini.classes == ["acinar", "alpha", "beta", "delta", "ductal", "endothelial"]
    assert {"INS", "GCG", "SST"} & set(mini.features)


@pytest.mark.parametrize(
    "method", ["joint", "recon_t", "baseline", "combat", "normae", "pairwise", "cross_validation"]
)
def test_methods_on_the_real_piece(method: str, mini: Study, tmp_path: Path) -> None:
    overrides = [f"method={method}", *fast(method), "split='3_12'", f"out={tmp_path}"]
    (result,) = run(compose("dataset=pancreas_mini", *overrides))
    assert list(result["class_counts"]) == ["1", "2", "3"]
    assert all(sum(counts.values()) == 100 for counts in result["class_counts"].values())
    for scores in result["targets"].values():
        assert all(scores[metric] is not None for metric in ("accuracy", "f_score", "auc", "auc_hard", "mcc"))
    unseen = {"1": {"endothelial": 2}, "2": {"endothelial": 1}}
    assert result["unseen_classes"] == ({} if method == "cross_validation" else unseen)


@pytest.mark.slow
def test_a_file_of_full_size(tmp_path: Path) -> None:
    """Check that 16,382 cells of nine technologies with 19,093 genes are prepared in 60 s and 4 GB."""
    composition = whole_composition(EXPECTED, WANTED)
    assert {tech: sum(kinds.values()) for tech, kinds in composition.items()} == TECHNOLOGIES
    obs, x = made_cells(composition, 19_093)
    obs["celltype"] = obs["celltype"].str.replace("_", " ")
    file = write_h5ad(tmp_path / "full.h5ad", obs, [f"g{i}" for i in range(x.shape[1])], None, {"counts": x})
    stored = x.nnz
    del x
    code = (
        "import resource, sys, time; started = time.perf_counter(); "
        "from tests.conftest import compose; from calib.config import build; "
        f"study = build(compose('dataset=pancreas', 'dataset.figshare=null', 'dataset.path={file}').dataset); "
        "print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "
        "*[len(b) for b in study.batches.values()], len(study.features))"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, megabytes, *sizes = map(float, done.stdout.split())
    print(f"\n{stored / 1e6:.0f} million counts: {seconds:.0f} s, {megabytes:.0f} MB")
    assert sizes == [1004, 638, 2394, 325]
    assert seconds < 60
    assert megabytes < 4000
