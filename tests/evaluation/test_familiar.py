"""Tests that a model's own training samples are recognised, and get no score."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.commands.predict import main as predict_command
from calib.data.matrix import row_checksums
from calib.errors import CalibError
from calib.evaluation.familiar import known, training_rows
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import compose, fast

A, B, C = np.random.default_rng(0).gamma(2, 500, (3, 6, 4))


def test_samples_are_recognised_by_their_values() -> None:
    rows = training_rows({"a": A, "b": B}, {"c": C})
    mixed = rows.familiar(np.concatenate([B[::-1], A[:2], C[:1], C + 1]))
    assert list(mixed.sources) == ["b", "a"]
    assert list(mixed.targets) == ["c"]
    assert (mixed.learnt.sum(), mixed.seen.sum()) == (8, 1)
    assert known("new", rows.familiar(A + 1)) == ""
    assert known("new", None) == ""
    assert "what the model was trained on (source 'a')" in known("renamed", rows.familiar(A[::2]))
    assert "has 8 of its 15 samples from source 'b', 'a'" in known("mixed", mixed)
    assert "has 6 of its 6 samples from target 'c'" in known("c", rows.familiar(C))


def test_checksums_do_not_depend_on_how_values_are_stored() -> None:
    x = np.where(A > 800, A, 0)
    expected = row_checksums(x)
    assert len(set(expected.tolist())) == len(x)
    for same in (x.astype("f4"), sparse.csr_array(x), np.asfortranarray(x), np.where(x == 0, -0.0, x)):
        np.testing.assert_array_equal(row_checksums(same), expected)


@pytest.fixture(scope="module")
def plates() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.gamma(2, 500, (60, 5)), columns=list("uvwxy")).round(3)
    table.insert(0, "label", np.where(np.arange(60) % 2, "case", "control"))
    table.insert(0, "batch", np.repeat(["north", "south", "east"], 20))
    return table


@pytest.fixture(scope="module")
def model(plates: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on these plates: north and south are sources, east is the target."""
    folder = tmp_path_factory.mktemp("model")
    plates.to_csv(folder / "plates.csv", index=False)
    overrides = ["dataset=table", f"dataset.path={folder / 'plates.csv'}", "split=north+south:east"]
    method = ["method=joint", *fast("joint"), "save_model=true"]
    run(compose(*overrides, *method, "dataset.name=plates", f"out={folder}"))
    (found,) = folder.glob("runs/plates/*/*")
    return found


@pytest.fixture
def predicted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that returns what ``calib predict`` prints for a table."""
    monkeypatch.chdir(tmp_path)

    def call(table: pd.DataFrame, *options: str) -> str:
        table.to_csv("new.csv", index=False)
        predict_command([f"run={model}", "data=new.csv", *options])
        return capsys.readouterr().out

    return call


def test_batches_of_the_training_have_no_score(predicted: Callable[..., str], plates: pd.DataFrame) -> None:
    said = predicted(plates)
    for name in ("north", "south"):
        assert f"Batch {name} is what the model was trained on" in said
        assert f"Batch {name}, whose labels are known" not in said
    assert "Batch east, whose labels are known: accuracy" in said
    changed = plates.assign(u=plates["u"] + 1)  # the same names, other values
    assert "trained on" not in predicted(changed)


def test_batches_can_be_chosen(
    predicted: Callable[..., str], model: Path, plates: pd.DataFrame, tmp_path: Path
) -> None:
    said = predicted(plates, "only=east")
    assert "north" not in said
    assert set(pd.read_csv(tmp_path / "predictions_new.csv")["batch"]) == {"east"}
    renamed = plates.replace({"batch": {"south": "south,1"}})
    renamed.to_csv(tmp_path / "new.csv", index=False)
    for only, names in (("east, north", {"east", "north"}), ("south,1", {"south,1"})):
        assert set(predict(model, tmp_path / "new.csv", only=only).probability) == names
    with pytest.raises(CalibError, match=r"has no batch 'est'; did you mean 'east'\?"):
        predict(model, tmp_path / "new.csv", only="est")
