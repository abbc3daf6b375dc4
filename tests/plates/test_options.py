"""The words of ``calib answer`` and ``calib check``."""

from pathlib import Path

import pytest

from calib.config import compose
from calib.errors import CalibError
from calib.plates.methods import compared, estimator_settings
from calib.plates.options import parse
from calib.registry import CONF

COMMAND = "calib answer"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "my cohort.csv"
    made.write_text("plate,diagnosis\n")
    return made


def test_words_of_a_study_become_its_settings(file: Path, tmp_path: Path) -> None:
    request = parse(
        [str(file), "batch=plate", "label=the label", "ignore=a,b", "positive=1", "n_sources=1", "device=cuda",
         "protocol.transform=log2", "error=.05", "prevalence=.1,.2", "methods=all", f"out={tmp_path}", "--strict"],
        COMMAND,
    )  # fmt: skip
    config = compose(CONF, *request.overrides, *request.settings)
    assert config.dataset.path == str(file)
    assert config.dataset.name == request.name == "my cohort"
    assert (config.dataset.batch, config.dataset.label) == ("plate", "the label")
    assert (config.dataset.ignore, config.dataset.positive) == (["a", "b"], 1)
    assert (config.device, config.protocol.transform) == ("cuda", "log2")
    assert (request.error, request.prevalences, request.methods) == (0.05, (0.1, 0.2), "all")
    assert request.strict
    assert request.folder == tmp_path
    assert request.command.startswith("calib answer '")  # as a shell takes it again


@pytest.mark.parametrize(
    "name", ["plate", "the plate", "it's", "a,b", "x=y", "1", "01", "${x}", "ü", "a:b", "[1]"]
)
def test_a_column_may_have_any_name(file: Path, name: str) -> None:
    if "," in name or name == "[1]":  # a list of names, as in a YAML file
        name = f'"{name}"'
    config = compose(CONF, *parse([str(file), f"batch={name}", "label=y"], COMMAND).overrides)
    assert str(config.dataset.batch) == name.strip('"')


def test_files_of_a_kind_are_one_study(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b's.csv")]
    for one in files:
        one.write_text("x\n")
    config = compose(CONF, *parse([*map(str, files), "batch=null", "label=y"], COMMAND).overrides)
    assert config.dataset.path == list(map(str, files))
    assert config.dataset.batch is None


def test_kinds_of_files_and_studies_by_name(tmp_path: Path) -> None:
    made = tmp_path / "cells.h5ad"
    made.write_bytes(b"")
    assert parse([str(made), "batch=a", "label=b"], COMMAND).overrides[0] == "dataset=h5ad"
    assert parse(["dataset=mi"], COMMAND).overrides == ("dataset=mi",)
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(
        "defaults: [table, _self_]\nname: mine\npath: x.csv\nbatch: plate\n"
    )
    found = parse(["dataset=mine", f"config_dir={tmp_path}", "label=y"], COMMAND)
    config = compose(CONF, *found.overrides)
    assert (config.dataset.path, config.dataset.batch, config.dataset.label) == ("x.csv", "plate", "y")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs a file, such as: calib answer cohort.csv"),
        (["nowhere.csv"], "There is no file nowhere.csv"),
        (["FILE.x"], "did you mean 'my cohort.csv'"),
        (["FILE", "batch=plate"], "Say which column holds the diagnosis: label=<column>."),
        (
            ["FILE"],
            "Say which column holds the plate (batch=null: every file is one) and which the diagnosis",
        ),
        (["FILE", "bach=plate"], "bach=plate is no setting of calib answer; did you mean 'batch'"),
        (["FILE", "batch=a", "batch=b"], "batch= is given twice, 'a' and 'b'"),
        (["FILE", "error=2"], "error=2 is no share between 0 and 1"),
        (["FILE", "jobs=none"], "jobs=none is no whole number above 0"),
        (["FILE", "why=perhaps"], "why=perhaps is neither true nor false"),
        (["FILE", "--strct"], "There is no flag --strct; did you mean '--strict'"),
        (["FILE", "dataset=mi"], "got dataset=mi and the file"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(file: Path, words: list[str], said: str) -> None:
    with pytest.raises(CalibError, match="^[^\n]*$") as refused:
        parse([word.replace("FILE", str(file)) for word in words], COMMAND)
    assert said in str(refused.value)


def test_no_calibration_is_always_compared() -> None:
    assert [one.name for one in compared("combat,standardise_network")] == [
        "none",
        "combat",
        "standardise_network",
    ]
    assert len(compared("fast")) == 13
    assert [one.name for one in compared("fast,joint_plus")] == [
        *(one.name for one in compared("fast")),
        "joint_plus",
    ]
    every = [one.name for one in compared("all")]
    assert len(every) == len(set(every)) > 40
    assert not {"oracle", "cross_validation", "shuffled_labels", "known_mix_logistic"} & set(every)


def test_methods_that_are_none_are_refused() -> None:
    with pytest.raises(CalibError, match=r"joint_plos is no method; did you mean 'joint_plus'"):
        compared("joint_plos")
    with pytest.raises(CalibError, match="oracle needs labels that blank plates do not have"):
        compared("oracle")


@pytest.mark.parametrize("one", compared("fast"), ids=lambda one: one.name)
def test_a_compared_method_is_the_same_in_a_notebook(one: object) -> None:
    from calib.estimators.settings import configured
    from calib.runs.run import method_settings

    method, settings = estimator_settings(one.overrides)  # type: ignore[attr-defined]
    protocol = settings.pop("protocol", "paper")
    config = compose(CONF, "dataset=table", "dataset.path=arrays", *one.overrides)  # type: ignore[attr-defined]
    assert method_settings(configured(method, protocol, settings)) == method_settings(config)


def test_a_look_takes_no_methods(file: Path) -> None:
    with pytest.raises(CalibError, match="methods= has no effect on calib check"):
        parse([str(file), "batch=a", "label=b", "methods=all"], "calib check")
