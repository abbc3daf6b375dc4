"""Tests of the scikit-learn estimators."""

import dataclasses
import inspect
from concurrent.futures import ThreadPoolExecutor

import hydra
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import calib
from calib.data.split import make_task, parse_split
from calib.estimators import BatchCorrector, JointCalibrator
from calib.estimators.joint import LENGTH, protocol_named
from calib.methods.joint import Joint
from calib.runs.run import load, make_run, method_settings
from calib.runtime import Runtime
from tests.conftest import CONF, SMALL, compose

SETTINGS = {"epochs": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    """Return the small demo study as arrays; labels are text, and unknown in batch 3."""
    study, _ = load(compose(*SMALL))
    x = np.concatenate([batch.x for batch in study.batches.values()])
    names = np.array(["a control", "case"], object)  # in the order of the study's classes
    y = np.concatenate([names[batch.y] for batch in study.batches.values()])
    plate = np.repeat([f"plate {name}" for name in study.batches], [len(b.x) for b in study.batches.values()])
    y[plate == "plate 3"] = None
    return {"x": x, "y": y, "plate": plate}


def test_defaults_are_those_of_the_configuration() -> None:
    configured = method_settings(compose("dataset=table", "dataset.path=x", "method=joint"))
    assert configured.pop("epochs") == LENGTH
    signature = inspect.signature(JointCalibrator)
    ours = {name: parameter.default for name, parameter in signature.parameters.items()}
    assert {name: ours[name] for name in configured if name not in ("_target_", "protocol")} == {
        name: value for name, value in configured.items() if name not in ("_target_", "protocol")
    }
    assert set(configured) - {"_target_"} <= set(inspect.signature(Joint).parameters)


def test_it_is_the_same_engine(table: dict[str, np.ndarray]) -> None:
    config = compose(*SMALL, "method.epochs=3", "method.batch_size=8", "protocol=released")
    study, data = load(config)
    split = parse_split("12_3", study)
    fitted = make_run(config, study, data, split).method.fit(make_task(study, split), Runtime(0))
    model = JointCalibrator(**SETTINGS, protocol="released").fit(table["x"], table["y"], table["plate"])
    new = table["plate"] == "plate 3"
    expected = study.batches["3"].unlabelled()
    probability = model.predict_proba(table["x"][new])
    np.testing.assert_array_equal(probability, fitted.predict_proba(expected))
    np.testing.assert_array_equal(model.transform(table["x"][new]), fitted.transform(expected))


def test_rows_keep_their_order(table: dict[str, np.ndarray]) -> None:
    shuffled = np.random.default_rng(0).permutation(len(table["x"]))
    protocol = protocol_named("paper")
    model = JointCalibrator(**SETTINGS, protocol=protocol).fit(table["x"], table["y"], table["plate"])
    whole = model.transform(table["x"], table["plate"])
    np.testing.assert_allclose(
        model.transform(table["x"][shuffled], table["plate"][shuffled]), whole[shuffled], rtol=1e-4, atol=1e-4
    )
    corrected = BatchCorrector("combat").fit_transform(table["x"], batch=table["plate"])
    other = BatchCorrector("combat").fit_transform(table["x"][shuffled], batch=table["plate"][shuffled])
    np.testing.assert_allclose(other, corrected[shuffled], rtol=1e-4)


def test_it_can_be_cloned_and_repeated(table: dict[str, np.ndarray]) -> None:
    model = JointCalibrator(**SETTINGS).fit(table["x"], table["y"], table["plate"])
    again = clone(model).fit(table["x"], table["y"], table["plate"])
    np.testing.assert_array_equal(model.predict_proba(table["x"]), again.predict_proba(table["x"]))
    assert model.sources_ == ["plate 1", "plate 2"]
    assert model.targets_ == ["plate 3"]
    assert list(model.history_["epoch"]) == [1, 2, 3]


@pytest.mark.parametrize("missing", [None, np.nan, "unknown"])
def test_missing_labels(missing: object, table: dict[str, np.ndarray]) -> None:
    y = table["y"].copy()
    y[pd.isna(y)] = missing
    model = JointCalibrator(**SETTINGS, unlabelled="unknown").fit(table["x"], y, table["plate"])
    assert model.targets_ == ["plate 3"]
    assert len(model.classes_) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(plate=t["plate"][1:]), "batch names"),
        (lambda t: t.update(plate=np.where(t["plate"] == "plate 1", None, t["plate"])), "batch is missing"),
        (lambda t: t["y"].__setitem__(slice(None), "same"), "two classes"),
    ],
)
def test_bad_input_is_a_value_error(change: object, message: str, table: dict[str, np.ndarray]) -> None:
    changed = {name: value.copy() for name, value in table.items()}
    change(changed)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        JointCalibrator(**SETTINGS).fit(changed["x"], changed["y"], changed["plate"])


