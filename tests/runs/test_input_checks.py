"""Tests that data which a method is not made for give a warning before training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import sparse

from calib.config import build
from calib.methods.joint import Joint
from calib.runs.experiment import run
from calib.runs.input_checks import ASSUMPTIONS, assumption, facts, unmet
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import METHODS, compose, small_run

COUNTS = np.random.default_rng(0).poisson(2, (9, 4)).astype("f4")


@pytest.mark.parametrize("method", METHODS)
def test_every_card_says_what_its_method_assumes(method: str) -> None:
    config = compose(f"method={method}").method
    assert assumption(config) in ASSUMPTIONS
    assert "assumes" in config.card or "method" in config


def test_assumptions_of_wrappers_and_of_logarithms() -> None:
    wrapped = "method@method.method=scanvi"
    assert assumption(compose("method=fewer_subjects", wrapped).method) == "counts"
    assert assumption(compose("method=scanvi", "method.logged=true").method) == "intensities"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (COUNTS, {}),
        (COUNTS / 2, {"counts": "assumes_counts"}),
        (COUNTS - 3, dict.fromkeys(("intensities", "counts"), "assumes_no_negative_values")),
        (COUNTS * 1000, {"logarithms": "assumes_logarithms"}),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_unmet_assumptions_are_named(values: np.ndarray, wrong: dict[str, str], kind: Any) -> None:
    data = facts([kind(values[:4]), kind(values[4:])])
    found = [(assumes, caution.code) for assumes in ASSUMPTIONS for caution in unmet("x", assumes, data)]
    assert found == list(wrong.items())


@pytest.mark.parametrize(("method", "reconstructors"), [("joint", 2), ("recon_t", 3)])
def test_weights_are_counted(method: str, reconstructors: int) -> None:
    joint: Joint = build(OmegaConf.create(method_settings(compose(f"method={method}"))))
    networks = joint._networks(30, 2, reconstructors, Runtime())
    assert joint.most_weights(30, 2, 3) == sum(w.numel() for w in networks.parameters() if w.numel() == 900)


def test_a_run_records_them(tmp_path: Path) -> None:
    (result,) = run(small_run("combat", tmp_path))
    assert "assumes_logarithms" in [warning["code"] for warning in result["warnings"]]
    (result,) = run(small_run("combat", tmp_path, "protocol.transform=arcsinh"))
    assert "assumes_logarithms" not in [warning["code"] for warning in result["warnings"]]
