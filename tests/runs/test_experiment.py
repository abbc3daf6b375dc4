"""Every method's runs and records, and that no method sees a target label."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

import calib.records.record
import calib.runs.experiment
import calib.runs.outcome
from calib.config import build
from calib.data.simulate import demo_study
from calib.data.split import parse_splits
from calib.data.study import Study
from calib.errors import CalibError, DivergedError
from calib.methods.combat import ComBat
from calib.methods.discriminator import DiscriminatorClassifier
from calib.records.record import run_record
from calib.report.results import result_rows
from calib.runs.experiment import run
from calib.runs.run import load, make_run
from calib.runs.selection import selection
from tests.conftest import METHODS, compose, small_run


def record(out: Path) -> Path:
    (result,) = out.glob("runs/*/*/*/result.json")
    return result.parent


def settings_of(node: DictConfig) -> set[str]:
    """Return the names of a method's settings, those of its parts included."""
    values = {key: value for key, value in node.items() if key != "card"}
    parts = [value for value in values.values() if isinstance(value, DictConfig)]
    return {str(key) for key in values}.union(*map(settings_of, parts))


FILES = ("predictions.csv", "history.csv", "mmd.csv", "embedding.npz")


def check_record(name: str, folder: Path, result: dict[str, Any], out: Path) -> None:
    """Check the files and the values of a record."""
    assert folder.name == f"{name}-{result['key']}"
    assert folder.parent == out / "runs" / "demo" / "12_3"
    assert {file.name for file in folder.iterdir()} == {
        *("config.yaml", "history.csv", "predictions.csv", "predictions_subjects.csv"),
        *("mmd.csv", "embedding.npz", "run.log", "result.json"),
    }
    assert json.loads((folder / "result.json").read_text()) == json.loads(json.dumps(result))
    assert result["targets"]["3"]["n"] == 36
    assert result["targets"]["3"]["subject"]["n"] == 9
    assert result["mean"]["accuracy"] == result["targets"]["3"]["accuracy"]
    for metric in ("accuracy", "f_score", "auc", "auc_hard", "mcc"):
        assert -1 <= result["targets"]["3"][metric] <= 1
    assert result["class_counts"]["3"] == {"control": 20, "case": 16}
    assert result["unseen_classes"] == {}
    assert result["training"] == "as_printed"
    assert set(result["mmd"]) == {"before", "after"}
    assert result["mmd"]["after"]["fixed"]["widths"] == "1 2 4 8 16"
    assert result["selection"] == selection(small_run(name, out)).rule
    for key in ("versions", "hardware", "git", "data_sha256", "seconds", "peak_memory_mb", "chosen_by"):
        assert key in result

    predictions = pd.read_csv(folder / "predictions.csv")
    assert list(predictions) == [
        "study",
        "batch",
        "row",
        "subject",
        "label",
        "predicted",
        "p_control",
        "p_case",
    ]
    np.testing.assert_allclose(predictions[["p_control", "p_case"]].sum(axis=1), 1, rtol=1e-6)
    assert (predictions["label"] == predictions["predicted"]).mean() == result["mean"]["accuracy"]
    subjects = pd.read_csv(folder / "predictions_subjects.csv")
    assert len(subjects) == 9
    right = (subjects["label"] == subjects["predicted"]).mean()
    assert right == pytest.approx(result["targets"]["3"]["subject"]["accuracy"])
    with np.load(folder / "embedding.npz", allow_pickle=False) as embedding:
        assert embedding["z"].dtype == np.float32
        assert len(embedding["z"]) == len(embedding["batch"]) == len(embedding["row"]) == 32 + 24 + 36
    history = pd.read_csv(folder / "history.csv")
    if "epochs" in settings_of(small_run(name, out).method):
        assert history["epoch"].max() >= 2, (
            "a method with a setting `epochs` reports its losses: runtime.report"
        )
    else:
        assert history.empty
    assert OmegaConf.load(folder / "config.yaml").method.name == name


def check_same_bytes(one: Path, other: Path) -> None:
    """Check that two records hold the same bytes."""
    for file in FILES:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


