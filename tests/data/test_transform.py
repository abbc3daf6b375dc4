"""Tests of the one door that all data pass before a method sees them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.data.matrix import Matrix
from calib.data.study import Samples
from calib.data.transform import LARGEST, check_varies, checked, own_unit, prepared, prepared_batch
from calib.errors import CalibError, DataError
from calib.runs.experiment import run
from calib.runs.predict import predict
from calib.runs.run import load, units_in
from calib.runtime import Runtime
from calib.units import PAPERS_UNIT
from tests.conftest import SMALL, compose, fast

X = np.random.default_rng(0).gamma(2, 500, (6, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e16, -1e39, 1e300])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_values_that_methods_cannot_compute_with_are_refused(value: float, kind: type) -> None:
    x = X.copy()
    x[4, 1] = value
    for dtype in LARGEST:
        if abs(value) <= LARGEST[dtype]:
            assert checked(kind(x), "none", "none", dtype, "Batch 'a'", "uvw").shape == x.shape
            continue
        with pytest.raises(DataError, match=r"Batch 'a': feature 'v' has values such as .*rescale"):
            checked(kind(x), "none", "none", dtype, "Batch 'a'", "uvw")


def test_a_transform_may_bring_large_values_into_range() -> None:
    assert np.isfinite(checked(X * 1e30, "arcsinh", "none", "float32", "Batch 'a'", "uvw")).all()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("scale", ["standardise", "minmax"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_batch_of_equal_rows_is_not_scaled_by_itself(rows: int, scale: str, kind: type) -> None:
    x: Matrix = kind(np.repeat(X[:1], rows, axis=0))
    message = "Batch 'a' has " + ("one sample" if rows == 1 else "3 samples that are all the same")
    with pytest.raises(DataError, match=message):
        checked(x, "none", scale, "float32", "Batch 'a'", "uvw")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        prepared_batch(Samples("a", x), "arcsinh", scale, Runtime())  # type: ignore[arg-type]
    prepared_batch(Samples("a", x), "arcsinh", "none", Runtime())
    check_varies(kind(X[:2]), "Batch 'a'")


def test_the_unit_of_data_is_their_typical_value() -> None:
    small, large = np.array([[0, 1, -2], [3, 0, 0.0]]), np.full((50, 3), 8.0)
    assert own_unit([small]) == 2
    assert own_unit([sparse.csr_array(small)]) == 2
    assert own_unit([small, large]) == 5  # a large batch counts as much as a small one
    assert own_unit([np.zeros((4, 2))]) == 1
    np.testing.assert_allclose(
        prepared(small * 7, "arcsinh", "none", "float64", own_unit([small * 7])),
        prepared(small, "arcsinh", "none", "float64", own_unit([small])),
    )


def test_the_papers_studies_keep_their_unit() -> None:
    for name in ("mi", "chd", "demo", "pancreas", "pancreas_mini"):
        assert compose(f"dataset={name}").dataset.unit == PAPERS_UNIT
    study, data = load(compose(*SMALL))
    assert (study.unit, "units" in data) == (PAPERS_UNIT, False)
    study, data = load(compose(*SMALL, "dataset.unit=null", "protocol.transform=arcsinh"))
    loaded, given = units_in(data)
    assert loaded > 100  # the intensities of the demo study
    assert given == study.unit < 2  # the method gets their arcsinh
    with pytest.raises(CalibError, match=r"dataset.unit=0 must be a number of at least"):
        load(compose(*SMALL, "dataset.unit=0"))


@pytest.mark.parametrize("method", ["combat_logistic", "standardise_logistic"])
def test_the_scale_of_a_study_changes_no_answer(method: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    x = rng.gamma(2, 500, (120, 6)) * np.where(y[:, None], 1.5, 1) * np.repeat([1, 1.3, 0.8], 40)[:, None]
    found = {}
    for name, factor in (("plain", 1.0), ("shares", 1e-7), ("large", 2.0**20)):
        table = pd.DataFrame(x * factor, columns=[f"mz_{i}" for i in range(6)])
        table.insert(0, "label", np.where(y, "case", "control"))
        table.insert(0, "batch", np.repeat(list("abc"), 40))
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        overrides = ["dataset=table", f"dataset.path={tmp_path / name}.csv", f"dataset.name={name}"]
        (result,) = run(compose(*overrides, f"method={method}", f"out={tmp_path}", "split='12_3'"))
        assert result["units"].split()[0] != "100.0"
        (file,) = tmp_path.glob(f"runs/{name}/*/*/predictions.csv")
        found[name] = pd.read_csv(file)["p_case"].to_numpy()
        assert result["mean"]["accuracy"] > 0.7
    np.testing.assert_allclose(found["shares"], found["plain"], atol=1e-4)
    np.testing.assert_allclose(found["large"], found["plain"], atol=1e-4)


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
def test_a_saved_model_keeps_its_unit(protocol: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.gamma(2, 1e-4, (60, 5)), columns=list("uvwxy"))
    table.insert(0, "label", np.where(np.arange(60) % 2, "case", "control"))
    table.insert(0, "batch", np.repeat(list("abc"), 20))
    table.to_csv(tmp_path / "t.csv", index=False)
    method = ["method=standardise_network", *fast("standardise_network"), "save_model=true"]
    overrides = ["dataset=table", f"dataset.path={tmp_path / 't.csv'}", "split='12_3'", f"out={tmp_path}"]
    run(compose(*overrides, *method, f"protocol={protocol}"))
    (folder,) = tmp_path.glob("runs/table/*/*")
    recorded = pd.read_csv(folder / "predictions.csv").filter(like="p_")
    (again,) = predict(folder, tmp_path / "t.csv", only="c").probability.values()
    np.testing.assert_allclose(again, recorded, atol=1e-6)
