"""Tests that an unseen plate passes as usual, and that spoiled plates give a warning."""

import io
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.commands.predict import main
from calib.data.simulate import simulate
from calib.data.study import FloatArray
from calib.errors import CalibError
from calib.evaluation import novelty as module
from calib.evaluation.novelty import LEAST, Measure, TrainingStatistics, novelty, training_statistics, warning
from calib.evaluation.trust import temperature
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.outcome import with_abstentions
from tests.conftest import compose, fast

RNG = np.random.default_rng


def plates(seed: int) -> list[FloatArray]:
    """Return four plates of one cohort."""
    made, _ = simulate([60, 56, 64, 50], 5, 40, 12, 0.5, 0.3, 0.5, 0.15, seed)
    return [batch.dense for batch in made.batches.values()]


def known_and_new(seed: int) -> tuple[TrainingStatistics, FloatArray]:
    *training, new = plates(seed)
    known = training_statistics({str(i): x for i, x in enumerate(training)})
    assert known is not None
    return known, new


@pytest.mark.parametrize("seed", range(8))
def test_an_unseen_plate_of_the_same_cohort_passes(seed: int) -> None:
    known, new = known_and_new(seed)
    assert warning("4", novelty(new, known)) == ""
    assert warning("4", novelty(new[:3], known)) == ""  # too few samples for a spread or a shape


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: np.exp(RNG(0).normal(np.log(x).mean(), 1, x.shape)), "of its samples lie far out"),
        (lambda x: np.column_stack([RNG(i).permutation(c) for i, c in enumerate(x.T)]), "lie far out"),
        (lambda x: x[:, RNG(0).permutation(x.shape[1])], "squared MMD to the nearest training batch"),
        (lambda x: 1000 * x, "usual spreads off"),
        (lambda x: x / 1000, "usual spreads off"),
        (lambda x: np.log(x + 1), "times as much or as little"),
        (lambda x: np.full_like(x, 7.0), "spread"),
    ],
    ids=["noise", "no dependence", "features exchanged", "larger unit", "smaller unit", "log", "constant"],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_spoiled_plate_warns(spoil: Callable[[FloatArray], FloatArray], said: str, seed: int) -> None:
    known, new = known_and_new(seed)
    found = warning("plate <4>", novelty(spoil(new), known))
    assert said in found
    assert found.startswith("Batch 'plate <4>' lies outside what the model was trained on")


def test_a_warning_has_every_measure_beyond_its_limit() -> None:
    beyond = {"location": (3, 2), "spread": (3, 1.5), "distance": (0.5, 0.25), "far": (0.5, 0.05)}
    said = warning("x", {name: Measure(*values) for name, values in beyond.items()})
    assert said.partition(": ")[2].rpartition("; check")[0] == (
        "its features lie 3.0 usual spreads off (limit 2.0); they spread 8.0 times as much or as little (limit 2.8); "
        "its squared MMD to the nearest training batch is 0.500 (limit 0.250); 50% of its samples lie far out (limit 5%)"
    )
    assert warning("x", {name: Measure(limit, limit) for name, (_, limit) in beyond.items()}) == ""


def test_a_correction_of_each_feature_leaves_the_shape() -> None:
    known, new = known_and_new(0)
    moved = novelty(np.log(new) * 3 - 5, known)
    for name in ("distance", "far"):
        assert moved[name] == novelty(new, known)[name]


def test_sparse_data_are_compared_as_dense_ones() -> None:
    data = [np.where(x > np.median(x), x, 0) for x in plates(1)]
    found = []
    for kind in (np.asarray, sparse.csr_array):
        known = training_statistics({str(i): kind(x) for i, x in enumerate(data[:3])})
        assert known is not None
        found.append(novelty(kind(data[3]), known))
    assert found[0] == found[1]


def test_the_fewest_rows_whose_spread_and_shape_are_measured() -> None:
    known, new = known_and_new(0)
    fewest, fewer = (novelty(new[:rows], known) for rows in (LEAST, LEAST - 1))
    assert all(np.isfinite(measure.value) for measure in fewest.values())
    assert [name for name, measure in fewer.items() if np.isfinite(measure.value)] == ["location"]


def test_too_few_batches_give_no_reference() -> None:
    first, *_ = plates(0)
    assert training_statistics({"1": first, "2": first[: LEAST - 1]}) is None


def test_many_features_leave_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(300 * 4.0).reshape(300, 4)
    for numbers, rows in ((10**6, module.ROWS), (2 * 4 * 50, 50), (1, LEAST)):
        monkeypatch.setattr(module, "NUMBERS", numbers)
        known = training_statistics({"0": x, "1": x})
        assert known is not None
        assert np.bincount(known.owner).tolist() == [rows, rows]


def test_how_far_out_a_sample_lies() -> None:
    rows = np.arange(10.0)[:, None]
    assert module._neighbour(np.array([[0.0], [9.5]]), rows).tolist() == [4, 4.5]  # the fifth nearest
    assert module._neighbour(np.zeros((1, 1)), rows[:3]).tolist() == [2]


