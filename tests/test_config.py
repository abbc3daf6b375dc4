"""Tests that no file or name can run code, leave its folder, or break out of the report page."""

import ast
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from calib.config import build
from calib.data.downloads import cached, locate
from calib.data.simulate import demo_study
from calib.data.split import parse_splits
from calib.data.study import Study
from calib.errors import CalibError, DamagedError, DataError
from calib.files import read_arrays, safe_name
from calib.records.record import correction_record, run_record
from calib.registry import KINDS, find, registered
from calib.report.assemble import write_report
from calib.report.exhibits import Table, write_table
from calib.runs.experiment import run
from calib.runs.planner import Job
from calib.runs.run import load, make_run
from tests.conftest import ROOT, compose, small_run
from tests.made_h5ad import write_h5ad
from tests.report.test_page import Read

SOURCES = sorted([*(ROOT / "calib").rglob("*.py"), *(ROOT / "scripts").glob("*.py"), ROOT / "run.py"])
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "tarfile"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.save", "joblib.load",
    "joblib.dump", "yaml.load", "yaml.unsafe_load", "pd.read_pickle", "pickle.load", "np.fromregex", "shutil.unpack_archive",
}  # fmt: skip
ARRAYS = {"np.load": 1, "np.save": 1, "np.savez": 1, "np.savez_compressed": 1}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_reads_what_can_run(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.partition(".")[0] for name in names} & FORBIDDEN
    for name, call in calls(tree):
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert name not in CALLS, f"{file.name}:{call.lineno}: {name}"
        assert options.get("shell") != "True"
        if name in ARRAYS:
            assert options.get("allow_pickle") == "False", f"{file.name}:{call.lineno}: {name}"


def test_a_pickle_in_an_archive_is_refused(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (ran,)

    file = tmp_path / "a.npz"
    np.savez(file, z=np.array([Evil()], dtype=object))
    with pytest.raises(DamagedError, match="Object arrays cannot be loaded"):
        read_arrays(file)
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DamagedError):
        read_arrays(file)
    assert not ran.exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "pathlib.Path",
        "hydra.utils.instantiate",
        "calib.config.hydra.utils.call",
        "calib.runs.experiment.torch.load",
        "calib.files.os.getcwd",
        "calib.records.provenance.subprocess.run",
        "calib.runs.experiment.log",
        "calib.methods.base.Method.__class__",
        "calib.data.study.Study.__subclasses__",
        "calib.records.record.Record.write_text",
        "calib.records.record.Record",
        "calib.records.corrections.Corrections",
        "calib.data.genes._store",
        "calib.data.downloads.locate",
        "calib.data.downloads.retrieve",
        "calib.data.figshare.locate_published",
        "calib.data.h5ad.read_h5ad",
        "calib.data.table_files.read_frame",
        "calib.files.remove_leftovers",
        "calib.files.write_whole",
        "calib.runs.cli.main",
        "calib.runs.experiment.run",
        "calib.runs.models.load_model",
        "calib.runs.predict.predict",
        "calib.config.build",
        "calib.config.compose",
        "calib.registry.add_folder",
        "calib.training.Schedule",
        "calib.runtime.Runtime",
        "calib.methods.base.Method",
        "hydra_plugins.calib_slurm.ArrayLauncher",
        "sklearn.tests.test_base.MyEstimator",
        "sklearn.utils._mocking.CheckingClassifier",
        "sklearn.utils._testing.assert_run_python_script_without_output",
        "sklearn.datasets.fetch_openml",
        "sklearn.base.warnings.warn",
        "calibrated.x",
        "sklearn_evil.x",
        "calib",
        "",
    ],
)
@pytest.mark.parametrize("place", ["top", "nested", "listed"])
def test_a_configuration_calls_nothing_else(target: str, place: str) -> None:
    evil = {"_target_": target}
    config = {
        "top": evil,
        "nested": {"_target_": "calib.methods.combat.ComBat", "epochs": {"deep": {"x": evil}}},
        "listed": {"_target_": "calib.methods.combat.ComBat", "epochs": [1, [evil]]},
    }[place]
    with pytest.raises(CalibError, match="is refused; only classes and functions of calib"):
        build(OmegaConf.create(config))


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_recursive_", "_convert_"])
def test_settings_have_no_other_special_key(key: str) -> None:
    with pytest.raises(CalibError, match=f"{key} is refused in settings"):
        build(OmegaConf.create({"_target_": "calib.methods.combat.ComBat", key: True}))


