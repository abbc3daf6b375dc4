"""Tests of ComBat against R's sva::ComBat, option by option."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.errors import CalibError
from calib.methods.combat import combat

GOLDEN = Path(__file__).parents[1] / "golden" / "combat"


def table(name: str) -> np.ndarray:
    """Return a golden table as ``(samples, features)``."""
    return pd.read_csv(GOLDEN / f"{name}.csv", index_col=0).to_numpy(float).T


SAMPLES = pd.read_csv(GOLDEN / "samples.csv")
BATCH = SAMPLES["batch"].to_numpy(str)
GROUP = np.stack([np.ones(len(SAMPLES)), SAMPLES["group"]], axis=1)  # an intercept and the class
SINGLETON = np.where(np.arange(len(BATCH)) == len(BATCH) - 1, "b4", BATCH)


@pytest.mark.parametrize(
    ("expected", "source", "batch", "options"),
    [
        ("out_default", "input", BATCH, {}),
        ("out_mod", "input", BATCH, {"covariates": GROUP}),
        ("out_meanonly", "input", BATCH, {"mean_only": True}),
        ("out_ref_b1", "input", BATCH, {"reference": "b1"}),
        ("out_mod_ref_b2", "input", BATCH, {"covariates": GROUP, "reference": "b2"}),
        ("out_nonpar", "input", BATCH, {"parametric": False}),
        ("out_nonpar_meanonly", "input", BATCH, {"parametric": False, "mean_only": True}),
        ("out_zerovar", "input_zerovar", BATCH, {}),
        ("out_na", "input_na", BATCH, {}),
        ("out_singleton_b4_is_last_sample", "input", SINGLETON, {}),
    ],
)  # fmt: skip
def test_sva(expected: str, source: str, batch: np.ndarray, options: dict) -> None:
    np.testing.assert_allclose(
        combat(table(source), batch, **options)[0], table(expected), rtol=0, atol=1e-10
    )


def test_nonparametric_does_not_underflow_with_many_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 6)) + np.repeat([0, 3], 1000)[:, None]
    corrected, _ = combat(x, np.repeat(["a", "b"], 1000), parametric=False)
    assert np.isfinite(corrected).all()
    assert abs(corrected[:1000].mean() - corrected[1000:].mean()) < 0.1


def test_a_constant_feature_is_left_alone() -> None:
    x = table("input").copy()
    x[:, 3] = 7
    corrected, _ = combat(x, BATCH)
    assert (corrected[:, 3] == 7).all()
    assert np.isfinite(corrected).all()


def test_what_combat_cannot_do() -> None:
    x = table("input")
    with pytest.raises(CalibError, match="at least two batches; there is only 'b1'"):
        combat(x, np.full(len(x), "b1"))
    with pytest.raises(CalibError, match="at least two features that vary in every batch; there are 0"):
        combat(np.ones_like(x), BATCH)
    with pytest.raises(CalibError, match="cannot tell the covariates from the batches"):
        combat(x, BATCH, covariates=(BATCH == "b1")[:, None].astype(float))
