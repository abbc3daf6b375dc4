"""Tests of the class mix of a run's targets: its record, and the warning of a method that bears it badly."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.data.split import parse_split
from calib.data.study import Batch, Samples
from calib.evaluation import mix_borne
from calib.evaluation.class_mix import MixEstimate
from calib.methods.known_mix import KnownMix
from calib.runs import mixes
from calib.runs.experiment import run
from calib.runs.mixes import (
    Mixes,
    as_recorded,
    even,
    later_mix,
    mix_model,
    model_of,
    some_rows,
    unlike_sources,
)
from calib.runs.run import Run, as_loaded, load, make_run, of_split
from tests.conftest import compose

LOSSES = np.array([0.3, 0.0, 0.0, 0.3])
"""Nothing is lost by a mix that differs by .15 or less."""


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one method lose much and another one nothing."""
    losses = {"standardise_logistic": LOSSES, "known_mix_logistic": LOSSES, "pooled_logistic": 0 * LOSSES}
    monkeypatch.setattr(mix_borne, "measured", lambda: losses)


@pytest.fixture
def plates(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes a table of four plates and returns the overrides that read it.

    Its argument is the share of cases of the last plate, of which half the labels are left out on request.
    """

    def write(share: float, labels: bool = True) -> list[str]:
        rng = np.random.default_rng(0)
        y = np.concatenate([np.arange(80) < 80 * p for p in (0.5, 0.5, 0.5, share)])
        x = (
            rng.normal(size=(320, 6))
            + 1.5 * y[:, None]
            + np.repeat(rng.normal(size=(4, 6)), 80, axis=0) * 0.2
        )
        table = pd.DataFrame(np.exp(x + 6), columns=[f"peak_{number}" for number in range(6)])
        label = np.where(y, "case", "control").astype(object)
        if not labels:
            label[240:] = None
        table.insert(0, "label", label)
        table.insert(0, "batch", np.repeat(list("abcd"), 80))
        table.to_csv(tmp_path / "plates.csv", index=False)
        return [
            "dataset=table",
            f"dataset.path={tmp_path / 'plates.csv'}",
            f"out={tmp_path}",
            "split='12_34'",
        ]

    return write


def made_run(*overrides: str) -> Run:
    """Return a run that is not carried out."""
    config = compose(*overrides)
    study, data = load(config)
    study, data, split = of_split(config, study, data, parse_split(config.split, study))
    return make_run(config, study, data, split)


def test_a_record_has_the_mix_of_each_target(plates: Callable[..., list[str]], tmp_path: Path) -> None:
    (result,) = run(compose(*plates(0.1), "method=standardise_logistic"))
    (file,) = tmp_path.glob("runs/*/*/*/result.json")
    recorded = json.loads(file.read_text())["class_mix"]
    assert recorded == result["class_mix"]
    assert list(recorded) == ["c", "d"]
    for target, share in (("c", 0.5), ("d", 0.1)):
        mix = recorded[target]
        assert list(mix) == ["case", "control"]
        assert sum(one["share"] for one in mix.values()) == pytest.approx(1, abs=1e-3)
        for one in mix.values():
            assert 0 <= one["low"] <= one["share"] <= one["high"] <= 1
        assert mix["case"]["low"] <= share <= mix["case"]["high"]
    assert recorded["d"]["case"]["share"] < recorded["c"]["case"]["share"] - 0.2
    (warning,) = (one["text"] for one in result["warnings"] if one["code"] == "class_mix")
    assert warning.startswith("Target 'd' seems to have")
    assert "standardise_logistic lost" in warning


def test_labels_of_targets_change_nothing(plates: Callable[..., list[str]]) -> None:
    with_labels, without = (
        Mixes().of(made_run(*plates(0.3, labels=labels), "method=standardise_logistic"))
        for labels in (True, False)
    )
    for target, found in with_labels.items():
        np.testing.assert_array_equal(found.shares, without[target].shares)


@pytest.mark.parametrize(
    ("method", "warned"),
    [("standardise_logistic", True), ("known_mix_logistic", False), ("pooled_logistic", False)],
)
def test_a_drawn_target_is_warned_of_where_the_method_bears_it_badly(method: str, warned: bool) -> None:
    """Check that references, which know the mix, and methods that lose nothing are silent."""
    drawn = made_run(f"method={method}", "mix.share=0.1")
    assert isinstance(drawn.method, KnownMix) == drawn.method.uses_target_labels
    found = unlike_sources(drawn)
    assert [caution.code for caution in found] == ["class_mix"] * warned
    assert all("Target '3'" in caution.text for caution in found)
    assert unlike_sources(made_run(f"method={method}")) == []  # the target as it is has the sources' mix


def test_a_reference_records_the_mix_without_a_warning(tmp_path: Path) -> None:
    (result,) = run(compose("method=known_mix_logistic", f"out={tmp_path}", "mix.share=0.1"))
    assert list(result["class_mix"]) == ["3"]
    assert "class_mix" not in {warning["code"] for warning in result["warnings"]}


def test_parts_of_a_target_have_a_mix_each() -> None:
    parts = made_run("method=standardise_logistic", "mix.size=20", "mix.share=0.5")
    assert list(Mixes().of(parts)) == list(parts.split.targets)
    loaded = as_loaded(parts)
    for name in parts.split.targets:
        np.testing.assert_array_equal(loaded.batches[name].names, parts.study.batches[name].names)


def test_values_are_those_of_the_file_whatever_the_protocol_scales() -> None:
    plain, scaled = (
        made_run("method=standardise_logistic", "mix.share=0.3", f"protocol.batch_scale={scale}")
        for scale in ("none", "standardise")
    )
    one, other = (Mixes().of(made)["3"] for made in (plain, scaled))
    np.testing.assert_array_equal(one.shares, other.shares)


def test_runs_of_the_same_data_share_their_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (made_run(f"method={name}") for name in ("standardise_logistic", "pca"))
    known = Mixes()
    made = [known.of(first)]
    with monkeypatch.context() as without:
        without.setattr(mixes, "model_of", None)  # it is not called again
        made.append(known.of(second))
    assert made[0] is made[1]
    assert known.of(made_run("method=pca", "mix.share=0.1")) is not made[0]
    assert list(known.of(made_run("method=pca", "split='13_2'"))) == ["2"]


def test_rows_are_drawn_of_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(3000, dtype=float).reshape(1000, 3)
    owner = np.arange(1000) // 2
    batch = Batch("a", x, np.arange(1000) % 2, replicate=owner)
    np.testing.assert_array_equal(some_rows(batch), np.arange(1000))
    monkeypatch.setattr(mixes, "NUMBERS", 600)
    rows = some_rows(batch)
    assert len(set(rows.tolist())) == 200
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(some_rows(batch), rows)
    for values in (x, sparse.csr_array(x)):
        some = even(Batch("a", values, replicate=owner), 100.0)
        np.testing.assert_allclose(some.dense, np.arcsinh(x[rows] / 100))
        np.testing.assert_array_equal(some.replicate, owner[rows])
    monkeypatch.setattr(mixes, "NUMBERS", 6)
    assert len(some_rows(batch)) == 50  # at least


def test_a_model_is_made_of_some_rows_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    given = made_run("method=pca")
    study = as_loaded(given)
    whole = model_of(study, given.split.sources)
    np.testing.assert_array_equal(mix_model(given).directions, whole.directions)
    monkeypatch.setattr(mixes, "NUMBERS", 40 * 100)
    few = model_of(study, given.split.sources)
    assert whole.directions.shape == few.directions.shape == (2, 40)
    assert not np.allclose(whole.directions, few.directions)


def test_the_mix_of_a_later_batch_is_that_of_the_same_batch_in_the_run() -> None:
    given = made_run("method=pca")
    target = as_loaded(given).batches["3"]
    found = later_mix(mix_model(given), target, 100.0)
    assert found is not None
    np.testing.assert_array_equal(found.shares, Mixes().of(given)["3"].shares)


def test_a_single_sample_and_a_batch_whose_classes_cannot_be_told_have_no_mix() -> None:
    given = made_run("method=pca")
    model, target = mix_model(given), as_loaded(given).batches["3"]
    for rows in (slice(1), slice(5)):  # five replicates of a subject
        assert target.replicate is not None
        one = Samples("one", target.dense[rows], replicate=target.replicate[rows])
        assert later_mix(model, one, 100.0) is None
    blind = replace(model, directions=0 * model.directions)
    assert later_mix(blind, target, 100.0) is None


def test_numbers_of_a_record_are_rounded() -> None:
    found = MixEstimate(*(np.array(pair) for pair in ([1 / 3, 2 / 3], [0.1, 0.2], [0.8, 0.9])))
    assert as_recorded(found, ["u", "v"]) == {
        "u": {"share": 0.3333, "low": 0.1, "high": 0.8},
        "v": {"share": 0.6667, "low": 0.2, "high": 0.9},
    }
