"""Tests of the controls: simple correctors and ordinary classifiers, in any combination."""

import io
import zipfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy import sparse
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skops.io import dumps

from calib.config import build
from calib.data.replicates import over_replicates
from calib.data.split import make_labelled_task, make_task, parse_split
from calib.data.study import FloatArray, LabelledSamples, Samples, Study
from calib.errors import CalibError
from calib.methods.base import State
from calib.methods.cca import CCA
from calib.methods.combat import ComBat
from calib.methods.combined import AverageClassifier, OverReplicates, ShuffledLabels
from calib.methods.corrected import CorrectThenClassify, Uncorrected, versions_of
from calib.methods.discriminator import AdaBN, DiscriminatorClassifier
from calib.methods.estimator import SklearnClassifier
from calib.methods.estimator_state import ESTIMATOR, VERSION, estimator_state
from calib.methods.lasting import EachAlone
from calib.methods.network import NetworkClassifier
from calib.methods.oracle import Oracle
from calib.methods.standardise import RankNormal, Standardise, Transformed
from calib.records.corrections import Corrections
from calib.runs.experiment import run
from calib.runs.models import load_model
from calib.runs.run import load, make_run, method_settings
from calib.runtime import Runtime
from tests.conftest import compose, small_run


def samples(name: str, x: object) -> Samples:
    return Samples(name, np.asarray(x, "f4"))


