"""The command line as people type it: spellings, launchers, exit codes, one sentence for an error."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from calib.runs.cli import expand_all, main, quote_splits
from calib.runs.experiment import run
from tests.conftest import CONF, METHODS, ROOT, SMALL, compose, fast

TINY = [*SMALL, *fast("joint")]


@dataclass
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Calls the command line in this process, as ``python run.py ...`` would."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        code, message = 0, ""
        try:
            main(run, CONF)
        except SystemExit as stop:  # a text is printed and means 1
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            message = stop.code if isinstance(stop.code, str) else ""
        out, err = capfd.readouterr()
        return Done(code, out, f"{err}{message}\n")

    return call


def splits(out: Path) -> list[str]:
    return sorted(json.loads(f.read_text())["split"] for f in out.glob("runs/*/*/*/result.json"))


@pytest.mark.parametrize(
    ("typed", "rewritten"),
    [
        ("split=12_3", "split='12_3'"),
        ("split=12_3,13_2", "split='12_3','13_2'"),
        ("split=12_34,13_24,14_23", "split='12_34','13_24','14_23'"),
        ("split='12_3'", "split='12_3'"),
        ('split="12_3"', 'split="12_3"'),
        ("split='12_3','13_2'", "split='12_3','13_2'"),
        ("split=choice(12_3,13_2)", "split='12_3','13_2'"),
        ("split=choice(12_3, '13_2')", "split='12_3','13_2'"),
        ("++split=12_3", "++split='12_3'"),
        ("split=plate_1+plate_2:plate_3", "split=plate_1+plate_2:plate_3"),
        ("split=1_2+2_3:3_4", "split=1_2+2_3:3_4"),
        ("split=all", "split=all"),
        ("seed=12_3", "seed=12_3"),
        ("split=a:x-1_2,12_3", "split=a:x-1_2,'12_3'"),
        ("split='a 1_2+b:c'", "split='a 1_2+b:c'"),
        ("split='a,12_3:c',\"it's,1_2:b\"", "split='a,12_3:c',\"it's,1_2:b\""),
        ("split='it\\'s,12_3:c'", "split='it\\'s,12_3:c'"),
        ("split=it's:12_3", "split=it's:12_3"),
        ("split='${x}+b:c'", "split='\\${x}+b:c'"),
        ("split='\\${x}+b:c'", "split='\\${x}+b:c'"),
        ("split=${oc.env:SPLIT}", "split=${oc.env:SPLIT}"),
    ],
)
def test_splits_are_quoted(typed: str, rewritten: str) -> None:
    assert quote_splits([typed]) == [rewritten]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "split=all"], ["-m", "split='12_3','13_2','23_1'"]),
        (["--multirun", "split=all", "dataset.n_sources=1"], "split='1_23','2_13','3_12'"),
        (["-m", "split=all", "seed=0,1"], "split='12_3','13_2','23_1'"),
        (["split=all"], ["split=all"]),
        (["-m", "split=all", "dataset=demo,mi"], "split=all"),
        (["-m", "split='12_3'"], ["-m", "split='12_3'"]),
    ],
)
def test_all_is_written_out_for_a_sweep(arguments: list[str], expected: Sequence[str] | str) -> None:
    got = expand_all(arguments, CONF)
    assert (got == expected) if isinstance(expected, list) else (expected in got)


@pytest.mark.parametrize(
    ("spelling", "launcher", "made"),
    [
        (["split=13_2"], None, ["13_2"]),
        (["split='13_2'"], None, ["13_2"]),
        (["split=1+3:2"], None, ["13_2"]),
        (["split=all"], None, ["12_3", "13_2", "23_1"]),
        (["-m", "split=12_3,13_2"], "basic", ["12_3", "13_2"]),
        (["-m", "split=12_3,13_2"], "joblib", ["12_3", "13_2"]),
        (["-m", "split=choice(12_3,23_1)"], "joblib", ["12_3", "23_1"]),
        (["-m", "split=1+2:3,1+3:2"], "basic", ["12_3", "13_2"]),
        (["-m", "split=all"], "joblib", ["12_3", "13_2", "23_1"]),
        (["split=all", "-m"], "basic", ["12_3", "13_2", "23_1"]),
        (["-m", "split=all", "dataset.seed=1,2"], "basic", ["12_3", "12_3", "13_2", "13_2", "23_1", "23_1"]),
    ],
)
def test_every_spelling_under_every_launcher(
    spelling: list[str], launcher: str | None, made: list[str], tmp_path: Path, call: Callable[..., Done]
) -> None:
    chosen = [f"hydra/launcher={launcher}"] if launcher else []
    done = call(*spelling, *chosen, f"out={tmp_path}", *TINY)
    assert done.code == 0, done.err
    assert splits(tmp_path) == made
    assert "subjects" in done.out
    assert str(tmp_path) in done.out
    assert not list(ROOT.glob("multirun*"))


def test_launchers_write_the_same_bytes(tmp_path: Path, call: Callable[..., Done]) -> None:
    written = []
    for launcher in ("basic", "joblib"):
        out = tmp_path / launcher
        done = call("-m", "split=all", f"hydra/launcher={launcher}", f"out={out}", *TINY)
        assert done.code == 0, done.err
        files = sorted(out.rglob("predictions.csv"))
        written.append({str(file.relative_to(out)): file.read_bytes() for file in files})
    assert len(written[0]) == 3
    assert written[0] == written[1]


def test_a_sweep_over_methods_seeds_and_hyper_parameters(tmp_path: Path, call: Callable[..., Done]) -> None:
    done = call("-m", "method=joint,recon_t", "seed=0,1", "method.gamma=0.01,0.1", f"out={tmp_path}", *TINY)
    assert done.code == 0, done.err
    assert len(splits(tmp_path)) == 8


def test_a_named_search(tmp_path: Path, call: Callable[..., Done]) -> None:
    done = call(
        "-m", "+search=weights_grid", "method.epochs=1", "hydra/launcher=basic", f"out={tmp_path}", *SMALL
    )
    assert done.code == 0, done.err
    assert len(splits(tmp_path)) == 18


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["method=jont"], "method=jont is unknown; did you mean 'joint'?"),
        (["dataset=MI"], "dataset=MI is unknown; did you mean 'mi'?"),
        (["method.epoch=3"], "no key 'method.epoch'; did you mean 'method.epochs'?"),
        (["sed=3"], "no key 'sed'; did you mean 'seed'?"),
        (["split=12_5"], "study 'demo' has no batch 5. It has: 1 = '1', 2 = '2', 3 = '3'."),
        (["split=123"], "lost its underscore"),
        (["split=12_3,13_2"], "add -m to run several values in turn"),
        (["dataset=table", "dataset.path=a,b.csv"], "write 'dataset.path=\"a,b.csv\"' for one value with a comma"),
        (["dataset=table", "dataset.path=a=b.csv"], "has to stand in quotes; write it as 'dataset.path=\"a=b.csv\"'"),
        (["dataset=table", "dataset.path=/x/\u00e4 (1).csv"], "write it as 'dataset.path=\"/x/\u00e4 (1).csv\"'"),
        (["dataset.subjects=[-1,4,4]"], "dataset.subjects=-1 must be a whole number of at least 1"),
        (["dataset.features=-3"], "dataset.features=-3 must be a whole number of at least 1"),
        (["method.lr="], "lr= must be a number of at least 0"),
        (["threads=0"], "threads=0 must be a whole number of at least 1"),
        (["method.epochs=0.5"], "epochs=0.5 must be a whole number of at least 1"),
        (["protocol.residual=none"], "residual=none is not one of: normalised, activated"),
        (["method.lr=1e30"], "lower the learning rate"),
        (["out=/proc/nowhere"], "cannot be written to"),
        (["out=null"], "out=null must be one name"),
        (["dataset=table", "dataset.classes={'null':a,b:c}"], "dataset.classes={null:a,b:c} is of another kind than"),
        (["dataset=mi", "dataset.files.1.path=/nowhere/1.csv"], "/nowhere/1.csv does not exist"),
    ],
)  # fmt: skip
def test_a_users_error_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, call: Callable[..., Done]
) -> None:
    small = SMALL if "dataset=" not in arguments[0] else []
    small = [one for one in small if not any(one.partition("=")[0] in a for a in arguments)]
    out = [] if arguments[0].startswith("out=") else [f"out={tmp_path}"]
    done = call(*arguments, *out, *small)
    assert done.code == 1
    errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in done.err + done.out
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_goes_on_past_a_failed_run(launcher: str, tmp_path: Path, call: Callable[..., Done]) -> None:
    done = call("-m", "split=12_3,12_5,13_2", f"hydra/launcher={launcher}", f"out={tmp_path}", *TINY)
    assert done.code == 1
    assert "has no batch 5" in done.err
    assert "Traceback" not in done.err + done.out
    assert splits(tmp_path) == ["12_3", "13_2"]


def test_help_lists_what_can_be_chosen_and_no_more(call: Callable[..., Done]) -> None:
    shown = call("--help")
    assert (shown.code, shown.err.strip()) == (0, "")
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 100
    for method in METHODS:
        summary = compose(f"method={method}").method.card.summary
        assert re.search(rf"(?m)^    {method} +{re.escape(' '.join(summary.split()[:4]))}", shown.out)
    groups = [line.partition("=")[0] for line in lines if "=<name>" in line]
    assert groups == [
        *("dataset", "method", "protocol", "training", "launch"),
        *("corrector@method.corrector", "classifier@method.classifier", "+search"),
    ]
    for group in ("dataset", "protocol", "training", "launch", "corrector", "classifier", "search"):
        for file in (CONF / group).glob("*.yaml"):
            assert re.search(rf"(?m)^  {file.stem} +\S", shown.out)
    block = ""
    for line in (
        CONF.joinpath("config.yaml").read_text().split("stdout\n\n")[1].split("\n\nhydra")[0].splitlines()
    ):
        block = block if line.startswith(" ") else line.partition(":")[0]
        line = f"{block}.{line.strip()}" if line.startswith(" ") else line
        assert re.sub(" +", " ", line) in re.sub(" +", " ", re.sub(r"\n +# ", " ", shown.out))
    assert "tuned:" not in shown.out
    assert "hydra." not in shown.out.replace("hydra.launcher.n_jobs", "")


def test_help_shows_the_settings_of_what_is_chosen(call: Callable[..., Done]) -> None:
    """Values are those of the study, comments those of every file that the method is made of."""
    shown = call("dataset=pancreas_mini", "method=desc", "split=12_3", "-h").out
    assert re.search(r"(?m)^method\.corrector\.normalise=null +# total intensity of every sample", shown)
    assert re.search(r"(?m)^method\.classifier\.lr=1e-05 +# Adam's learning rate", shown)
    assert re.search(r"(?m)^dataset\.genes=325 +# most variable genes", shown)
    assert max(map(len, shown.splitlines())) <= 100
    shown = call("dataset=mi", "method=combat", "classifier@method.classifier=svm", "--help").out
    assert re.search(r"(?m)^method\.classifier\.estimator\.cv=5 +# folds of the sources", shown)
    assert max(map(len, shown.splitlines())) <= 100
    shown = call("dataset=h5ad", "method=joint_plus", "protocol=released", "--help").out
    assert re.search(r"(?m)^method\.joint\.protocol\.weight_decay=decoupled +# AdamW", shown)
    assert re.search(r"(?m)^dataset\.path=\?\?\? +# the file", shown)
    wrong = call("method=jont", "--help")
    assert wrong.code == 1
    assert wrong.err.startswith("Error: method=jont is unknown; did you mean 'joint'?")


def test_from_the_shell(tmp_path: Path) -> None:
    """The real thing, from another folder: help, a run, an error, each with its exit code."""

    def shell(*arguments: str) -> Done:
        command = [sys.executable, str(ROOT / "run.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    shown = shell("--help")
    assert shown.code == 0
    assert "method=<name>" in shown.out
    done = shell("split=13_2", *TINY)
    assert done.code == 0, done.err
    assert splits(tmp_path / "outputs") == ["13_2"]
    wrong = shell("method=jiont", *TINY)
    assert (wrong.code, wrong.err.strip()) == (
        1, f"Error: method=jiont is unknown; did you mean 'joint'? There is: {', '.join(METHODS)}.",
    )  # fmt: skip
