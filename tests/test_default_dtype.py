"""Torch's default number type, which the caller's program may have set, changes no result."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from calib import BatchCorrector, JointCalibrator
from calib.data.study import Study
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import small_run

FAST = {"pretrain_epochs": 1, "adversary_epochs": 1, "epochs": 1, "batch_size": 30}

DEFAULTS = (torch.float32, torch.float64)


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["joint", "standardise_network"])
def test_of_a_run_and_of_a_saved_model(method: str, dtype: str, tmp_path: Path) -> None:
    found = []
    for default in DEFAULTS:
        torch.set_default_dtype(default)
        out = tmp_path / str(default)
        run(small_run(method, out, "save_model=true", f"dtype={dtype}"))
        (folder,) = out.glob("runs/*/*/*")
        x = np.random.default_rng(0).gamma(2, 500, (4, 12))
        pd.DataFrame(x, columns=[f"feature_{i:02d}" for i in range(12)]).to_csv(out / "n.csv", index=False)
        later = predict(folder, out / "n.csv").probability["n"]
        assert torch.get_default_dtype() is default
        files = [(folder / name).read_bytes() for name in ("predictions.csv", "embedding.npz", "mmd.csv")]
        found.append([*files, later.tobytes()])
    assert found[0] == found[1]


def test_of_the_estimators(study: Study) -> None:
    x = np.concatenate([batch.dense for batch in study.batches.values()])
    owner = np.repeat(list(study.batches), [len(batch) for batch in study.batches.values()])
    y = np.concatenate([batch.y for batch in study.batches.values()]).astype(object)
    y[owner == "3"] = None
    found = []
    for default in DEFAULTS:
        torch.set_default_dtype(default)
        model = JointCalibrator(epochs=2, batch_size=8).fit(x, y, owner)
        corrected = BatchCorrector("normae", **FAST).fit_transform(x, batch=owner)
        found.append((model.predict_proba(x, owner), model.transform(x, owner), corrected))
        assert torch.get_default_dtype() is default
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)
