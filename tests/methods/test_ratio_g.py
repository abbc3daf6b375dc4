"""Tests of Ratio_G, and of the reference samples that a table marks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.data.split import make_task, parse_splits
from calib.data.study import Batch, Samples, Study
from calib.data.table_study import load_table_study
from calib.data.transform import prepare
from calib.errors import CalibError
from calib.methods.ratio_g import RatioG, geometric_mean
from calib.runs.experiment import run
from calib.runs.predict import predict
from calib.runtime import Runtime
from tests.conftest import compose, fast

FLOAT64 = Runtime(dtype=Runtime.from_names(0, "cpu", "float64", False).dtype)


def test_geometric_mean() -> None:
    x = np.array([[1.0, 4, 0, -1], [100, 0, 0, -2], [10, 1, -3, 0]])
    np.testing.assert_allclose(geometric_mean(x), [10, (4 * 0.5 * 1) ** (1 / 3), 1, 1])


def test_gains_of_batches_vanish() -> None:
    rng = np.random.default_rng(0)
    truth = rng.lognormal(5, 1, (20, 6))
    gain = rng.lognormal(0, 1, 6)
    batches = [Samples("a", truth), Samples("b", sparse.csr_array(truth * gain))]
    corrected = RatioG("auto", log=False).correct(batches, FLOAT64)
    np.testing.assert_allclose(corrected["a"], corrected["b"], rtol=1e-12)
    np.testing.assert_allclose(np.log(corrected["a"]).mean(axis=0), 0, atol=1e-12)
    logs = [Samples("a", np.log(truth)), Samples("b", np.log(truth * gain))]
    differences = RatioG("batch", log=True).correct(logs, FLOAT64)
    np.testing.assert_allclose(differences["b"], np.log(corrected["b"]), atol=1e-12)


def test_reference_samples_spare_differences_of_composition() -> None:
    rng = np.random.default_rng(1)
    pool, healthy = rng.lognormal(5, 1, 4), rng.lognormal(5, 1, (10, 4))
    ill = 3 * healthy
    batches = [
        Samples("healthy", healthy, reference=np.stack([pool, pool])),
        Samples("ill", 7 * ill, reference=7 * pool[None]),
    ]
    by_reference = RatioG("auto", log=False).correct(batches, FLOAT64)
    np.testing.assert_allclose(by_reference["ill"], 3 * by_reference["healthy"], rtol=1e-12)
    by_batch = RatioG("batch", log=False).correct(batches, FLOAT64)
    np.testing.assert_allclose(by_batch["ill"], by_batch["healthy"], rtol=1e-12)


def test_a_batch_without_reference_samples() -> None:
    batches = [Samples("a", np.ones((2, 3)), reference=np.ones((1, 3))), Samples("b", np.ones((2, 3)))]
    with pytest.raises(CalibError, match="batch 'b' has no reference samples"):
        RatioG("auto", log=False).correct(batches, FLOAT64)
    with pytest.raises(CalibError, match="batch 'b' has no reference samples"):
        RatioG("reference", log=False).correct(batches[1:], FLOAT64)
    with pytest.raises(CalibError, match="denominator=pool is not one of: auto, reference, batch"):
        RatioG("pool", log=False)


@pytest.fixture
def frame() -> pd.DataFrame:
    """Return three plates of 16 samples, each with two pooled samples that have no label."""
    rng = np.random.default_rng(3)
    rows = []
    for number, plate in enumerate(["p1", "p2", "p3"]):
        values = rng.lognormal(4, 0.5, (16, 5)) * (1 + number)
        for i, x in enumerate(values):
            rows.append([plate, ["ill", "well"][i % 2], "no", f"{plate}-{i}", *x])
        rows += [[plate, None, "Yes", f"pool {i}", *values.mean(axis=0)] for i in range(2)]
    return pd.DataFrame(rows, columns=["batch", "label", "pool", "tube", *"abcde"])


@pytest.fixture
def load(frame: pd.DataFrame, tmp_path: Path) -> Callable[..., Study]:
    def load(**settings: object) -> Study:
        frame.to_csv(tmp_path / "plates.csv", index=False)
        named = {"batch": "batch", "label": "label", "sample": "tube", "reference": "pool"} | settings
        return load_table_study("plates", str(tmp_path / "plates.csv"), **named)

    return load


def test_a_table_marks_reference_samples(load: Callable[..., Study], frame: pd.DataFrame) -> None:
    study = load()
    assert list(study.features) == list("abcde")
    assert [len(batch) for batch in study.batches.values()] == [16, 16, 16]
    batch = study.batches["p2"]
    assert batch.y is not None
    assert batch.reference is not None
    np.testing.assert_allclose(batch.reference[0], batch.dense.mean(axis=0), rtol=1e-6)
    task = make_task(study, parse_splits("12_3", study)[0])
    assert all(one.reference is not None for one in task.batches)
    others = frame["pool"] == "Yes"
    frame.loc[others, "a"] *= 2
    assert load().sha256() != study.sha256()  # a method's input decides the record's key


def test_the_unlabelled_part_of_a_plate_has_its_reference_samples(
    load: Callable[..., Study], frame: pd.DataFrame
) -> None:
    frame.loc[[0, 1], "label"] = None
    batches = load().batches
    assert [len(batch) for batch in batches.values()] == [14, 16, 16, 2]
    np.testing.assert_array_equal(batches["p1 (unlabelled)"].reference, batches["p1"].reference)


def test_features_that_the_reference_samples_of_a_plate_lack_are_left_out(
    load: Callable[..., Study], frame: pd.DataFrame
) -> None:
    frame.loc[(frame["batch"] == "p2") & (frame["pool"] == "Yes"), "b"] = None
    frame.loc[(frame["batch"] == "p1") & (frame["pool"] == "no"), "d"] = None
    for rule, features in (("leave_out", "ace"), ("other_batches", "acde")):
        study = load(impute="median", missing_features=rule)
        assert list(study.features) == list(features)
        reference = study.batches["p2"].reference
        assert reference is not None
        assert reference.shape == (2, len(features))


@pytest.mark.parametrize(
    ("row", "mark", "message"),
    [
        (0, "pool", "has 'pool'; mark reference samples by true, yes or 1"),
        (slice(None), "no", "none of the samples are reference samples"),
        (slice(None), "1", "all of the samples are reference samples"),
        (slice(0, 17), "TRUE", "batch 'p1' has reference samples only"),
    ],
)
def test_wrong_marks(
    row: int | slice, mark: str, message: str, load: Callable[..., Study], frame: pd.DataFrame
) -> None:
    frame.loc[row, "pool"] = mark
    with pytest.raises(CalibError, match=message):
        load()


def test_gaps_in_reference_samples(load: Callable[..., Study], frame: pd.DataFrame) -> None:
    frame.loc[17, "c"] = np.nan
    with pytest.raises(CalibError, match="missing"):
        load()
    reference = load(impute="mean").batches["p1"].reference
    assert reference is not None
    assert reference[1, 2] == reference[0, 2]


@pytest.mark.parametrize("scale", ["none", "standardise"])
def test_reference_samples_are_scaled_with_their_batch(scale: str) -> None:
    rng = np.random.default_rng(0)
    x, reference = rng.normal(2, 3, (9, 4)), rng.normal(2, 3, (3, 4))
    study = Study("s", {"a": Batch("a", x, reference=reference)}, list("wxyz"), ["0", "1"], unit=100.0)
    batch = prepare(study, "arcsinh", scale, "float64").batches["a"]  # type: ignore[arg-type]
    assert batch.reference is not None
    both = np.concatenate([batch.dense, batch.reference])
    plain = np.arcsinh(np.concatenate([x, reference]) / 100)
    expected = plain if scale == "none" else (plain - plain.mean(axis=0)) / plain.std(axis=0)
    np.testing.assert_allclose(both, expected)


def test_a_run_and_later_predictions(load: Callable[..., Study], tmp_path: Path) -> None:
    load()
    dataset = [
        "dataset=table",
        f"dataset.path={tmp_path / 'plates.csv'}",
        "dataset.reference=pool",
        "dataset.sample=tube",
        f"out={tmp_path / 'out'}",
        "split='12_3'",
    ]
    (result,) = run(compose(*dataset, "method=ratio_g", *fast("ratio_g")))
    assert result["targets"]["p3"]["n"] == 16
    (other,) = run(
        compose(*dataset, "method=ratio_g", *fast("ratio_g"), "method.corrector.denominator=batch")
    )
    assert result["mmd"] != other["mmd"]
    run(compose(*dataset, "method=baseline", *fast("baseline"), "save_model=true"))
    (model,) = tmp_path.glob("out/runs/*/*/baseline-*")
    predicted = predict(model, tmp_path / "plates.csv")
    assert {name: len(p) for name, p in predicted.probability.items()} == {"p1": 16, "p2": 16, "p3": 16}