@pytest.mark.parametrize("method", ["combat", "bermuda", "normae"])
def test_every_corrector_is_reachable(method: str, table: dict[str, np.ndarray]) -> None:
    fast = {
        "bermuda": {"epochs": 2, "starts": 1},
        "normae": {"pretrain_epochs": 1, "adversary_epochs": 1, "epochs": 1},
    }
    corrected = BatchCorrector(method, **fast.get(method, {})).fit_transform(table["x"], batch=table["plate"])
    assert len(corrected) == len(table["x"])
    assert np.isfinite(corrected).all()


def test_correctors_that_do_not_exist(table: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="does not correct data on its own"):
        BatchCorrector("joint").fit(table["x"], batch=table["plate"])
    with pytest.raises(ValueError, match="at least two batches"):
        BatchCorrector("combat").fit(table["x"])


def test_they_are_at_the_top() -> None:
    assert calib.JointCalibrator is JointCalibrator
    assert calib.BatchCorrector is BatchCorrector
    with pytest.raises(AttributeError):
        calib.nothing  # noqa: B018


def test_values_beyond_the_number_type_are_value_errors(table: dict[str, np.ndarray]) -> None:
    model = JointCalibrator(**SETTINGS).fit(table["x"], table["y"], table["plate"])
    for value in (1e16, 3e38, 1e39):
        x = table["x"].astype(float)
        x[0, 0] = value
        for call in (
            lambda x=x: model.predict(x),
            lambda x=x: JointCalibrator(**SETTINGS).fit(x, table["y"], table["plate"]),
            lambda x=x: BatchCorrector("combat").fit(x, batch=table["plate"]),
        ):
            with pytest.raises(ValueError, match="has values such as|too large"):
                call()


@pytest.mark.parametrize("option", ["batch_scale", "calibrator_test_statistics"])
def test_a_batch_scaled_by_itself_needs_two_rows(option: str, table: dict[str, np.ndarray]) -> None:
    value = "minmax" if option == "batch_scale" else "own"
    protocol = dataclasses.replace(protocol_named("paper"), **{option: value})
    model = JointCalibrator(**SETTINGS, protocol=protocol).fit(table["x"], table["y"], table["plate"])
    later = table["x"] + 1
    assert len(model.predict(later[:2])) == 2
    with pytest.raises(ValueError, match="Batch 'all' has one sample"):
        model.predict_proba(later[:1])
    known = model.predict_proba(
        table["x"][:1], table["plate"][:1]
    )  # of the training: as with its whole batch
    np.testing.assert_array_equal(known, model.predict_proba(table["x"], table["plate"])[:1])


def test_batch_names_that_are_written_alike(table: dict[str, np.ndarray]) -> None:
    plate = np.where(table["plate"] == "plate 1", 1, table["plate"].astype(object))
    plate[table["plate"] == "plate 2"] = "1"
    for call in (
        lambda: JointCalibrator(**SETTINGS).fit(table["x"], table["y"], plate),
        lambda: BatchCorrector().fit(table["x"], batch=plate),
    ):
        with pytest.raises(ValueError, match="several names that are all written 1"):
            call()


def test_the_callers_settings_change_nothing(table: dict[str, np.ndarray]) -> None:
    def fitted() -> np.ndarray:
        model = JointCalibrator(**SETTINGS).fit(table["x"], table["y"], table["plate"])
        return model.predict_proba(table["x"])

    expected = fitted()
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(fitted(), expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad(), torch.device("meta"):
        np.testing.assert_array_equal(fitted(), expected)
    with ThreadPoolExecutor(4) as pool:  # the protocol is composed in each of them
        for other in pool.map(lambda _: fitted(), range(4)):
            np.testing.assert_array_equal(other, expected)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        np.testing.assert_array_equal(fitted(), expected)
        assert hydra.compose("config") is not None  # the caller's Hydra is as it was