@pytest.mark.parametrize("name", METHODS)
def test_a_run_of_every_method(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recorded, gives the same bytes again, depends on the seed as it says, and on no target label."""
    torch.manual_seed(0)
    (result,) = run(config := small_run(name, tmp_path / "a"))
    folder = record(tmp_path / "a")
    check_record(name, folder, result, tmp_path / "a")

    torch.manual_seed(1)  # results do not depend on global state
    np.random.seed(1)  # noqa: NPY002
    run(OmegaConf.merge(config, {"out": str(tmp_path / "b")}))
    check_same_bytes(folder, record(tmp_path / "b"))

    run(OmegaConf.merge(config, {"out": str(tmp_path / "c"), "seed": 1}))
    differs = (record(tmp_path / "c") / FILES[0]).read_bytes() != (folder / FILES[0]).read_bytes()
    assert differs == result["uses_seed"], "see uses_seed of the method's parts"

    def shuffled(**settings: object) -> Study:
        study = demo_study(**settings)
        target = study.batches["3"]
        y = np.random.default_rng(0).permutation(target.y)
        return replace(study, batches=study.batches | {"3": replace(target, y=y, subject=None)})

    shuffled.__module__ = demo_study.__module__  # or the configuration may not call it
    monkeypatch.setattr("calib.data.simulate.demo_study", shuffled)
    run(OmegaConf.merge(config, {"out": str(tmp_path / "shuffled")}))
    columns = ["predicted", "p_control", "p_case"]
    true, false = (pd.read_csv(record(tmp_path / kind) / FILES[0])[columns] for kind in ("a", "shuffled"))
    if name != "known_mix_logistic":  # it knows the classes' shares alone, which stay as they are
        assert true.equals(false) != result["uses_target_labels"]


@pytest.mark.parametrize(
    "name", ["joint", "recon_t", "pairwise", "joint_plus", "baseline", "cross_validation", "adabn"]
)
def test_same_bytes_under_the_released_protocol(name: str, tmp_path: Path) -> None:
    for folder in "ab":
        run(small_run(name, tmp_path / folder, "protocol=released"))
    check_same_bytes(record(tmp_path / "a"), record(tmp_path / "b"))


def test_a_finished_run_comes_from_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_run("joint", tmp_path)
    (first,) = run(config)
    with monkeypatch.context() as patch:
        patch.setattr(calib.runs.experiment, "carry_out", lambda _: pytest.fail("the run was made again"))
        (second,) = run(config)
        elsewhere = OmegaConf.merge(config, {"threads": 2, "progress": False})  # cannot change a result
        (third,) = run(elsewhere)
    assert first["key"] == second["key"] == third["key"]
    before = (record(tmp_path) / "result.json").stat().st_mtime_ns
    run(OmegaConf.merge(config, {"force": True}))
    assert (record(tmp_path) / "result.json").stat().st_mtime_ns > before


def test_whatever_can_change_a_result_changes_the_key(tmp_path: Path) -> None:
    changes = [
        "seed=1",
        "protocol=released",
        "method.lr=0.01",
        "dtype=float64",
        "dataset.seed=1",
        "split='13_2'",
    ]
    changes += [
        "protocol=paper protocol.transform=arcsinh",
        "protocol.batch_scale=standardise",
        "protocol.residual=activated",
        "protocol.mmd_pairs=sum_ordered",
        "protocol.kernel_widths=[1,2]",
        "protocol.class_loss_over_sources=sum",
        "protocol.redraw_each_repetition=false",
        "protocol.optimizer=per_step",
        "protocol.calibrator_test_statistics=own",
        "method.alpha1=9",
    ]
    keys = {change: key_of("joint", tmp_path, *change.split()) for change in ["", *changes]}
    assert len(set(keys.values())) == 1 + len(changes)


def key_of(method: str, out: Path, *overrides: str) -> str:
    config = small_run(method, out, *overrides)
    study, data = load(config)
    (split,) = parse_splits(config.split, study)
    return make_run(config, study, data, split).key


def test_what_cannot_change_a_result_leaves_the_key(tmp_path: Path) -> None:
    changes = ["protocol.reported_auc=auc_hard", "protocol.cv_folds=4", "method.alpha1=10.0", "threads=2"]
    assert len({key_of("joint", tmp_path, *change.split()) for change in ["", *changes]}) == 1
    folds = [
        "cross_validation",
        tmp_path,
        "method.folds=${protocol.cv_folds}",
    ]  # as without the card's `fast`
    assert key_of(*folds, "protocol.cv_folds=3") != key_of(*folds, "protocol.cv_folds=4")


@pytest.mark.parametrize("part", [ComBat, DiscriminatorClassifier])
def test_a_new_version_of_a_part_changes_the_key(
    part: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of("combat", tmp_path)
    monkeypatch.setattr(part, "version", 2)
    assert key_of("combat", tmp_path) != before


def test_all_splits_in_one_run(tmp_path: Path) -> None:
    results = run(small_run("baseline", tmp_path, "split=all"))
    assert [result["split"] for result in results] == ["12_3", "13_2", "23_1"]
    rows = [row for result in results for row in result_rows(result)]
    assert [row["split"] for row in rows] == ["12_3", "13_2", "23_1"]
    assert [row["accuracy"] for row in rows] == [result["mean"]["accuracy"] for result in results]


def test_a_diverged_run_leaves_its_error_and_no_result(tmp_path: Path) -> None:
    config = small_run("joint", tmp_path, "method.lr=1e30", "method.epochs=20")
    with pytest.raises(
        DivergedError, match=r"no longer a finite number in epoch \d+ \(.*L_R .*lower the learning rate"
    ):
        run(config)
    (error,) = tmp_path.glob("runs/*/*/*/error.txt")
    assert "DivergedError" in error.read_text()
    assert not list(tmp_path.rglob("result.json"))
    run(small_run("joint", tmp_path))  # another run is not disturbed
    with pytest.raises(DivergedError):
        run(config)  # a failure is never cached


def test_a_divergence_in_the_last_update_is_noticed(tmp_path: Path) -> None:
    lr = "method.classifier.lr=1e30"
    with pytest.raises(DivergedError, match=r"no numbers .*lower the learning rate|no longer"):
        run(
            small_run(
                "baseline", tmp_path, lr, "method.classifier.epochs=1", "method.classifier.batch_size=24"
            )
        )
    assert not list(tmp_path.rglob("result.json"))


def test_a_forced_run_that_fails_leaves_the_finished_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small_run("joint", tmp_path))
    (folder,) = tmp_path.glob("runs/*/*/*")
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    monkeypatch.setattr(calib.runs.outcome, "batch_distances", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(small_run("joint", tmp_path, "force=true"))
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert (folder / ".next" / "error.txt").is_file()


def test_a_target_without_labels_is_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlabelled(**settings: object) -> Study:
        study = demo_study(**settings)
        return replace(study, batches=study.batches | {"3": replace(study.batches["3"], y=None)})

    unlabelled.__module__ = demo_study.__module__  # or the configuration may not call it
    monkeypatch.setattr("calib.data.simulate.demo_study", unlabelled)
    (result,) = run(small_run("joint", tmp_path))
    assert result["targets"]["3"]["n"] == 36
    assert result["mean"]["accuracy"] is None
    predictions = pd.read_csv(record(tmp_path) / "predictions.csv")
    assert predictions["label"].isna().all()
    assert predictions["predicted"].isin(["control", "case"]).all()
    assert [row["accuracy"] for row in result_rows(result)] == [None]


def test_the_record_names_its_own_split(tmp_path: Path) -> None:
    run(small_run("baseline", tmp_path, "split=all"))
    written = [OmegaConf.load(file).split for file in tmp_path.rglob("config.yaml")]
    assert sorted(written) == ["12_3", "13_2", "23_1"]


def test_a_batch_smaller_than_the_minibatch_trains(tmp_path: Path) -> None:
    (result,) = run(small_run("joint", tmp_path, "method.batch_size=30"))  # batch 2 has 24 rows
    history = pd.read_csv(record(tmp_path) / "history.csv")
    assert history["L_D"].is_unique
    assert result["targets"]["3"]["accuracy"] is not None


def test_output_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CalibError, match="cannot be written to .*; make room or choose another with out="):
        run(small_run("joint", tmp_path / "file"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(calib.records.record, "write_archive", full)
        with pytest.raises(CalibError, match="No space left on device"):
            run(small_run("joint", tmp_path / "full"))
    assert not list((tmp_path / "full").rglob("result.json"))
    assert not list((tmp_path / "full").rglob(".*"))


def test_bad_settings_are_named_before_anything_is_written(tmp_path: Path) -> None:
    for override, message in (
        ("device=cuda:99", "device=cuda:99 cannot be used on this machine; set device=cpu"),
        ("device=typo", "device=typo is no device; set device=cpu"),
        ("device=meta", "device=meta cannot be used on this machine"),
        ("dtype=bfloat16", "dtype=bfloat16 is not one of: float32, float64; did you mean 'float64'"),
        ("seed=5000000000", "seed=5000000000 must be at most 4294967295."),
        ("threads=1.5", "threads=1.5 must be a whole number"),
        ("force=no", "force=no is not one of: true, false"),
        ("method.reconstruct_targets=no", "reconstruct_targets=no is not one of: true, false"),
        ("method.dropout=1.5", "dropout=1.5 must be below 1"),
        ("protocol.optimizer=one", "optimizer=one is not one of: per_step, shared"),
        ("split='12_4'", "has no batch 4"),
        ("protocol.kernel_widths=[]", "kernel_widths must be positive numbers"),
        ("+method.classifier=7", "unexpected keyword argument 'classifier'"),
    ):
        with pytest.raises(CalibError) as error:
            run(small_run("joint", tmp_path, override))
        assert message in str(error.value)
    with pytest.raises(CalibError, match="folds=1 must be a whole number of at least 2"):
        run(small_run("cross_validation", tmp_path, "method.folds=1"))
    grouped = ["protocol.cv_group_by_subject=true", "method.folds=6"]
    with pytest.raises(CalibError, match=r"class with 4 subjects, too few for 6 folds"):
        run(small_run("cross_validation", tmp_path, *grouped))
    with pytest.raises(CalibError, match=r"class with 16 samples, too few for 40 folds"):
        run(small_run("cross_validation", tmp_path, "method.folds=40"))
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "calibrated.x", "calib.files.os.getcwd"])
def test_a_configuration_may_only_call_this_package(target: str) -> None:
    with pytest.raises(CalibError, match=f"_target_: {target} is refused"):
        build(OmegaConf.create({"_target_": "calib.methods.combat.ComBat", "epochs": {"_target_": target}}))


def test_folds_by_subject_keep_replicates_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[set[float]] = []
    fit = DiscriminatorClassifier.fit

    def watched(self: DiscriminatorClassifier, sources: list, *rest: object) -> object:
        trained.append(set(sources[0].x[:, 0].tolist()))
        return fit(self, sources, *rest)

    monkeypatch.setattr(DiscriminatorClassifier, "fit", watched)
    config = small_run("cross_validation", tmp_path, "protocol.cv_group_by_subject=true")
    run(config)
    target = load(config)[0].batches["3"]
    for subject in np.unique(target.subject):
        rows = set(target.x[target.subject == subject, 0].tolist())
        assert [len(rows & fold) for fold in trained].count(len(rows)) == 2  # in two folds of three, whole
        assert [len(rows & fold) for fold in trained].count(0) == 1


def test_tuned_values_follow_study_and_method() -> None:
    mi, chd = compose("dataset=mi").method, compose("dataset=chd").method
    assert (mi.epochs, mi.lr, mi.lambda1) == (100, 1e-3, 1)
    assert (chd.epochs, chd.lr, chd.lambda1) == (50, 1e-4, 4)
    for method in (mi, chd, compose("dataset=chd", "method=recon_t").method):
        weights = [method.alpha1, method.beta, method.alpha2, method.gamma, method.lambda2]
        assert weights == [10, 10, 10, 0.01, 1]
        assert (method.batch_size, method.weight_decay, method.learning_step) == (128, 5e-5, 10000)
    assert compose("dataset=chd", "method=recon_t").method.lambda1 == 4
    for study, epochs in (("mi", 100), ("chd", 50)):
        classifier = compose(f"dataset={study}", "method=baseline").method.classifier
        assert (classifier.epochs, classifier.lr) == (epochs, 1e-4)
        folds = compose(f"dataset={study}", "method=cross_validation").method.classifier
        assert (folds.epochs, folds.lr, folds.learning_step) == (10, 1e-3, 100)
    assert compose("dataset=mi", "method.lr=7").method.lr == 7  # the command line has the last word


def test_training_values_beside_the_paper() -> None:
    for study in ("pancreas", "pancreas_mini"):
        printed = compose(f"dataset={study}").method
        assert (printed.epochs, printed.lr, printed.gamma, printed.lambda1) == (55, 5e-6, 0.1, 1)
        classifier = compose(f"dataset={study}", "method=combat").method.classifier
        assert (classifier.epochs, classifier.lr, classifier.batch_size) == (50, 1e-5, 128)
        corrector = compose(f"dataset={study}", "method=normae").method.corrector
        assert (corrector.pretrain_epochs, corrector.adversary_epochs, corrector.epochs) == (100, 50, 100)
        for name in ("joint", "recon_t"):
            converged = compose(f"dataset={study}", f"method={name}", "training=converged")
            assert converged.training == "converged"
            assert converged.method.lr == 1e-3
    with pytest.raises(
        CalibError, match="training=converged changes nothing for dataset=demo with method=joint"
    ):
        run(compose("training=converged"))


def test_an_unknown_class_is_an_error_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="calib")

    def three(**settings: object) -> Study:
        study = demo_study(**settings)
        y = study.batches["3"].y.copy()
        y[:5] = 2
        target = replace(study.batches["3"], y=y, subject=None)
        return replace(study, batches=study.batches | {"3": target}, classes=["control", "case", "new"])

    three.__module__ = demo_study.__module__  # or the configuration may not call it
    monkeypatch.setattr("calib.data.simulate.demo_study", three)
    (result,) = run(small_run("joint", tmp_path, "method.epochs=60", "method.lr=0.01"))
    assert result["unseen_classes"] == {"3": {"new": 5}}
    assert result["targets"]["3"]["accuracy"] <= 31 / 36
    assert (
        "no source has; their samples count as errors: 5 new." in (record(tmp_path) / "run.log").read_text()
    )


def test_names_become_safe_folders(tmp_path: Path) -> None:
    path = run_record(tmp_path, "../evil", "a b:c", "m", "k").path
    assert path.parent.parent.parent == tmp_path / "runs"
    assert path.resolve().is_relative_to(tmp_path.resolve())
    other = run_record(tmp_path, "../evil", "a b;c", "m", "k").path
    assert path != other
