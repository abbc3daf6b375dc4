"""Tests of large studies: sparse data stay sparse, need bounded memory, and give the numbers of dense data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import sparse

import calib.data.matrix
from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.methods.joint import Joint
from calib.records.record import Record
from calib.report.figures.tsne import MapSettings, record_map
from calib.runs.experiment import run
from calib.runs.predict import predict
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import ROOT, compose, fast
from tests.made_h5ad import write_h5ad

ROWS, GENES = 90, 16
RECORD = ("predictions.csv", "mmd.csv", "embedding.npz", "history.csv")


@pytest.fixture
def values() -> np.ndarray:
    """Return counts, most of them zero, that differ between the classes."""
    rng = np.random.default_rng(0)
    high = (np.arange(ROWS)[:, None] // 3 % 2) * (np.arange(GENES) < 5)
    return (rng.poisson(2 + 6 * high) * (rng.random((ROWS, GENES)) < 0.35)).astype(np.float32)


def settings(folder: Path, name: str, x: object) -> list[str]:
    """Write an h5ad file with these values, and return the overrides that read it."""
    obs = {
        "plate": [("a", "b", "c")[row % 3] for row in range(ROWS)],
        "kind": [("sick", "well")[row // 3 % 2] for row in range(ROWS)],
    }
    file = write_h5ad(folder / f"{name}.h5ad", obs, [f"g{i}" for i in range(GENES)], x)
    named = ["dataset=h5ad", f"dataset.path={file}", "dataset.batch=plate", "dataset.label=kind"]
    return [*named, f"out={folder / name}", "split='12_3'"]


@pytest.mark.parametrize("protocol", [[], ["protocol.transform=log2"], ["protocol.batch_scale=standardise"]])
@pytest.mark.parametrize(
    "method",
    [
        *("joint", "baseline", "combat", "pairwise", "cross_validation"),
        *("coral", "mmd_resnet", "dann", "harmony", "scanvi", "mnn", "cca", "seurat"),
    ],
)
def test_a_sparse_study_gives_the_bytes_of_a_dense_one(
    method: str, protocol: list[str], values: np.ndarray, tmp_path: Path
) -> None:
    found = []
    for name, kind in (("dense", np.asarray), ("sparse", sparse.csr_matrix)):
        overrides = settings(tmp_path, name, kind(values))
        study = build(compose(*overrides).dataset)
        assert all(sparse.issparse(batch.x) == (name == "sparse") for batch in study.batches.values())
        (result,) = run(compose(f"method={method}", *overrides, *fast(method), *protocol))
        (folder,) = (tmp_path / name).glob("runs/h5ad/12_3/*")
        found.append([(folder / file).read_bytes() for file in RECORD])
        found[-1].append(result["key"].encode())
    assert found[0] == found[1]


def test_a_saved_model_judges_sparse_and_dense_files_alike(values: np.ndarray, tmp_path: Path) -> None:
    overrides = settings(tmp_path, "sparse", sparse.csr_matrix(values))
    settings(tmp_path, "dense", values)
    run(compose("method=joint", "save_model=true", *overrides, *fast("joint")))
    (folder,) = (tmp_path / "sparse").glob("runs/h5ad/12_3/*")
    found = [predict(folder, tmp_path / f"{kind}.h5ad") for kind in ("sparse", "dense")]
    assert sparse.issparse(found[0].study.batches["c"].x)
    for name, p in found[0].probability.items():
        np.testing.assert_array_equal(p, found[1].probability[name])


def test_a_map_is_that_of_the_rows_it_shows(values: np.ndarray, tmp_path: Path) -> None:
    config = compose(*settings(tmp_path, "x", sparse.csr_matrix(values)), "method=joint", *fast("joint"))
    run(config)
    (folder,) = (tmp_path / "x").glob("runs/h5ad/12_3/*")
    study = build(config.dataset)
    with np.load(folder / "embedding.npz") as stored:
        whole = stored["z"], stored["batch"]
    assert [name.tolist() for name in np.unique(whole[1], return_counts=True)] == [["a", "b", "c"], [30] * 3]
    one = record_map(Record(folder), study, tmp_path / "maps", MapSettings(limit=40))
    assert one.xy.shape == (40, 2)
    shown = np.sort(np.random.default_rng([0, 40]).permutation(ROWS)[:40])
    assert one.batch.tolist() == (shown // 30).tolist()
    assert one.y.tolist() == np.concatenate([b.y for b in study.batches.values()])[shown].tolist()


@pytest.mark.parametrize("statistics", ["running", "own"])
def test_predictions_do_not_depend_on_blocks(
    statistics: str, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that a batch that is normalised by its own statistics is never cut into blocks."""
    own = [f"protocol.{network}_test_statistics={statistics}" for network in ("calibrator", "discriminator")]
    settings = method_settings(compose("method=joint", *own, *fast("joint")))
    method = build(OmegaConf.create(settings))
    assert isinstance(method, Joint)
    batches = [Samples(name, sparse.csr_array(values[i::3])) for i, name in enumerate("abc")]
    labels = np.arange(30) % 2
    sources = [LabelledSamples(batch.name, batch.x, labels) for batch in batches[:2]]
    fitted = method.fit(Task(sources, batches[2:], 2), Runtime(0))
    whole = [fitted.transform(batches[2]), fitted.predict_proba(batches[2])]
    monkeypatch.setattr(calib.data.matrix, "BLOCK", 7 * GENES)
    for expected, got in zip(
        whole, [fitted.transform(batches[2]), fitted.predict_proba(batches[2])], strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def bench(*arguments: object) -> list[float]:
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "scale.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [float(number) for number in done.stdout.split()]


@pytest.mark.slow
def test_memory_of_a_hundred_thousand_samples(tmp_path: Path) -> None:
    *_, small = bench("--train", 10_000, 1)
    *_, large = bench("--train", 100_000)
    assert large < small + 200
    bench("--write", tmp_path, 100_000)
    _, whole = bench("--run", tmp_path, 100_000)
    assert whole < 2200
