"""Tests that odd study files give a right result or an error of one sentence, and nothing else."""

import functools
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.settings import literal
from calib.errors import CalibError
from calib.runs.experiment import run
from tests.conftest import compose, fast
from tests.odd_tables import KINDS, studies, written
from tests.plain_reader import check_against_file

COMMON = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
FEW = settings(max_examples=40, **COMMON)
MANY = settings(max_examples=120, **COMMON)

outcomes: Counter[tuple[str, str]] = Counter()
"""Kind of oddity, or "all", and outcome -> number of tables."""
compared: Counter[str] = Counter()
"""Values that were compared with those of the plain reader."""


@functools.cache
def composed(method: str, protocol: str, kind: str) -> DictConfig:
    epochs = [o.replace("epochs=3", "epochs=2").replace("batch_size=8", "batch_size=4") for o in fast(method)]
    return compose(f"dataset={kind}", f"method={method}", f"protocol={protocol}", *epochs)


def configured(case: dict[str, Any], file: Path, out: Path) -> DictConfig:
    """Return the configuration that reads the file and carries out a short run."""
    h5ad = case["kind"] == "h5ad"
    config = composed(case["method"], case["protocol"], "h5ad" if h5ad else "table").copy()
    dataset = {
        "name": "fuzz",
        "path": str(file),
        "batch": "batch",
        "label": "label",
        "subject": "subject" if case["subject"] else None,
        "n_sources": case["sources"],
        "subject_labels": case["paired"] or "refuse",
    }
    if not h5ad:
        sample = "id" if case["index"] == "sample" else None
        dataset |= {"impute": case["impute"], "missing_features": case["filled"], "sample": sample}
    if case["exclude"] is not None:
        dataset["exclude"] = {"type": case["exclude"].split(",")}
    split = case["split"]
    if split == "first":
        split = "+".join(case["batches"][:-1]) + ":" + case["batches"][-1]
    changes: dict[str, Any] = {
        "dataset": dataset,
        "out": str(out),
        "split": literal(split),
        "progress": False,
        "dtype": case["dtype"],
    }
    protocol = {
        key: case[name] for key, name in (("transform", "transform"), ("batch_scale", "scale")) if case[name]
    }
    return OmegaConf.merge(config, changes | {"protocol": protocol})


def judge(case: dict[str, Any], folder: Path) -> str:
    """Run a case and return its outcome, "result" or "sentence"."""
    rng = np.random.default_rng(case["seed"])
    folder.mkdir()
    file = written(case, folder, rng)
    config = configured(case, file, folder / "out")
    try:
        found = run(config)
    except CalibError as error:
        told = str(error)
        assert all(unicodedata.category(sign) != "Cc" for sign in told), repr(told)
        assert 20 < len(told) < 2000, told
        assert told[-1] in ".?)" or " There is: " in told, told
        assert not list(folder.glob("out/runs/*/*/*/result.json")) or case["split"] == "all"
        return "sentence"
    for result in found:
        for scores in result["targets"].values():
            assert scores["n"] > 0
            known = [scores[m] for m in ("accuracy", "auc") if scores.get(m) is not None]
            assert np.isfinite(known).all()
    study = build(config.dataset)
    if case["spoil"] != "flip":  # a changed sign may make another dialect of the file
        compared["values"] += check_against_file(study, file, case)
    for predictions in folder.rglob("predictions.csv"):
        table = pd.read_csv(predictions, dtype={"batch": str, "sample": str}, keep_default_na=False)
        np.testing.assert_allclose(table.filter(regex="^p_").astype(float).sum(axis=1), 1, rtol=1e-5)
        for batch, part in table.groupby("batch"):
            assert list(part["sample"]) == list(map(str, study.batches[str(batch)].names))
    return "result"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def fuzz(case: dict[str, Any], folder: Path) -> None:
    """Try a case and count it, and every kind of oddity that it has."""
    outcome = judge(case, folder / str(sum(n for (kind, _), n in outcomes.items() if kind == "all")))
    kinds = [kind for kind, keys in KINDS.items() if set(keys) & set(case["odd"])]
    outcomes.update((kind, outcome) for kind in ["all", *kinds])


def counts() -> str:
    """Return the numbers of tables, results and sentences of each kind as a table in Markdown."""
    lines = [f"{sum(compared.values()):,} values compared", "| kind | tried | results | sentences |"]
    for kind in [*KINDS, "all"]:
        made, refused = outcomes[kind, "result"], outcomes[kind, "sentence"]
        lines.append(f"| {kind} | {made + refused} | {made} | {refused} |")
    return "\n".join(lines)


@FEW
@given(case=studies())
def test_a_few_odd_files(case: dict[str, Any], folder: Path) -> None:
    fuzz(case, folder)


@pytest.mark.slow
def test_many_odd_files(folder: Path) -> None:
    MANY(given(case=studies())(lambda case: fuzz(case, folder)))()
    print(f"\n{counts()}")
