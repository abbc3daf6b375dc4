"""From a file to an answer and its files: ``calib answer``, ``calib check`` and ``calib.answer``."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import calib
from calib.commands.answer import main as answer_main
from calib.commands.check import main as check_main
from calib.commands.predict import main as predict_main
from calib.errors import CalibError
from calib.plates.answering import answer
from calib.plates.files import TABLES, write_answer
from calib.plates.options import parse
from tests.plates.made_plates import COLUMNS, made_file, made_study, made_table

METHODS = "methods=standardise_logistic"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file and the answer of two methods for it."""
    made = tmp_path_factory.mktemp("plates")
    file = made_file(made)
    answer_main([str(file), *COLUMNS, METHODS, f"out={made / 'out'}", "jobs=1"])
    return made


def test_the_blank_plate_is_answered(folder: Path) -> None:
    calls = pd.read_csv(folder / "out" / "calls.csv", dtype={"plate": str})
    truth = made_table(made_study(), ())[0].set_index("well")["diagnosis"]
    assert set(calls["plate"]) == {"4"}
    assert list(calls["sample"]) == [f"4/{row}" for row in range(40)]
    right = calls["call"].to_numpy() == truth[calls["sample"]].to_numpy()
    assert right.mean() > 0.8
    summary = json.loads((folder / "out" / "answer.json").read_text())
    assert summary["choice"]["above_floor"]
    assert set(summary["calls"]) == {"4"}
    assert np.allclose(calls.filter(regex="^calibrated_").sum(axis=1), 1, atol=1e-5)
    subjects = pd.read_csv(folder / "out" / "calls_subjects.csv")
    assert len(subjects) == 20
    assert (subjects["samples"] == 2).all()


def test_files_are_complete_and_told(folder: Path) -> None:
    made = {file.name for file in (folder / "out").iterdir() if file.is_file()}
    assert made >= {"index.html", "answer.json", "checklist.md", *TABLES}
    checklist = (folder / "out" / "checklist.md").read_text()
    assert "## REFORMS" in checklist
    assert "## TRIPOD+AI" in checklist
    assert "**to be filled in**" in checklist
    assert "calib answer" in checklist  # the command


def test_a_repeated_command_gives_the_same_bytes(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in (folder / "out").iterdir() if file.is_file()}
    stamps = {file: file.stat().st_mtime_ns for file in (folder / "out" / "runs").rglob("result.json")}
    answer_main([str(folder / "cohort.csv"), *COLUMNS, METHODS, f"out={folder / 'out'}", "jobs=1"])
    assert {file.name: file.read_bytes() for file in (folder / "out").iterdir() if file.is_file()} == before
    assert {
        file: file.stat().st_mtime_ns for file in (folder / "out" / "runs").rglob("result.json")
    } == stamps


def test_labels_of_blank_plates_do_not_exist_for_it(folder: Path, tmp_path: Path) -> None:
    """The comparison never sees what a plate left out holds: other labels there change its scores alone."""
    table, _ = made_table(made_study(), ("4",))
    own = table["plate"].astype(str) == "3"
    table.loc[own, "diagnosis"] = table.loc[own, "diagnosis"].to_numpy()[::-1]
    file = tmp_path / "cohort.csv"
    table.to_csv(file, index=False)
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    answer(request)
    names = ("12_34/standardise_logistic-*", "12_34/baseline-*")
    for name in names:
        one, other = (
            pd.read_csv(next((place / "out" / "runs" / "cohort").glob(f"{name}/predictions.csv")))
            for place in (folder, tmp_path)
        )
        assert np.array_equal(one.filter(regex="^p_"), other.filter(regex="^p_"))


def test_a_later_plate_is_judged_by_the_printed_command(folder: Path, tmp_path: Path) -> None:
    summary = json.loads((folder / "out" / "answer.json").read_text())
    words = summary["later"].split()
    assert words[:2] == ["calib", "predict"]
    table, _ = made_table(made_study(), ("1", "2", "3", "4"))
    later = table[table["plate"].astype(str) == "4"].assign(plate="5")
    later.to_csv(tmp_path / "plate_5.csv", index=False)
    given = [word.replace("plate.csv", str(tmp_path / "plate_5.csv")) for word in words[2:]]
    predict_main([*given, f"out={tmp_path / 'p.csv'}"])
    found = pd.read_csv(tmp_path / "p_subjects.csv")
    before = pd.read_csv(folder / "out" / "calls_subjects.csv")
    chosen = [column for column in found if column.startswith("calibrated_")]
    expected = before[chosen]
    assert np.allclose(found[chosen], expected, atol=0.02)  # medians before or after the temperature
    assert list(found["predicted"]) == list(before["call"])