def test_every_file_of_the_configuration_registers_what_it_names() -> None:
    named = {name for name in registered() if name.startswith(("calib.", "sklearn."))}
    assert {find(name)[0] for name in named} == set(KINDS)
    of_hydra = {"hydra_plugins.calib_slurm.ArrayLauncher", "hydra_plugins.calib_sweeper.SafeSweeper"}
    assert registered() - named == of_hydra, "built by Hydra, never here"


def test_a_file_in_another_folder_of_the_command_line_registers_its_class(tmp_path: Path) -> None:
    """``--config-dir``: a class of calib that only the user's own YAML names; what is no part is still refused."""
    (tmp_path / "corrector").mkdir()
    target = "calib.methods.standardise.ByBatch"
    (tmp_path / "corrector" / "mine.yaml").write_text(f"_target_: {target}\n")
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "evil.yaml").write_text("_target_: calib.runs.cli.main\nname: x\n")
    with pytest.raises(CalibError, match=f"{target} is refused"):
        find(target)
    run_py = [sys.executable, str(ROOT / "run.py"), "--config-dir", str(tmp_path), f"out={tmp_path / 'out'}"]
    for overrides, sentence in (
        (["method=combat_logistic", "corrector@method.corrector=mine"], "abstract class ByBatch"),
        (["method=evil"], "calib.runs.cli.main is refused; only"),
    ):
        done = subprocess.run([*run_py, *overrides], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert sentence in done.stderr


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"_target_": "sklearn.pipeline.Pipeline", "steps": [], "memory": "cache"}, "memory=cache of"),
        ({"_target_": "sklearn.pipeline.Pipeline", "steps": [], "memory": ["cache"]}, "memory=cache of"),
        ({"_target_": "sklearn.svm.SVC", "kernel": "os.system"}, "kernel=os.system of sklearn.svm.SVC is refused"),
        ({"_target_": "sklearn.svm.SVC", "kernel": {"_target_": "calib.methods.combat.ComBat"}}, "it is a part"),
        ({"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "input": "/etc/passwd"}, "input=/etc/"),
        ({"_target_": "sklearn.preprocessing.FunctionTransformer", "func": "builtins.print"}, "func=builtins"),
    ],
)  # fmt: skip
def test_settings_of_an_estimator_name_no_file_and_no_function(settings: dict, sentence: str) -> None:
    with pytest.raises(CalibError, match=re.escape(sentence)):
        build(OmegaConf.create(settings))


def test_an_estimator_may_be_made_of_estimators() -> None:
    steps = [["scale", {"_target_": "sklearn.preprocessing.StandardScaler"}],
             ["svm", {"_target_": "sklearn.svm.SVC", "kernel": "rbf", "class_weight": "balanced"}]]  # fmt: skip
    made = build(OmegaConf.create({"_target_": "sklearn.pipeline.Pipeline", "steps": steps}))
    assert made.named_steps["svm"].kernel == "rbf"


def test_a_loader_is_never_a_part() -> None:
    loader = {
        "_target_": "calib.data.csv_per_batch.load_csv_study",
        "url": "http://127.0.0.1:9/",
        "files": {},
    }
    with pytest.raises(
        CalibError, match="it is a study loader, and only this is allowed in its place: method"
    ):
        build(OmegaConf.create({"_target_": "calib.methods.combat.ComBat", "parametric": loader}))
    with pytest.raises(CalibError, match="it is a part, and only this is allowed in its place: nothing"):
        build(OmegaConf.create({**loader, "files": {"_target_": "calib.methods.combat.ComBat"}}))


def test_estimators_of_scikit_learn_may_be_called() -> None:
    made = build(OmegaConf.create({"_target_": "sklearn.linear_model.LogisticRegression", "C": 2.0}))
    assert made.C == 2.0


