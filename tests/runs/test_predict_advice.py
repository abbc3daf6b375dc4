"""Tests that errors of calib predict name its own options, and that their advice works."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.commands.predict import main
from calib.errors import CalibError
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import compose, fast
from tests.data.test_settings import plates
from tests.made_h5ad import write_h5ad


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with a saved model."""
    folder = tmp_path_factory.mktemp("model")
    plates().to_csv(folder / "t.csv", index=False)
    run(
        compose(
            "dataset=table",
            f"dataset.path={folder / 't.csv'}",
            f"out={folder}",
            "split=a+b:c",
            *fast("joint"),
            "save_model=true",
        )
    )
    return next(folder.glob("runs/*/*/*"))


CHANGES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing": (lambda t: t.assign(mz_1=t["mz_1"].where(t.index > 3)), "fill them in the file"),
    "text": (lambda t: t.assign(mz_1="high"), "column 'mz_1' holds text .* the model needs numbers in it"),
    "label": (lambda t: t.assign(label="other"), "Correct it, or read no labels with label= .empty"),
    "no batch": (lambda t: t.assign(batch=t["batch"].where(t.index > 3)), "column 'batch' is empty; fill it"),
    "feature": (lambda t: t.drop(columns="mz_1"), "lacks 1 of 3 features, the first 'mz_1'"),
    "word": (lambda t: t.assign(mz_1=[*t["mz_1"][:-1], "high"]), "'high' is not a number"),
    "units": (
        lambda t: t.assign(mz_1=t["mz_1"].astype(str) + " %"),
        r"column 'mz_1' holds no numbers, but cells such as .*; write numbers .* or other signs\.$",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_errors_name_no_setting_of_run(change: str, model: Path, tmp_path: Path) -> None:
    make, sentence = CHANGES[change]
    make(plates()).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(CalibError, match=sentence) as error:
        predict(model, tmp_path / "new.csv")
    assert "dataset." not in str(error.value)


def test_errors_of_h5ad_files_name_no_setting_of_run(model: Path, tmp_path: Path) -> None:
    made = plates()
    x = made.filter(like="mz_").to_numpy()
    obs = {name: made[name].tolist() for name in ("batch", "label")}
    features = ["mz_0", "mz_1", "mz_2"]
    spoilt = np.where(np.arange(len(x))[:, None] == 3, np.nan, x)
    empty = obs | {"batch": [None, *obs["batch"][1:]]}
    for arguments, columns, sentence in (
        ((obs, features, spoilt), {}, "name another layer with layer=."),
        (
            (empty, features, x),
            {},
            "have no batch in column 'batch' of obs, the first 'cell_0'; fill the column.$",
        ),
        ((obs, features, x), {"layer": "no"}, r"has no layers/no; it has: X \(layer=\)"),
        ((obs, features, x), {"label": "no"}, "has no column 'no' in obs"),
    ):
        write_h5ad(tmp_path / "new.h5ad", *arguments)  # type: ignore[arg-type]
        with pytest.raises(CalibError, match=sentence) as error:
            predict(model, tmp_path / "new.h5ad", **columns)
        assert "dataset." not in str(error.value)
    (tmp_path / "new.h5ad").write_text("text")
    with pytest.raises(CalibError, match="it is not HDF5; check data="):
        predict(model, tmp_path / "new.h5ad")


def test_warnings_name_no_setting_of_run(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = plates()
    obs = {name: made[name].tolist() for name in ("batch", "label")}
    counts = np.random.default_rng(0).poisson(50, (len(made), 3)).astype(float)
    write_h5ad(tmp_path / "new.h5ad", obs, ["mz_0", "mz_1", "mz_2"], counts)
    predict(model, tmp_path / "new.h5ad")
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (
        "look like raw counts and are taken as they are; give the values that the model was trained" in said
    )
    assert "dataset." not in said


def test_the_advice_works(model: Path, tmp_path: Path) -> None:
    plates().assign(label="other").to_csv(tmp_path / "new.csv", index=False)
    found = predict(model, tmp_path / "new.csv", label="")
    assert all(batch.y is None for batch in found.study.batches.values())
    assert list(predict(model, tmp_path / "new.csv", label="", batch="").study.batches) == ["new"]


def test_labels_in_other_types(tmp_path: Path) -> None:
    """Check that a model's settings on labels mean the same for a new file as for its study."""
    made = plates((0, 1))
    made.loc[made["batch"] == "c", "label"] = 9
    made.to_csv(tmp_path / "t.csv", index=False)
    run(
        compose(
            "dataset=table",
            f"dataset.path={tmp_path / 't.csv'}",
            f"out={tmp_path}",
            "dataset.classes={0: control, 1: case}",
            "dataset.unlabelled=9",
            "split=a+b:c",
            *fast("joint"),
            "save_model=true",
        )
    )
    (folder,) = tmp_path.glob("runs/*/*/*")
    found = predict(folder, tmp_path / "t.csv").study
    assert found.classes == ["control", "case"]
    assert found.batches["c"].y is None
    np.testing.assert_array_equal(found.batches["a"].y, np.arange(12) % 2)


@pytest.mark.parametrize("name", ["new.csv", "model.npz", "predictions.csv", "result.json"])
def test_predictions_replace_neither_data_nor_model(name: str, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("batch,f0\na,1\n")
    folder = tmp_path if name == "new.csv" else model
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    with pytest.raises(CalibError, match="would replace .*; choose another name"):
        main([f"run={model}", f"data={data}", f"out={folder / name}"])
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_predictions_of_subjects_do_not_replace_the_data(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "new_subjects.csv"
    data.write_text("batch,f0\na,1\n")
    with pytest.raises(CalibError, match="would replace the file that is to be predicted"):
        main([f"run={model}", f"data={data}", f"out={tmp_path / 'new.csv'}"])