def test_arrays_have_the_numbers_of_the_file(folder: Path) -> None:
    table, _ = made_table(made_study(), ("4",))
    values = table.filter(regex="^mz_")
    found = calib.answer(
        values, table["diagnosis"], batch=table["plate"], subject=table["patient"], sample=table["well"],
        methods=["standardise_logistic"], jobs=1, why=False,
    )  # fmt: skip
    file = pd.read_csv(folder / "out" / "methods.csv")
    assert list(found.methods["method"]) == list(file["method"])
    assert np.allclose(found.methods["balanced_accuracy"], file["balanced_accuracy"], atol=1e-5)
    calls = pd.read_csv(folder / "out" / "calls.csv")
    assert list(found.calls["call"]) == list(calls["call"])
    assert str(found).count("\n") == 2
    assert "<" not in str(found)
    shares = [column for column in calls if column.startswith("p_")]
    assert np.allclose(found.calls[shares], calls[shares], atol=1e-4)


def test_arrays_that_cannot_be_are_value_errors() -> None:
    table, _ = made_table(made_study(), ())
    values = table.filter(regex="^mz_")
    with pytest.raises(ValueError, match="batch names 2 samples"):
        calib.answer(values, table["diagnosis"], batch=["1", "2"])
    with pytest.raises(ValueError, match="no plate with labels"):
        calib.answer(values, [None] * len(values), batch=table["plate"])
    with pytest.raises(ValueError, match="positive='sick' is not one of the classes case, control"):
        calib.answer(values, table["diagnosis"], batch=table["plate"], positive="sick")
    with pytest.raises(ValueError, match="X has columns that hold no numbers: 'patient', 'well'"):
        calib.answer(table.drop(columns=["plate", "diagnosis"]), table["diagnosis"], batch=table["plate"])


@pytest.mark.parametrize(
    ("blank", "said"), [(("2", "3", "4"), "One plate"), (("3", "4"), "Two labelled plates")]
)
def test_few_labelled_plates_are_answered_as_far_as_can_be(
    tmp_path: Path, blank: tuple[str, ...], said: str
) -> None:
    file = made_file(tmp_path, blank)
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    found = answer(request)
    page = write_answer(found, request.folder).read_text()
    assert set(found.calls["plate"]) == set(blank)
    if len(blank) == 3:
        assert found.choice is None
        assert found.trust is None
        assert (found.calls["answer"] == "abstained").all()
    else:
        assert found.choice is not None
        assert any(said in one for one in found.choice.caveats)
        assert said in page


def test_without_blank_plates_there_is_a_comparison_alone(tmp_path: Path) -> None:
    file = made_file(tmp_path, ())
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    found = answer(request)
    write_answer(found, request.folder)
    assert found.choice is not None
    assert len(found.choice.by_plate) == 4
    assert found.calls.empty
    assert not (request.folder / "calls.csv").exists()


def test_nothing_above_chance_is_said(tmp_path: Path) -> None:
    file = made_file(tmp_path, effect=0.0)
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    found = answer(request)
    assert found.choice is not None
    assert not found.choice.above_floor
    assert "Nothing here is above chance" in write_answer(found, request.folder).read_text()


def test_a_file_without_labels_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    file = made_file(tmp_path, ("1", "2", "3", "4"))
    with pytest.raises(CalibError, match="has labels of 0 class"):
        answer_main([str(file), *COLUMNS, f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_check_looks_in_a_moment_and_strict_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made_file(tmp_path)
    check_main([str(file), *COLUMNS, f"out={tmp_path / 'design'}", "--strict"])
    told = capsys.readouterr().out
    assert "samples" in told
    assert (tmp_path / "design" / "plates.csv").is_file()
    table = pd.read_csv(file)
    table["copy"] = (table["diagnosis"] == "case").astype(float)
    table.to_csv(file, index=False)
    with pytest.raises(CalibError, match="copy"):
        check_main([str(file), *COLUMNS, "--strict"])
    capsys.readouterr()
    check_main([str(file), *COLUMNS, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert any("'copy'" in one["text"] and one["serious"] for one in found)


def test_plates_of_one_class_teach_and_are_not_judged(tmp_path: Path) -> None:
    table, _ = made_table(made_study((24, 22, 26, 20, 20)), ("5",))
    own, label = table["plate"].astype(str), table["diagnosis"]
    first = label.iloc[0]
    table = table[(own != "1") | (label == first)]
    file = tmp_path / "cohort.csv"
    table.to_csv(file, index=False)
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    found = answer(request)
    assert found.choice is not None
    assert list(found.choice.by_plate["plate"]) == ["2", "3", "4"]
    assert any("Not judged: '1'" in caveat for caveat in found.choice.caveats)


def test_confounded_plates_are_called_without_trust(tmp_path: Path) -> None:
    table, _ = made_table(made_study(), ("4",))
    own, label = table["plate"].astype(str), table["diagnosis"]
    classes = label.dropna().unique()
    table = table[
        (own == "4") | ((own == "2") & (label == classes[0])) | (own.isin(["1", "3"]) & (label == classes[1]))
    ]
    file = tmp_path / "cohort.csv"
    table.to_csv(file, index=False)
    request = parse(
        [str(file), *COLUMNS, METHODS, f"out={tmp_path / 'out'}", "jobs=1", "why=false"], "calib answer"
    )
    found = answer(request)
    page = write_answer(found, request.folder).read_text()
    assert any(one.serious and one.code == "confounded" for one in found.design.findings)
    assert found.choice is None
    assert (found.calls["answer"] == "abstained").all()
    assert "No method can be chosen" in page
