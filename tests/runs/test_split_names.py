"""Tests that a split takes the batches it names, whatever their names, through every door to the same record."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from calib.config import compose as composed
from calib.config import written
from calib.data.settings import literal
from calib.data.split import Split
from calib.errors import CalibError
from calib.overrides import how_to_keep_a_comma, how_to_write, parsed
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import CONF, compose, fast
from tests.runs.test_cli import Done, call

__all__ = ["call"]  # the fixture

ODD = (
    "${x}",
    "a+b",
    "c:d",
    "e,f",
    "it's",
    'say "g"',
    "\u00e4 \u00d6",
    "\\",
    "$h_${seed}",
    "12_3",
    "#=(i)",
    "\\${j}",
    "x-1_2",
)


def plates(names: Sequence[str], file: Path, rows: int = 8) -> Path:
    """Write a study with these batches."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.normal(size=(len(names) * rows, 4)), columns=[f"mz_{i}" for i in range(4)])
    made.insert(0, "label", np.array(["case", "control"])[np.arange(len(made)) % 2])
    made.insert(0, "batch", np.repeat(np.array(names, object), rows))
    made.to_csv(file, index=False)
    return file


def settings(file: Path, out: Path) -> list[str]:
    return ["dataset=table", f"dataset.path={file}", f"out={out}", "method=baseline", *fast("baseline")]


def results(out: Path) -> dict[tuple[str, ...], Path]:
    """Return the record of every finished run by its sources and targets."""
    found = {}
    for file in out.glob("runs/*/*/*/result.json"):
        result = json.loads(file.read_text())
        found[(*result["sources"], "->", *result["targets"])] = file.parent
    return found


@pytest.mark.parametrize("text", [*ODD, "\\\\${k}", "a\\\n", "${", "${a:${b}}", "tail\\"])
def test_a_text_stands_for_itself(text: str) -> None:
    assert OmegaConf.create({"split": literal(text)}).split == text
    override = parsed(Split((), (), text).override)
    assert override is not None
    assert OmegaConf.create({"split": override.value()}).split == text
    settings = {"a": [text, {"b": 1}], text: None, "split": text}
    assert OmegaConf.to_container(OmegaConf.create(written(settings)), resolve=True) == settings


def test_batches_of_any_name(tmp_path: Path) -> None:
    """Check the run, its saved settings, the reuse of its record, and a prediction with its model."""
    file = plates(ODD, tmp_path / "t.csv")
    where = ["dataset=table", f"dataset.path={file}", f"out={tmp_path}", *fast("joint"), "save_model=true"]
    for sources, target in ((ODD[1:], ODD[0]), (ODD[:-1], ODD[-1])):
        (first,) = run(compose(*where, Split((), (), f"{'+'.join(sources)}:{target}").override))
        assert (first["sources"], list(first["targets"])) == (list(sources), [target])
        folder = results(tmp_path)[(*sources, "->", target)]
        before = (folder / "result.json").stat().st_mtime_ns
        saved = OmegaConf.load(folder / "config.yaml")
        assert isinstance(saved, DictConfig)
        assert run(saved) == [first]
        assert (folder / "result.json").stat().st_mtime_ns == before
        assert set(predict(folder, file).study.batches) == set(ODD)


def test_all_splits_of_a_sweep_with_such_names(tmp_path: Path, call: Callable[..., Done]) -> None:
    """Check that a sweep over more than nine batches, whose splits go by name, makes every split once."""
    names = ["${x}", "e,f", "it's", 'say "g"', "\u00e4 \u00d6", "\\", "12_3", "#=(i)", "x-1_2", "plain"]
    given = [*settings(plates(names, tmp_path / "t.csv", rows=4), tmp_path), "dataset.n_sources=9"]
    done = call("-m", *given, "split=all", "hydra/launcher=basic")
    assert done.code == 0, done.err
    made = results(tmp_path)
    assert len(made) == 10
    assert {(*sorted(key[:9]), key[10]) for key in made} == {
        (*sorted(set(names) - {one}), one) for one in names
    }
    before = {folder: (folder / "result.json").stat().st_mtime_ns for folder in made.values()}
    done = call(*given, "split=all")
    assert done.code == 0, done.err
    assert before == {
        folder: (folder / "result.json").stat().st_mtime_ns for folder in results(tmp_path).values()
    }


@pytest.mark.parametrize(
    ("names", "typed"),
    [
        (("one", "${x}", "two"), "split='one+${x}:two'"),
        (("one", "x-1_2", "two"), "split=one+two:x-1_2"),
    ],
)
def test_as_people_type_it(
    names: tuple[str, ...], typed: str, tmp_path: Path, call: Callable[..., Done]
) -> None:
    given = settings(plates(names, tmp_path / "t.csv"), tmp_path)
    for flags in ([], ["-m", "hydra/launcher=basic"]):
        done = call(*flags, *given, typed)
        assert done.code == 0, done.err
    ((key, _),) = results(tmp_path).items()
    assert set(key) == {*names, "->"}


@pytest.mark.parametrize("name", ["e,f", "\u00e4 (1)", "it's"])
def test_what_hydra_cannot_read_is_answered_with_what_works(
    name: str, tmp_path: Path, call: Callable[..., Done]
) -> None:
    given = settings(plates(["one", name, "two"], tmp_path / "t.csv"), tmp_path)
    done = call(*given, f"split=one+{name}:two")
    assert done.code == 1
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    (proposed,) = [part for part in shlex.split(sentence.rstrip(".")) if part.startswith('split="')]
    assert call(*given, proposed).code == 0
    assert ("one", name, "->", "two") in results(tmp_path)


def test_lists_of_splits_stay_lists() -> None:
    for override in ("split=a:b,c:d", "split='12_3','13_2'", "split=12_3,a:b", "seed=0,1"):
        assert how_to_keep_a_comma(override) is None
    assert how_to_write("split='a,b:c'") is None
    with pytest.raises(CalibError, match="has to stand in quotes"):
        composed(CONF, "split=\u00e4:b")


def test_the_table_of_a_run_names_its_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Check that positions are those of the natural order, and that the last words of a run say so."""
    file = plates(["plate 10", "plate 2", "plate 1"], tmp_path / "t.csv")
    for _ in range(2):  # as carried out, and as read from its record
        caplog.clear()
        with caplog.at_level("INFO"):
            run(compose(*settings(file, tmp_path), "split='12_3'"))
        (table,) = [said for said in caplog.messages if "F-score" in said]
        assert "\nSources: 'plate 1', 'plate 2'.\nTargets: 'plate 10'.\n" in table