@pytest.fixture
def three() -> list[LabelledSamples]:
    """Return two sources of classes 0, 1 and 3 of four, which are far apart; class 3 has one row."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 15)
    batches = []
    for number in range(2):
        labels = np.append(y, 3) if number else y
        x = rng.normal(0, 0.3, (len(labels), 5)) + 3 * np.eye(5)[labels]
        batches.append(LabelledSamples(str(number), x.astype("f4"), labels))
    return batches


def test_parts_give_the_settings_that_the_methods_had() -> None:
    classifier = {
        "_target_": "calib.methods.discriminator.DiscriminatorClassifier",
        "epochs": 100,
        "batch_size": 128,
        "lr": 1e-4,
        "learning_step": 10000,
        "weight_decay": 5e-5,
    }
    correctors: dict[str, dict[str, object]] = {
        "baseline": {"_target_": "calib.methods.corrected.Uncorrected"},
        "combat": {
            "_target_": "calib.methods.combat.ComBat",
            "mean_only": False,
            "reference": None,
            "parametric": True,
        },
    }
    for name, corrector in correctors.items():
        config = compose("dataset=mi", f"method={name}")
        protocol = OmegaConf.to_container(config.protocol)
        assert method_settings(config) == {
            "_target_": "calib.methods.corrected.CorrectThenClassify",
            "corrector": corrector,
            "classifier": {**classifier, "protocol": protocol},
        }


@pytest.mark.parametrize("study", ["demo", "mi", "chd", "pancreas", "pancreas_mini"])
@pytest.mark.parametrize("name", ["standardise_d", "rank_normal_d", "combat_d", "adabn"])
def test_d_is_trained_as_in_the_baseline(study: str, name: str) -> None:
    ours, baseline = (
        compose(f"dataset={study}", f"method={m}").method.classifier for m in (name, "baseline")
    )
    assert {**ours, "_target_": baseline._target_} == baseline


def test_parts_are_exchanged_from_the_command_line(tmp_path: Path) -> None:
    swapped = compose(
        "method=standardise_logistic",
        "corrector@method.corrector=combat_arcsinh",
        "classifier@method.classifier=svm",
    )
    asked = compose("method=combat_svm")
    assert method_settings(swapped) == method_settings(asked)
    with_d = compose("dataset=mi", "method=baseline", "corrector@method.corrector=standardise")
    assert method_settings(with_d) == method_settings(compose("dataset=mi", "method=standardise_d"))
    names = compose("method=average", "method.classifier.classifiers.boosting=null")
    assert list(build(OmegaConf.create(method_settings(names))).classifier.classifiers) == ["network"]


# Correctors


def test_standardise() -> None:
    x = np.array([[1, 7, 0.1], [2, 7, 0.1], [6, 7, 0.1]])
    corrected = Standardise().correct([samples("a", x), samples("b", 10 * x + 5)], Runtime())
    spread = np.sqrt((4 + 1 + 9) / 3)
    for name in "ab":
        np.testing.assert_allclose(corrected[name][:, 0], np.array([-2, -1, 3]) / spread, rtol=1e-6)
        np.testing.assert_array_equal(corrected[name][:, 1:], 0)
        assert corrected[name].dtype == np.float32
    many = np.full((1001, 2), np.arcsinh(0.1))  # by rounding, the mean differs from the value
    assert (many.std(axis=0) > 0).all()
    np.testing.assert_array_equal(Standardise().corrected(many), 0)


def test_rank_normal() -> None:
    x = np.array([[5, 1, 4.0], [1, 1, 4], [3, 2, 4], [1, 9, 4]])
    corrected = RankNormal().correct([samples("a", x)], Runtime())["a"]
    ranks = np.array([[4, 1.5, 2.5], [1.5, 1.5, 2.5], [3, 3, 2.5], [1.5, 4, 2.5]])
    np.testing.assert_allclose(corrected, norm.ppf((ranks - 3 / 8) / (4 + 1 / 4)), atol=1e-6)
    np.testing.assert_array_equal(corrected, RankNormal().correct([samples("a", np.exp(x))], Runtime())["a"])


def test_transformed() -> None:
    rng = np.random.default_rng(0)
    batches = [samples(name, rng.gamma(2, 500, (9, 4))) for name in "ab"]
    transformed = [samples(b.name, np.arcsinh(b.dense.astype("f8") / 100)) for b in batches]
    for inner in (Standardise(), ComBat(False, None, True)):
        ours = Transformed("arcsinh", inner).correct(batches, Runtime())
        theirs = inner.correct(transformed, Runtime())
        for name in "ab":
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
    with pytest.raises(CalibError, match="transform=sqrt is not one of: none, arcsinh, log2"):
        Transformed("sqrt", Standardise())  # type: ignore[arg-type]


def test_each_batch_alone() -> None:
    """A batch is corrected alike, sparse or dense, in any order and with any other batches."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((3, 12, 5)) < 0.6, 0, rng.gamma(2, 300, (3, 12, 5))).astype("f4")
    batches = [Samples(name, part) for name, part in zip("abc", x, strict=True)]
    thin = [replace(batch, x=sparse.csr_array(batch.x)) for batch in batches]
    for corrector in (Transformed("arcsinh", Standardise()), RankNormal(), Uncorrected()):
        assert isinstance(corrector.corrector if isinstance(corrector, Transformed) else corrector, EachAlone)
        together = corrector.correct(batches, Runtime())
        for batch in reversed(batches):
            np.testing.assert_array_equal(
                together[batch.name], corrector.correct([batch], Runtime())[batch.name]
            )
        for name, values in corrector.correct(thin, Runtime()).items():
            np.testing.assert_array_equal(together[name], Samples(name, values).dense)
    with pytest.raises(CalibError, match="Batch 'a' has one sample"):
        Standardise().correct([samples("a", [[1, 2]])], Runtime())


