"""Every method as a scikit-learn classifier: the numbers of the command line, and the rules of scikit-learn."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from omegaconf import OmegaConf
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import calib
from calib.estimators import BatchClassifier, JointCalibrator
from calib.estimators.settings import configured
from calib.methods.base import TRAINED_AGAIN
from calib.registry import CONF
from calib.runs.experiment import run
from calib.runs.method_table import read
from calib.runs.predict import predict
from tests.conftest import METHODS, compose, fast

REFERENCES = (
    *("cross_validation", "honest_cross_validation", "oracle"),
    *("known_mix_logistic", "known_moments_logistic"),
)
"""Methods that see labels of targets."""

QUICK = "standardise_logistic"


def plates(samples: int = 24, features: int = 5) -> pd.DataFrame:
    """Return three plates with two classes, the third without labels."""
    rng = np.random.default_rng(0)
    y = np.arange(3 * samples) % 2
    x = rng.gamma(4, 2, (len(y), features)) + 3 * y[:, None] * (np.arange(features) < 2)
    table = pd.DataFrame(np.round(x, 3), columns=[f"mz_{i}" for i in range(features)])
    table.insert(0, "plate", np.repeat(["plate_2", "plate_10", "plate_1"], samples))
    table.insert(1, "diagnosis", np.where(y == 1, "sick", "healthy"))
    table.loc[table["plate"] == "plate_1", "diagnosis"] = None
    return table


def parts(table: pd.DataFrame) -> tuple[pd.DataFrame, Any, Any]:
    """Return the values, labels and plates of a table."""
    return table.filter(like="mz_"), table["diagnosis"].to_numpy(object), table["plate"].to_numpy(object)


def settings(method: str) -> dict[str, Any]:
    """Return the settings that make a method take no time, as an estimator takes them."""
    pairs = (text.partition("=") for text in fast(method))
    return {key.replace(".", "__"): json.loads(value) for key, _, value in pairs}


def on_the_command_line(table: pd.DataFrame, folder: Path, method: str, *overrides: str) -> pd.DataFrame:
    """Return the predictions of the command line for the blank plate of a table."""
    table.to_csv(folder / "plates.csv", index=False)
    names = ["dataset.batch=plate", "dataset.label=diagnosis", "dataset.name=plates", "progress=false"]
    run(
        compose(
            *("dataset=table", f"dataset.path={folder / 'plates.csv'}", *names, f"out={folder}"),
            *(f"method={method}", "split='plate_2+plate_10:plate_1'", *fast(method), *overrides),
        )
    )
    (file,) = folder.glob("runs/*/*/*/predictions.csv")
    return pd.read_csv(file, dtype=str)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in REFERENCES])
def test_every_method_answers_as_the_command_line_does(method: str, tmp_path: Path) -> None:
    """Of the plates of the training, of a later plate, and of a later plate by a saved model."""
    table = plates()
    saved = {row["name"] for row in read() if row["saved"] == "yes"}
    expected = on_the_command_line(table, tmp_path, method, f"save_model={method in saved}")
    x, y, plate = parts(table)
    model = BatchClassifier(method, **settings(method)).fit(x, y, batch=plate)
    blank = plate == "plate_1"
    found = model.predict_proba(x[blank], batch=plate[blank])
    for column, label in enumerate(model.classes_):
        assert [f"{p:.8g}" for p in found[:, column]] == [f"{float(p):.8g}" for p in expected[f"p_{label}"]]
    assert model.predict(x[blank], batch=plate[blank]).tolist() == expected["predicted"].tolist()
    assert model.card_["label"]
    assert (model.sources_, model.targets_) == (["plate_2", "plate_10"], ["plate_1"])
    assert len(model.get_feature_names_out()) == model.transform(x[blank]).shape[1]

    later = table[blank].assign(plate="plate_4")
    x = 1.2 * later.filter(like="mz_") + 0.5
    if not model.judges_new_batches_:
        with pytest.raises(ValueError, match="24 of 24 samples were not in the training, and method="):
            model.predict(x, batch=later["plate"])
        return
    found = model.predict_proba(x, batch=later["plate"])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    model = pickle.loads(pickle.dumps(model)).fit_batch(x, batch=later["plate"])
    np.testing.assert_allclose(model.predict_proba(x[:3], batch=later["plate"][:3]), found[:3], rtol=1e-4)
    with pytest.raises(ValueError, match="Batch 'plate_4' is known already"):
        model.fit_batch(x, batch=later["plate"])
    if method in saved:
        later[x.columns] = x
        later.to_csv(tmp_path / "later.csv", index=False)
        (folder,) = (file.parent for file in tmp_path.glob("runs/*/*/*/result.json"))
        ours = predict(folder, tmp_path / "later.csv").probability["plate_4"]
        np.testing.assert_allclose(ours, found, rtol=1e-4, atol=1e-6)


def test_most_methods_judge_later_batches() -> None:
    assert sum(row["later_batches"] != TRAINED_AGAIN for row in read()) >= 38


@pytest.mark.parametrize("method", REFERENCES)
def test_references_are_refused(method: str) -> None:
    x, y, plate = parts(plates())
    with pytest.raises(ValueError, match=f"method={method} needs the labels of the batches that it judges"):
        BatchClassifier(method).fit(x, y, batch=plate)


@pytest.mark.parametrize("method", ["coral", "mmd_resnet", "deep_coral", "nearest_source", "pairwise"])
def test_methods_that_need_a_target_say_so(method: str) -> None:
    x, y, plate = parts(plates())
    known = ~pd.isna(y)
    with pytest.raises(ValueError, match=f"method={method} is trained for the batches that it is to judge"):
        BatchClassifier(method, **settings(method)).fit(x[known], y[known], plate[known])


def test_settings_are_those_of_the_command_line(tmp_path: Path) -> None:
    table = plates()
    overrides = ["protocol=released", "protocol.transform=log2", "classifier@method.classifier=network"]
    expected = on_the_command_line(table, tmp_path, "combat", *overrides, "method.classifier.epochs=3")
    x, y, plate = parts(table)
    chosen = settings("combat") | {
        "classifier": "network",
        "method__classifier__epochs": 3,
        "protocol__transform": "log2",
    }
    model = BatchClassifier("combat", protocol="released", **chosen).fit(x, y, plate)
    found = model.predict_proba(x)[plate == "plate_1", 1]
    assert [f"{p:.8g}" for p in found] == [f"{float(p):.8g}" for p in expected["p_sick"]]


def test_the_positive_class_is_that_of_the_command_line(tmp_path: Path) -> None:
    table, method = plates(), "standardise_network"
    expected = on_the_command_line(table, tmp_path, method, "dataset.positive=healthy")
    x, y, plate = parts(table)
    model = BatchClassifier(method, positive="healthy", **settings(method)).fit(x, y, plate)
    assert model.classes_.tolist() == ["healthy", "sick"]
    found = model.predict_proba(x, plate)[plate == "plate_1", 0]
    assert [f"{p:.8g}" for p in found] == [f"{float(p):.8g}" for p in expected["p_healthy"]]
    usual = BatchClassifier(method, **settings(method)).fit(x, y, plate).predict_proba(x, plate)
    assert not np.array_equal(usual[plate == "plate_1", 0], found)
    with pytest.raises(ValueError, match="positive=ill is not one of two classes; there are healthy, sick"):
        BatchClassifier(method, positive="ill").fit(x, y, plate)


def test_a_later_batch_that_lies_outside_is_warned_of() -> None:
    x, y, plate = parts(plates(samples=60))
    model = BatchClassifier(QUICK).fit(x, y, plate)
    model.fit_batch(x[:60], batch=["near"] * 60)
    assert not model.warnings_
    model.fit_batch(x[:60] * 1000, batch=["far"] * 60)
    assert model.warnings_[0]["code"] == "lies_outside"
    assert "Batch 'far' lies outside what the model was trained on" in model.warnings_[0]["text"]


@pytest.mark.parametrize("positive", [None, "healthy"])
def test_the_class_mix_is_that_of_the_record(positive: str | None, tmp_path: Path) -> None:
    table = plates()
    on_the_command_line(table, tmp_path, QUICK, *([f"dataset.positive={positive}"] if positive else []))
    (file,) = tmp_path.glob("runs/*/*/*/result.json")
    recorded = json.loads(file.read_text())["class_mix"]["plate_1"]
    x, y, plate = parts(table)
    model = BatchClassifier(QUICK, positive=positive).fit(x, y, plate)
    assert list(model.class_mix_) == ["plate_1"]
    assert list(model.class_mix_["plate_1"]) == ["healthy", "sick"]
    for label, (share, low, high) in model.class_mix_["plate_1"].items():
        found = {"share": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        assert found == recorded[label]


def test_batches_of_another_mix_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.evaluation.mix_borne.measured", dict)  # whatever the table says
    x, _, plate = parts(plates(samples=60))
    sick = np.flatnonzero(np.arange(len(x)) % 2)
    x.iloc[sick, :2] += 10
    blank = plate == "plate_1"
    y = (np.arange(len(x)) % 2).astype(object)
    y[blank] = None
    model = BatchClassifier(QUICK).fit(x, y, plate)
    assert not model.warnings_
    near = model.fit_batch(x[blank] * 1.01, batch=["near"] * 60).class_mix_["near"]
    assert near[0][0] + near[1][0] == pytest.approx(1)
    assert all(low <= share <= high for share, low, high in near.values())
    assert near[1] == pytest.approx(model.class_mix_["plate_1"][1], abs=0.1)
    assert not model.warnings_
    model = pickle.loads(pickle.dumps(model)).fit_batch(x.iloc[sick] * 1.02, batch=["sick"] * len(sick))
    assert list(model.class_mix_) == ["plate_1", "near", "sick"]
    assert model.class_mix_["sick"][1][0] > 0.85
    (text,) = (one["text"] for one in model.warnings_ if one["code"] == "class_mix")
    assert text.startswith("Batch 'sick' seems to have ")
    assert "one" not in model.fit_batch(x[:1], batch=["one"]).class_mix_  # one sample has no mix
    target = BatchClassifier(QUICK).fit(x[~blank], y[~blank], plate[~blank], X_target=x.iloc[sick] * 1.02)
    assert [one["text"][:8] for one in target.warnings_ if one["code"] == "class_mix"] == ["Target '"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "joynt_plus"}, "method=joynt_plus is not one of: .*; did you mean 'joint_plus'"),
        ({"method": "joint", "protocol": "papers"}, "protocol=papers is not one of: .*did you mean 'paper'"),
        ({"method": "joint", "epoch": 3}, "There is no setting method.epoch; did you mean 'epochs'"),
        ({"method": "joint_plus", "joint__l": 3}, "There is no setting method.joint.l"),
        ({"method": "baseline", "classifier": "forest"}, "classifier=forest is not one of: .*logistic"),
        ({"method": "joint", "epochs": -1}, "epochs"),
    ],
)
def test_wrong_settings_are_value_errors(options: dict[str, Any], sentence: str) -> None:
    x, y, plate = parts(plates())
    with pytest.raises(ValueError, match=sentence):
        BatchClassifier(**options).fit(x, y, plate)


def test_settings_are_parameters() -> None:
    model = BatchClassifier("joint", epochs=3, protocol__transform="log2")
    assert model.get_params()["epochs"] == 3
    assert clone(model).get_params() == model.get_params()
    assert "epochs=3" in repr(model)
    assert "epochs" in model._repr_html_()
    assert model.set_params(epochs=4, random_state=1).get_params()["epochs"] == 4
    assert model.random_state == 1
    x, y, plate = parts(plates())
    fitted = BatchClassifier(QUICK).fit(x, y, plate)
    assert clone(fitted).get_params() == fitted.get_params() == BatchClassifier(QUICK).get_params()


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    x, y, plate = parts(plates())
    model = BatchClassifier("standardise_network", **settings("standardise_network")).fit(x, y, plate)
    whole = model.predict_proba(x, plate)
    order = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_array_equal(model.predict_proba(x.iloc[order], plate[order]), whole[order])
    np.testing.assert_array_equal(model.predict_proba(x.iloc[:1], plate[:1]), whole[:1])
    np.testing.assert_array_equal(model.predict_proba(x), whole)  # no row is of two plates
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict_proba(x, plate),
        whole,
    )


def test_later_batches() -> None:
    x, y, plate = parts(plates())
    later = x[plate == "plate_1"] + 1
    network = BatchClassifier("standardise_network", **settings("standardise_network")).fit(x, y, plate)
    assert network.judges_new_batches_
    assert len(network.predict(later, batch=["plate_4"] * len(later))) == len(later)
    again = network.predict_proba(later, batch=["plate_1"] * len(later))  # called as one of the training
    np.testing.assert_array_equal(again, network.predict_proba(later))
    some = network.predict_proba(later[:5], batch=["plate_5"] * 5)  # scaled by five samples
    network.fit_batch(later, batch=["plate_5"] * len(later))
    assert network.later_batches_ == ["plate_5"]
    np.testing.assert_array_equal(network.predict_proba(later, batch=["plate_5"] * len(later)), again)
    assert not np.array_equal(network.predict_proba(later[:5], batch=["plate_5"] * 5), some)


def test_partly_labelled_batches_and_targets_apart(tmp_path: Path) -> None:
    table = plates()
    table.loc[table.index[:6], "diagnosis"] = None
    x, y, plate = parts(table)
    model = BatchClassifier(QUICK).fit(x, y, plate)
    assert model.targets_ == ["plate_1", "plate_2 (unlabelled)"]
    assert "labelled_in_part" in [warning["code"] for warning in model.warnings_]
    assert np.isfinite(model.predict_proba(x, plate)).all()
    known = ~pd.isna(y)
    other = BatchClassifier(QUICK).fit(x[known], y[known], plate[known], X_target=x[~known])
    assert other.targets_ == ["target"]
    named = BatchClassifier(QUICK).fit(
        x[known], y[known], plate[known], X_target=x[plate == "plate_1"], batch_target=["plate_1"] * 24
    )
    assert named.targets_ == ["plate_1"]
    with pytest.raises(ValueError, match="batch_target names 'plate_2', which is a batch of X"):
        BatchClassifier(QUICK).fit(
            x[known], y[known], plate[known], X_target=x[~known], batch_target=plate[~known]
        )


@pytest.mark.parametrize("missing", [None, np.nan, "unknown"])
def test_missing_labels(missing: object) -> None:
    x, y, plate = parts(plates())
    y[pd.isna(y)] = missing
    assert BatchClassifier(QUICK, unlabelled="unknown").fit(x, y, plate).targets_ == ["plate_1"]


def test_kinds_of_data_give_the_same_answers() -> None:
    x, y, plate = parts(plates())
    expected = BatchClassifier(QUICK).fit(x, y, plate).predict_proba(x, plate)
    for kind in (np.asarray, sparse.csr_matrix, sparse.csc_array):
        found = BatchClassifier(QUICK).fit(kind(x), y, plate).predict_proba(kind(x), plate)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    anndata = pytest.importorskip("anndata")
    cells = anndata.AnnData(
        x.to_numpy(), pd.DataFrame({"plate": plate, "kind": y}, index=x.index.astype(str))
    )
    cells.var_names = list(x)
    model = BatchClassifier(QUICK).fit(cells, "kind", batch="plate")
    np.testing.assert_array_equal(model.predict_proba(cells, batch="plate"), expected)
    assert list(model.feature_names_in_) == list(x)
    with pytest.raises(ValueError, match="batch='tech' is no column of obs; it has plate, kind"):
        model.predict(cells, batch="tech")
    with pytest.raises(ValueError, match="feature names"):
        BatchClassifier(QUICK).fit(x, y, plate).predict(x[x.columns[::-1]])


def test_subjects() -> None:
    x, y, plate = parts(plates())
    subject = np.array([f"p{i // 4}" for i in range(len(x))])  # of both classes
    assert "subjects_split" in [
        one["code"] for one in BatchClassifier(QUICK).fit(x, y, plate, subject=subject).warnings_
    ]
    with pytest.raises(ValueError, match="this method gives all samples of a subject one answer"):
        BatchClassifier("average_replicates").fit(x, y, plate, subject=subject)
    pairs = np.array([f"p{i // 4}_{i % 2}" for i in range(len(x))])
    model = BatchClassifier("average_replicates", **settings("average_replicates"))
    answers = model.fit(x, y, plate, subject=pairs).predict_proba(x, plate)[:, 0]
    assert pd.Series(answers).groupby([plate, pairs]).nunique().max() == 1
    for what in ("subject", "replicate"):
        with pytest.raises(ValueError, match=f"{what} names 3 samples, but X has 72"):
            BatchClassifier(QUICK).fit(x, y, plate, **{what: ["a"] * 3})


def test_scikit_learns_tools() -> None:
    x, y, plate = parts(plates())
    known = ~pd.isna(y)
    x, y, plate = x[known], y[known].astype(str), plate[known]
    with sklearn.config_context(enable_metadata_routing=True):
        model = BatchClassifier("baseline", classifier="logistic").set_fit_request(batch=True)
        model.set_predict_request(batch=True)
        pipeline = make_pipeline(FunctionTransformer(np.log1p), model)
        answers = cross_val_predict(
            pipeline, x, y, cv=LeaveOneGroupOut(), params={"batch": plate, "groups": plate}
        )
        assert set(answers) == {"healthy", "sick"}
        search = GridSearchCV(model, {"classifier__estimator__C": [0.1, 10.0]}, cv=LeaveOneGroupOut())
        search.fit(x, y, batch=plate, groups=plate)
        assert search.best_params_["classifier__estimator__C"] in (0.1, 10.0)
        assert set(search.best_estimator_.predict(x, batch=plate)) <= {"healthy", "sick"}


def test_a_held_out_batch_takes_part_without_labels(tmp_path: Path) -> None:
    table = plates()
    x, y, plate = parts(table)
    splitter = calib.LeaveOneBatchOut()
    answers = splitter.predict(BatchClassifier("combat_logistic"), x, y, plate)
    assert [answer is None for answer in answers] == (plate == "plate_1").tolist()
    table.loc[table["plate"] == "plate_2", "diagnosis"] = None  # as on the command line: two targets
    table.to_csv(tmp_path / "plates.csv", index=False)
    names = ["dataset.batch=plate", "dataset.label=diagnosis", "dataset.name=plates", "progress=false"]
    place = ["dataset=table", f"dataset.path={tmp_path / 'plates.csv'}", f"out={tmp_path}"]
    run(compose(*place, *names, "method=combat_logistic", "split='plate_10:plate_1+plate_2'"))
    (file,) = tmp_path.glob("runs/*/*/*/predictions.csv")
    expected = pd.read_csv(file).query("batch == 'plate_2'")["predicted"].tolist()
    assert answers[plate == "plate_2"].tolist() == expected
    scores = splitter.score(BatchClassifier(QUICK), x, y, plate)
    assert list(scores.index) == ["plate_2", "plate_10"]
    shares = splitter.predict(BatchClassifier(QUICK), x, y, plate, method="predict_proba")
    assert np.isnan(shares).any(axis=1).tolist() == (plate == "plate_1").tolist()
    one = plate != "plate_2"
    with pytest.raises(ValueError, match="There is 1 batch with labels; at least two"):
        splitter.predict(BatchClassifier(QUICK), x[one], y[one], plate[one])
    y[plate == "plate_10"] = "other"
    with pytest.raises(
        ValueError, match="Without batch 'plate_2' there are 1 class|There are labels of 1 class"
    ):
        splitter.predict(BatchClassifier(QUICK), x, y, plate)


def test_the_joint_model_is_a_special_case() -> None:
    x, y, plate = parts(plates())
    ours = BatchClassifier("joint", epochs=3).fit(x, y, plate).predict_proba(x, plate)
    np.testing.assert_array_equal(JointCalibrator(epochs=3).fit(x, y, plate).predict_proba(x, plate), ours)
    assert calib.BatchClassifier is BatchClassifier
    assert OmegaConf.to_container(configured("joint", "paper", {}).method) == OmegaConf.to_container(
        compose("dataset=table", "dataset.path=x", "method=joint").method
    )
    assert (CONF / "method" / "joint.yaml").is_file()


@pytest.mark.slow
@parametrize_with_checks([BatchClassifier("standardise_svm")])
def test_scikit_learns_checks(estimator: BatchClassifier, check: Any) -> None:
    check(estimator)