def test_the_limit_of_the_distance_is_that_of_the_training_batch_farthest_from_its_nearest() -> None:
    rng = np.random.default_rng(0)
    apart = {name: rng.normal(size=(100, 6)) for name in "ac"}
    alike = {name: rng.normal(size=(100, 1)) + 0.1 * rng.normal(size=(100, 6)) for name in "bd"}
    pairs = training_statistics({"a": apart["a"], "b": alike["b"], "c": apart["c"], "d": alike["d"]})
    assert pairs is not None
    assert novelty(alike["d"], pairs)["distance"].limit < 0.2
    for order in ("abc", "acb"):
        single = training_statistics({name: (apart | alike)[name] for name in order})
        assert single is not None
        assert novelty(alike["d"], single)["distance"].limit > 0.5


@pytest.mark.parametrize("sparse", [1, 2])
def test_mostly_zero_features_are_told_apart_too(sparse: int) -> None:
    rng = np.random.default_rng(0)
    dense, zeros = rng.poisson(3, (2, 80, 30)), rng.poisson(0.3, (3, 80, 30))
    batches = [zeros[0], zeros[1] if sparse == 2 else dense[0]]
    known = training_statistics({str(i): np.log1p(x) for i, x in enumerate(batches)})
    found = novelty(1000 * np.log1p(zeros[2]), known)
    assert found["spread"].value > found["spread"].limit
    assert warning("new", found)


@pytest.mark.parametrize("surest", [0.2, 0.4])
def test_a_subjects_medians_are_shares_of_their_sum(surest: float) -> None:
    table = pd.DataFrame({"predicted": ["a"], "p_a": [0.1], "p_b": [0.1], "p_c": [0.1]})
    (answer,) = with_abstentions(table, surest)["answer"]
    assert answer == ("a" if surest < 1 / 3 else "abstained")


def test_predictions_abstain_and_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ["method=joint", f"out={tmp_path}", "split='12_3'", "save_model=true", *fast("joint")]
    run(compose(*overrides, "protocol.batch_scale=standardise"))
    (folder,) = tmp_path.glob("runs/*/*/*")
    known = load_model(folder).training_statistics
    assert known is not None
    assert known.location.max() > 100  # the unit of the file, although the model's data are scaled
    made, _ = simulate([60, 56, 64, 50], 5, 40, 12, 0.5, 0.3, 0.5, 0.15, 20211202)
    table = pd.DataFrame(made.batches["4"].dense, columns=made.features)
    monkeypatch.chdir(tmp_path)

    def predicted(table: pd.DataFrame, *options: str) -> SimpleNamespace:
        """Do as ``calib predict`` does, in this process, and return what it says."""
        table.to_csv(tmp_path / "new.csv", index=False)
        told = io.StringIO()
        caplog.clear()
        try:
            with caplog.at_level(logging.INFO), redirect_stdout(told):
                main([f"run={folder}", f"data={tmp_path}/new.csv", *options])
        except CalibError as error:
            return SimpleNamespace(returncode=1, stdout=told.getvalue(), stderr=str(error))
        return SimpleNamespace(returncode=0, stdout=told.getvalue(), stderr=caplog.text)

    passed = predicted(table, "abstain=0.7")
    assert passed.returncode == 0, passed.stderr
    assert "Warning" not in passed.stderr
    assert "against the training's: location" in passed.stderr
    rows = pd.read_csv(tmp_path / "predictions_new.csv")
    sure = rows[["p_control", "p_case"]].max(axis=1) >= 0.7
    assert 0 < sure.sum() < len(rows)
    assert (rows["answer"] == rows["predicted"].where(sure, "abstained")).all()
    assert f": {sure.sum()} of {len(rows)} samples answered" in passed.stdout
    assert "Warning: Batch 'new' lies outside" in predicted(table * 1000).stderr
    left_out = pd.read_csv(folder / "predictions.csv", dtype={"batch": str})
    told = tmp_path / "source.csv"  # batch 1 acts as the target; the labels of the other must not count
    wrong = left_out.assign(label=left_out["label"].map({"case": "control", "control": "case"}))
    pd.concat([left_out.assign(batch="1"), wrong]).to_csv(told, index=False)
    toned = predicted(table, f"temperature={told},{told}")
    assert "Temperature" in toned.stderr
    found = float(re.findall(r"Temperature (\S+),", toned.stderr)[0])
    p = left_out[["p_control", "p_case"]].to_numpy()
    assert found == pytest.approx(
        temperature(p, (left_out["label"] == "case").to_numpy().astype(int)), rel=0.01
    )
    after = pd.read_csv(tmp_path / "predictions_new.csv")
    assert (after["predicted"] == rows["predicted"]).all()
    assert (after["p_case"] == rows["p_case"]).all()
    assert np.abs(after["calibrated_case"] - rows["p_case"]).max() > 0.01
    assert predicted(table, "temperature=1").returncode == 0
    same = pd.read_csv(tmp_path / "predictions_new.csv")
    np.testing.assert_allclose(same["calibrated_case"], rows["p_case"], atol=1e-6)
    (tmp_path / "empty.csv").write_text("batch,label,p_control,p_case\n3,case,0.5,0.5\n")
    for option, message in {
        "temperature=-1": "temperature=-1 is not from 0.01 to 100",
        "temperature=1e300": "temperature=1e300 is not from 0.01 to 100",
        "temperature=nowhere.csv": "File nowhere.csv does not exist",
        "temperature=new.csv": "has no column 'batch'",
        "temperature=empty.csv": "has no labelled rows of a source",
    }.items():
        refused = predicted(table, option)
        assert refused.returncode != 0
        assert message in refused.stderr
    refused = predicted(table, "abstain=80")
    assert "abstain=80 is no probability" in refused.stderr