def test_a_corrector_within_another_is_part_of_the_key(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batches = [samples(name, rng.gamma(2, 500, (9, 4))) for name in "ab"]

    def key(corrector: Transformed) -> object:
        store = Corrections(tmp_path, "study", {"data": "x"})
        store.obtain(corrector, batches, Runtime())
        assert store.used is not None
        return store.used["key"]

    made = [
        Transformed("arcsinh", ComBat(False, None, True)),
        Transformed("arcsinh", ComBat(False, None, True)),  # equal to the first, but another object
        Transformed("none", ComBat(False, None, True)),
        Transformed("arcsinh", ComBat(True, None, True)),
    ]
    keys = [key(corrector) for corrector in made]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert len(list(tmp_path.glob("corrections/study/transformed-*"))) == 3
    made[0].corrector.version = 2  # type: ignore[misc]
    assert key(made[0]) not in keys
    store = Corrections(tmp_path / "none", "study", {})
    store.obtain(Transformed("arcsinh", Standardise()), batches, Runtime())
    assert store.used is None  # computing it costs less than reading it


# Classifiers


def logistic(standardise: bool = False) -> SklearnClassifier:
    return SklearnClassifier(LogisticRegression(max_iter=1000), standardise)


def network(members: int = 2, epochs: int = 30) -> NetworkClassifier:
    return NetworkClassifier([16, 16], 0.2, epochs, 16, 1e-2, 1e-2, members)


CHOSEN = ("logistic", "logistic_cv", "svm", "svm_cv", "neighbours", "boosting", "network")


def classifier(name: str, *overrides: str) -> Any:
    """Return the classifier of a file of conf/classifier."""
    chosen = compose("method=standardise_logistic", f"classifier@method.classifier={name}", *overrides)
    return build(OmegaConf.create(method_settings(chosen)["classifier"]))


@pytest.mark.parametrize("name", [*CHOSEN, "average"])
def test_a_class_without_samples_keeps_its_column(name: str, three: list[LabelledSamples]) -> None:
    chosen = {
        "average": {"method": "average", "at": ["classifiers.network.epochs=5"]},
        "network": {"method": "standardise_network", "at": ["epochs=20"]},
        "neighbours": {"method": "standardise_logistic", "at": ["estimator.n_neighbors=5"]},
    }.get(name, {"method": "standardise_logistic", "at": []})
    at = [f"method.classifier.{override}" for override in chosen["at"]]
    exchange = [f"classifier@method.classifier={name}"] if name in CHOSEN else []
    settings = method_settings(compose(f"method={chosen['method']}", *exchange, *at))
    fitted = build(OmegaConf.create(settings["classifier"])).fit(three, 4, Runtime())
    probability = fitted.predict_proba(three[1])
    assert probability.shape == (31, 4)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert (probability[:30].argmax(axis=1) == three[1].y[:30]).all()
    if name not in ("network", "average"):
        np.testing.assert_array_equal(probability[:, 2], 0)


def test_sklearn_sees_all_sources_and_nothing_else(three: list[LabelledSamples]) -> None:
    ours = logistic().fit(three, 4, Runtime()).predict_proba(three[0])
    x, y = np.concatenate([b.x for b in three]).astype("f8"), np.concatenate([b.y for b in three])
    theirs = LogisticRegression(max_iter=1000).fit(x, y).predict_proba(three[0].x.astype("f8"))
    np.testing.assert_allclose(ours[:, [0, 1, 3]], theirs, rtol=1e-5)
    thin = [replace(b, x=sparse.csr_array(b.x)) for b in three]
    np.testing.assert_array_equal(ours, logistic().fit(thin, 4, Runtime()).predict_proba(thin[0]))


def test_the_seed_reaches_an_estimator() -> None:
    node = {
        "_target_": "calib.methods.estimator.SklearnClassifier",
        "standardise": True,
        "estimator": {
            "_target_": "sklearn.calibration.CalibratedClassifierCV",
            "estimator": {"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 3},
            "cv": 2,
        },
    }
    rng = np.random.default_rng(0)
    source = LabelledSamples("a", rng.normal(size=(40, 3)).astype("f4"), np.repeat([0, 1], 20))
    classifier = build(OmegaConf.create(node))
    first, again, other = (
        classifier.fit([source], 2, Runtime(seed)).predict_proba(source) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_sklearn_says_is_told_in_our_words(
    three: list[LabelledSamples], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CalibError, match="SVC gives no probabilities; put sklearn.calibration"):
        SklearnClassifier(SVC(), standardise=True)
    with pytest.raises(CalibError, match="LogisticRegression cannot be fitted to the sources: .*'C'"):
        SklearnClassifier(LogisticRegression(C=-1.0), standardise=True).fit(three, 4, Runtime())
    with pytest.raises(CalibError, match="standardise=yes is not one of: true, false"):
        SklearnClassifier(LogisticRegression(), standardise="yes")  # type: ignore[arg-type]
    few = replace(three[0], x=three[0].x[:20], y=three[0].y[:20])
    with pytest.raises(CalibError, match="KNeighborsClassifier cannot be fitted .*n_neighbors = 25"):
        classifier("neighbours").fit([few], 4, Runtime()).predict_proba(three[1])
    with caplog.at_level("WARNING", logger="calib"):
        SklearnClassifier(LogisticRegression(max_iter=1), standardise=False).fit(three, 4, Runtime())
    assert "scikit-learn: lbfgs failed to converge" in caplog.text


def test_sklearn_has_the_threads_of_the_run(three: list[LabelledSamples]) -> None:
    seen = []

    class Watching(LogisticRegression):
        def fit(self, x: FloatArray, y: FloatArray) -> "Watching":
            from threadpoolctl import threadpool_info

            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit(x, y)

    torch.set_num_threads(1)
    SklearnClassifier(Watching(), standardise=False).fit(three, 4, Runtime())
    assert set(seen) == {1}


def test_the_network_learns_and_hangs_on_its_seed_alone(three: list[LabelledSamples]) -> None:
    def judged(seed: int, sources: Sequence[LabelledSamples] = three) -> tuple[FloatArray, State]:
        fitted = network().fit(sources, 4, Runtime(seed))
        return fitted.predict_proba(three[0]), fitted.state()

    torch.manual_seed(0)
    first, state = judged(0)
    torch.manual_seed(1)
    again, _ = judged(0)
    np.testing.assert_array_equal(first, again)
    assert (judged(1)[0] != first).any()
    assert (first.argmax(axis=1) == three[0].y).all()
    thin = [replace(b, x=sparse.csr_array(b.x)) for b in three]
    np.testing.assert_array_equal(judged(0, thin)[0], first)
    weights = [state[f"network_{n}.linear.0.weight"] for n in (1, 2)]
    assert (weights[0] != weights[1]).all()
    shapes = {name: value.shape for name, value in state.items() if name.startswith("network_1.")}
    assert shapes["network_1.linear.0.weight"] == (16, 5)
    assert shapes["network_1.linear.1.weight"] == (16, 16)
    assert shapes["network_1.norm.1.running_var"] == (16,)
    assert shapes["network_1.out.weight"] == (4, 16)


def test_the_network_is_that_of_torch() -> None:
    """In test mode it is twice linear, batch norm and ReLU on z-scores, then linear, averaged over networks."""
    rng = np.random.default_rng(0)
    source = LabelledSamples("a", rng.normal(3, 2, size=(40, 5)).astype("f4"), np.repeat([0, 1], 20))
    z = StandardScaler().fit_transform(source.x.astype("f8"))
    fitted = network(members=2, epochs=2).fit([source], 2, Runtime(dtype=torch.float64))
    state = {name: torch.as_tensor(value) for name, value in fitted.state().items()}
    each = []
    for number in (1, 2):
        own = {n.removeprefix(f"network_{number}."): v for n, v in state.items() if f"_{number}." in n}
        layers = torch.nn.Sequential(
            torch.nn.Linear(5, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2),
            torch.nn.Linear(16, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2),
            torch.nn.Linear(16, 2),
        ).double().eval()  # fmt: skip
        for place, name in ((0, "linear.0"), (1, "norm.0"), (4, "linear.1"), (5, "norm.1"), (8, "out")):
            part = {n.removeprefix(f"{name}."): v for n, v in own.items() if n.startswith(name)}
            layers[place].load_state_dict(part, strict=False)
        with torch.no_grad():
            each.append(layers(torch.as_tensor(z)).softmax(dim=1).numpy())
    np.testing.assert_allclose(fitted.predict_proba(source), np.mean(each, axis=0), rtol=1e-10)


def test_networks_mix_their_sources() -> None:
    """A mini-batch holds rows of both sources, so its batch norm cannot remove their difference."""
    rng = np.random.default_rng(0)
    sources = [
        LabelledSamples(name, (rng.normal(0, 0.1, (100, 2)) + shift).astype("f4"), np.full(100, label))
        for name, shift, label in (("a", 0, 0), ("b", 1, 1))
    ]
    fitted = network(members=1).fit(sources, 2, Runtime())
    assert (fitted.predict_proba(sources[0]).argmax(axis=1) == 0).all()
    assert (fitted.predict_proba(sources[1]).argmax(axis=1) == 1).all()


def test_network_settings_are_checked() -> None:
    for change, message in (
        ({"widths": []}, "must be a list of widths"),
        ({"widths": [0]}, "widths=0 must be"),
        ({"dropout": 1}, "dropout=1 must be below 1"),
        ({"members": 0}, "members=0 must be"),
        ({"epochs": 0}, "epochs=0 must be"),
    ):
        settings = method_settings(compose("method=standardise_network"))["classifier"]
        with pytest.raises(CalibError, match=message):
            build(OmegaConf.create(settings | change))


def test_average_is_the_mean(three: list[LabelledSamples]) -> None:
    parts = {"trees": logistic(), "net": network(members=1, epochs=2)}
    both = AverageClassifier(parts).fit(three, 4, Runtime()).predict_proba(three[0])
    each = [part.fit(three, 4, Runtime()).predict_proba(three[0]) for part in parts.values()]
    np.testing.assert_array_equal(both, np.mean(each, axis=0))
    assert versions_of(AverageClassifier(parts)) == [1, 2, 2]
    with pytest.raises(CalibError, match="at least one classifier"):
        AverageClassifier({"trees": None})


def test_shuffled_labels_stay_in_their_batch(three: list[LabelledSamples]) -> None:
    class Keeping:
        version, restorable = 1, False

        def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> object:
            return [source.y for source in sources]

    given = [source.y.copy() for source in three]
    first, again, other = (ShuffledLabels(Keeping()).fit(three, 4, Runtime(seed)) for seed in (0, 0, 1))  # type: ignore[arg-type]
    for source, y, shuffled, same, different in zip(three, given, first, again, other, strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(source.y, y)
        np.testing.assert_array_equal(np.sort(shuffled), np.sort(y))
        np.testing.assert_array_equal(shuffled, same)
        assert (shuffled != y).any()
        assert (shuffled != different).any()


def test_adabn_is_d_with_the_statistics_of_the_target() -> None:
    settings = method_settings(compose("method=adabn"))["classifier"]
    adabn = build(OmegaConf.create({**settings, "epochs": 2}))
    assert isinstance(adabn, AdaBN)
    own = build(
        OmegaConf.create(
            {
                **settings,
                "_target_": "calib.methods.discriminator.DiscriminatorClassifier",
                "epochs": 2,
                "protocol": {**settings["protocol"], "discriminator_test_statistics": "own"},
            }
        )
    )
    assert type(own) is DiscriminatorClassifier
    rng = np.random.default_rng(0)
    source = LabelledSamples("a", rng.normal(size=(60, 4)).astype("f4"), np.repeat([0, 1], 30))
    target = samples("b", 50 + 7 * source.x)  # batch norm removes shift and scale
    ours, theirs = (one.fit([source], 2, Runtime()).predict_proba(target) for one in (adabn, own))
    np.testing.assert_array_equal(ours, theirs)
    fitted = adabn.fit([source], 2, Runtime())
    np.testing.assert_allclose(fitted.predict_proba(source), fitted.predict_proba(target), atol=1e-4)


# Methods


def test_the_order_of_batches_does_not_matter(study: Study) -> None:
    split = parse_split("12_3", study)
    task = make_task(study, split)
    method = CorrectThenClassify(Transformed("arcsinh", Standardise()), logistic())
    ours = method.fit(task, Runtime()).predict_proba(task.targets[0])
    turned = replace(task, sources=task.sources[::-1])
    np.testing.assert_allclose(ours, method.fit(turned, Runtime()).predict_proba(task.targets[0]), atol=1e-4)


def test_the_oracle_trains_on_sources_and_the_other_folds(study: Study) -> None:
    seen = []

    class Watching(SklearnClassifier):
        def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> object:
            seen.append(sources)
            return super().fit(sources, n_classes, runtime)

    task = make_labelled_task(study, parse_split("1_23", study))
    method = Oracle(Uncorrected(), Watching(LogisticRegression(max_iter=2000), False), folds=3)
    assert method.uses_target_labels
    fitted = method.fit(task, Runtime())
    assert [[source.name for source in sources] for sources in seen] == [["1", "2"]] * 3 + [["1", "3"]] * 3
    for target, folds in zip(task.targets, (seen[:3], seen[3:]), strict=True):
        probability = fitted.predict_proba(target)
        np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
        subject = task.subjects[target.name]
        assert subject is not None
        rows = [{row.tobytes() for row in target.x[subject == one]} for one in np.unique(subject)]
        trained = [{row.tobytes() for row in fold[1].x} for fold in folds]
        for own in rows:  # all rows of a subject are trained on in two folds of three
            assert sorted(len(own & fold) for fold in trained) == [0, len(own), len(own)]


def test_honest_cross_validation_is_honest_under_any_protocol() -> None:
    for protocol in ("paper", "released"):
        settings = method_settings(compose(f"protocol={protocol}", "method=honest_cross_validation"))
        assert (settings["fresh_network"], settings["group_by_subject"]) == (True, "where_known")
        printed = method_settings(compose(f"protocol={protocol}", "method=cross_validation"))
        changed = {"fresh_network", "group_by_subject"}
        assert {k: v for k, v in settings.items() if k not in changed} == {
            k: v for k, v in printed.items() if k not in changed
        }


def test_unknown_subjects_are_told(study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = make_labelled_task(study, parse_split("12_3", study))
    task = replace(task, subjects={"3": None})
    config = small_run("honest_cross_validation", tmp_path)
    honest = build(OmegaConf.create(method_settings(config)))
    assert honest.fit(task, Runtime(dtype=torch.float64)).predict_proba(task.targets[0]).shape == (36, 2)
    assert "The subjects of batch '3' are unknown" in caplog.text
    honest.group_by_subject = True
    with pytest.raises(CalibError, match="subjects of batch '3' are unknown"):
        honest.fit(task, Runtime())


# New batches


@pytest.mark.parametrize(
    "name",
    [
        *("standardise_network", "rank_normal_network", "standardise_d", "adabn", "average_replicates"),
        *("standardise_logistic", "rank_normal_svm", "standardise_boosting"),
    ],
)
def test_a_saved_model_judges_the_target_as_in_its_run(name: str, tmp_path: Path) -> None:
    config = small_run(name, tmp_path, "save_model=true")
    (result,) = run(config)
    (folder,) = tmp_path.glob("runs/*/*/*")
    study, _ = load(config)
    fitted = load_model(folder).fitted
    with np.load(folder / "embedding.npz") as stored:
        calibrated = stored["z"][stored["batch"] == "3"]
    later = replace(study.batches["3"].unlabelled(), name="later")
    np.testing.assert_allclose(fitted.transform(later), calibrated, rtol=1e-6)
    predicted = fitted.predict_proba(later).argmax(axis=1)
    accuracy = float((predicted == study.batches["3"].y).mean())
    assert accuracy == pytest.approx(result["mean"]["accuracy"])


def test_measurements_of_a_sample_share_their_mean(three: list[LabelledSamples]) -> None:
    single = SklearnClassifier(LogisticRegression(), standardise=False)
    target = replace(three[0], replicate=np.arange(len(three[0])) // 3)
    p = single.fit(three[1:], 4, Runtime()).predict_proba(target)
    shared = OverReplicates(single).fit(three[1:], 4, Runtime())
    assert target.replicate is not None
    assert np.array_equal(shared.predict_proba(target), over_replicates(p, target.replicate))
    assert np.array_equal(shared.predict_proba(replace(target, replicate=None)), p)


def test_an_average_of_networks_can_be_restored(three: list[LabelledSamples]) -> None:
    averaged = AverageClassifier({"a": network(1, 2), "b": network(2, 3)})
    assert averaged.restorable
    fitted = averaged.fit(three, 4, Runtime())
    restored = averaged.restore(fitted.state(), 5, 4, Runtime())
    np.testing.assert_array_equal(fitted.predict_proba(three[0]), restored.predict_proba(three[0]))
    assert AverageClassifier({"a": network(), "b": logistic()}).restorable
    assert ShuffledLabels(logistic()).restorable
    assert not ShuffledLabels(classifier("neighbours")).restorable


@pytest.mark.parametrize("name", [name for name in CHOSEN if name not in ("network", "neighbours")])
def test_an_estimator_is_kept_without_a_pickle(name: str, three: list[LabelledSamples]) -> None:
    made = classifier(name)
    fitted = made.fit(three, 4, Runtime())
    state = fitted.state()
    assert all(array.dtype.kind in "uf" for array in state.values())
    restored = made.restore(state, 5, 4, Runtime())
    np.testing.assert_array_equal(fitted.predict_proba(three[0]), restored.predict_proba(three[0]))
    with pytest.raises(ValueError, match="takes 5 features|another number of features"):
        made.restore(state, 6, 4, Runtime())
    with pytest.raises(ValueError, match="classes that the study has not"):
        made.restore(state, 5, 2, Runtime())
    with pytest.raises(ValueError, match="saved with scikit-learn 0.1, and"):
        made.restore({**state, VERSION: np.frombuffer(b"0.1", np.uint8)}, 5, 4, Runtime())
    with pytest.raises(ValueError, match="cannot be read|not a zip file"):
        made.restore({**state, ESTIMATOR: state[ESTIMATOR][:50]}, 5, 4, Runtime())
    short = ["logistic"] if name == "boosting" else ["boosting", "method.classifier.estimator.max_iter=3"]
    other = classifier(*short).fit(three, 4, Runtime()).state()
    with pytest.raises(ValueError, match="it holds a "):
        made.restore({**state, ESTIMATOR: other[ESTIMATOR]}, 5, 4, Runtime())


def test_an_estimator_that_somebody_made_up_is_refused(three: list[LabelledSamples], tmp_path: Path) -> None:
    made = classifier("boosting", "method.classifier.estimator.max_iter=3")
    fitted = made.fit(three, 4, Runtime())
    model = fitted._model
    for change, sentence in (
        (lambda nodes: nodes["left"].fill(0), "branches that lead nowhere"),
        (lambda nodes: nodes["right"].fill(10**6), "branches that lead nowhere"),
        (lambda nodes: nodes["feature_idx"].fill(99), "features that there are not"),
        (lambda nodes: nodes["is_categorical"].fill(1), "categories"),
    ):
        spoilt = deepcopy(model)
        change(spoilt._predictors[0][0].nodes)
        with pytest.raises(ValueError, match=sentence):
            made.restore(estimator_state(spoilt), 5, 4, Runtime())
    foreign = np.frombuffer(dumps(Foreign()), np.uint8)
    with pytest.raises(ValueError, match="cannot be read: UntrustedTypesFoundException"):
        made.restore({**fitted.state(), ESTIMATOR: foreign}, 5, 4, Runtime())
    squeezed = io.BytesIO()
    with zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "0" * 10**6)
    data = np.frombuffer(squeezed.getvalue(), np.uint8)
    with pytest.raises(ValueError, match="compressed"):
        made.restore({**fitted.state(), ESTIMATOR: data}, 5, 4, Runtime())


class Foreign:
    """A class that no model has."""

    def __init__(self) -> None:
        self.x = 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cca", "knows only the batches that it is fitted on"),
        ("coral", "is trained with the sources for each batch"),
        ("oracle", "knows only the batches that it is fitted on"),
    ],
)
def test_what_cannot_be_saved_says_why(name: str, why: str, tmp_path: Path) -> None:
    config = small_run(name, tmp_path, "save_model=true")
    study, data = load(config)
    with pytest.raises(CalibError, match=f"method={name} .*{why}"):
        make_run(config, study, data, parse_split("12_3", study))


def test_a_batch_that_cca_has_not_seen_is_refused(study: Study) -> None:
    task = make_task(study, parse_split("12_3", study))
    fitted = CorrectThenClassify(CCA(2, True), logistic()).fit(task, Runtime())
    with pytest.raises(CalibError, match="Batch 'later' was not there when the others were corrected"):
        fitted.predict_proba(replace(task.targets[0], name="later"))