OUTSIDE = ("../x", "../../x", "/etc/x", "..", ".", "", "a/../../x", "x\x00y", "a\nb", "~", "-rf", "con" * 99)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_stay_in_the_output_folder(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in (run_record(out, name, name, name, "k").path, correction_record(out, name, name, "k").path):
        assert path.resolve().is_relative_to(out.resolve())
        assert len(path.relative_to(out).parts) in (3, 4)
    assert safe_name(name)
    assert not set(safe_name(name)) & set("/\\\0\n")


def test_a_study_called_dots_writes_nowhere_else(tmp_path: Path) -> None:
    run(small_run("baseline", tmp_path / "a" / "b", "dataset.name=../../../evil"))
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b"}


@pytest.mark.parametrize("path", ["../x.csv", "a/../../x.csv", "/x/../../y.csv"])
def test_a_download_stays_in_the_cache(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIB_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="outside the cache|does not exist"):
        locate(path, url="http://127.0.0.1:9/x.csv")
    with pytest.raises(DataError, match="outside the cache"):
        cached(path)


NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\input{/etc/passwd}$",
    "a|b\nc",
    "../up",
)


def odd_study(**settings: object) -> Study:
    """Return the demo study with names that are code."""
    study = demo_study(**{**settings, "name": "demo"})
    batches = [
        replace(batch, name=name, subject=np.array([f"{NAMES[0]}{s}" for s in batch.subject]))
        for name, batch in zip(NAMES, study.batches.values(), strict=False)
    ]
    features = [f"{NAMES[i % 5]}{i}" for i in range(len(study.features))]
    return Study(NAMES[0], {b.name: b for b in batches}, features, [NAMES[1], NAMES[0]], study.n_sources)


@pytest.mark.slow
def test_names_from_data_are_shown_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd_study.__module__ = demo_study.__module__  # otherwise the configuration may not call it
    monkeypatch.setattr("calib.data.simulate.demo_study", odd_study)
    jobs = []
    for method in ("joint", "baseline"):
        config = small_run(method, tmp_path)
        study, data = load(config)
        (split,) = parse_splits(config.split, study)
        run(config)
        jobs.append(Job((f"method={method}",), "", make_run(config, study, data, split)))
    assert len(list(tmp_path.glob("runs/*/*/*/result.json"))) == 2
    raw = build(small_run("joint", tmp_path).dataset)
    page = write_report(jobs, {study.name: raw}, tmp_path, 1, {f"{NAMES[1]}": NAMES[0]})
    read = Read(page)  # Read refuses attributes such as onerror
    assert read.tags["script"] == 1  # its own
    assert NAMES[0] in read.text
    assert all(source.startswith("data:image/webp") for source in read.sources)
    assert not list(tmp_path.parent.glob("up*"))
    for file in (tmp_path / "report").rglob("*.md"):
        assert "<script" not in file.read_text()
        assert "<img" not in file.read_text()


def test_names_in_tables_of_text(tmp_path: Path) -> None:
    table = Table("t", NAMES[0], NAMES[1], list(NAMES), [list(NAMES)], pd.DataFrame({"x": [NAMES[0]]}))
    write_table(table, tmp_path)
    shown = (tmp_path / "t.md").read_text()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script>alert(1)" in shown
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {line.replace(r"\|", "").count("|") for line in rows} == {6}
    assert r"\input" not in (tmp_path / "t.tex").read_text()
    assert "x\n<script" in pd.read_csv(tmp_path / "t.csv").to_csv(index=False)


def test_objects_in_an_h5ad_file_are_text_or_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    file = tmp_path / "a.h5ad"
    obs = {"batch": list("aabb"), "label": list("xyxy")}
    write_h5ad(file, obs, ["f", "g"], np.ones((4, 2)))
    with h5py.File(file, "a") as h5:
        kept = dict(h5["X"].attrs)
        del h5["X"]
        h5.create_dataset("X", data=np.array([["1", "evil"]] * 4, object), dtype=h5py.string_dtype())
        h5["X"].attrs.update(kept)
    overrides = ["dataset=h5ad", f"dataset.path={file}", "dataset.batch=batch", "dataset.label=label"]
    with pytest.raises(DataError, match="X holds no numbers"):
        build(compose(*overrides).dataset)


def test_a_record_holds_text_numbers_and_archives_of_arrays(tmp_path: Path) -> None:
    run(small_run("joint", tmp_path, "save_model=true"))
    (folder,) = tmp_path.glob("runs/*/*/*")
    kinds = {file.suffix for file in folder.iterdir()}
    assert kinds == {".yaml", ".csv", ".npz", ".log", ".json"}
    for file in folder.glob("*.npz"):
        assert {array.dtype.kind for array in read_arrays(file).values()} <= set(
            "fiubU"
        )  # numbers, flags and text, no pickled object
    json.loads((folder / "result.json").read_text())
