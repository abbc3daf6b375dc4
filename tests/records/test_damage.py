"""Files that are damaged after they were written are named, never used as a result, and made again."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.data.genes import _store, _stored
from calib.errors import CalibError, DamagedError
from calib.files import read_arrays, read_table, write_whole
from calib.records.corrections import CORRECTED
from calib.records.record import RESULT, Record
from calib.report.assemble import write_report
from calib.report.figures.tsne import MapSettings, record_map
from calib.runs.experiment import run
from calib.runs.launch import carry_out_all
from calib.runs.models import load_model
from calib.runs.predict import predict
from calib.runs.schedule import guessed_seconds, schedule
from tests.conftest import CONF, small_run
from tests.faults import content
from tests.runs.test_series import planned

RECORDED = (
    *("config.yaml", "history.csv", "predictions.csv", "predictions_subjects.csv", "mmd.csv"),
    *("embedding.npz", RESULT),
)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)


DAMAGES = {"cut": cut, "empty": lambda file: file.write_bytes(b""), "gone": Path.unlink, "flip": flip}


def record(out: Path) -> Record:
    (folder,) = out.glob("runs/*/*/*")
    return Record(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(small_run("combat", out))
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a saved model."""
    out = tmp_path_factory.mktemp("trained")
    run(small_run("baseline", out, "save_model=true"))
    return record(out).path


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_made_again(
    name: str, damage: str, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    folder = record(out).path
    DAMAGES[damage](folder / name)
    if (name, damage) == ("embedding.npz", "flip"):  # archives are compared when they are read
        with pytest.raises(DamagedError, match=r"damaged \(Bad CRC-32"):
            read_arrays(folder / name)
        return
    assert record(out).result() is None
    if (name, damage) != (RESULT, "gone"):
        sentence = (
            f"The record {folder} is damaged: {name} is missing or not as it was written; repeat the command"
        )
        assert sentence in caplog.text
        assert sentence in record(out).damage()
    config = small_run("combat", out)
    run(config)
    assert record(out).damage() == ""
    assert content(out) == content(whole)


def test_records_without_checksums_are_still_results(whole: Path, tmp_path: Path) -> None:
    """Earlier versions wrote such records."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    file = record(out).path / RESULT
    result = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in result.items() if k not in ("files", "checksum")}))
    assert record(out).is_finished()
    file.write_text(file.read_text()[:-1])
    assert not record(out).is_finished()


def test_any_flipped_byte_of_an_archive_is_noticed(tmp_path: Path) -> None:
    rng, file = random.Random(0), tmp_path / "a.npz"
    arrays = {"z": np.arange(60, dtype=np.float32).reshape(12, 5), "names": np.array(["a", "bc"])}
    folder, noticed = Record(tmp_path), 0
    folder.write_arrays(file.name, arrays)
    good = file.read_bytes()
    for _ in range(400):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad[: rng.randrange(len(bad) + 1)] if rng.random() < 0.3 else bad)
        try:
            found = read_arrays(file, *arrays)
        except DamagedError:
            noticed += 1
        else:  # the flipped bit is in a part that zip does not use, such as a time
            assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert noticed > 200


@pytest.mark.parametrize("damage", ["cut", "empty", "flip"])
def test_a_damaged_correction_is_made_again(
    damage: str, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (file,) = out.glob(f"corrections/*/*/{CORRECTED}")
    DAMAGES[damage](file)
    shutil.rmtree(record(out).path)
    run(small_run("combat", out))
    assert "damaged" in caplog.text
    assert content(out) == content(whole)
    assert read_arrays(file)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_map_is_made_again(
    damage: str, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, study: object
) -> None:
    from calib.runs.run import load

    loaded, _ = load(small_run("combat", whole))
    maps, settings = tmp_path / "maps", MapSettings()
    first = record_map(record(whole), loaded, maps, settings)
    (file,) = maps.iterdir()
    good = file.read_bytes()
    DAMAGES[damage](file)
    again = record_map(record(whole), loaded, maps, settings)
    assert "The map is made again" in caplog.text
    assert file.read_bytes() == good
    np.testing.assert_array_equal(first.xy, again.xy)


@pytest.mark.parametrize("damage", ["cut", "empty", "flip"])
def test_a_damaged_choice_of_genes_is_made_again(damage: str, tmp_path: Path) -> None:
    file, genes = tmp_path / "genes" / "choice.txt", [f"gene{i}" for i in range(30)]
    _store(file, genes)
    assert _stored(file, 30, genes) == genes
    DAMAGES[damage](file)
    assert _stored(file, 30, genes) is None


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("model.npz", cut),
        ("model.npz", flip),
        ("config.yaml", cut),
        ("config.yaml", lambda f: f.write_bytes(b"\xff\xfe")),
        ("config.yaml", lambda f: f.write_text("[1, 2]")),
        ("config.yaml", lambda f: f.write_text("a: [")),
        ("config.yaml", lambda f: f.write_text("")),
    ],
)
def test_a_damaged_model_is_said_in_one_sentence(
    name: str, spoil: Callable[[Path], object], trained: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    assert load_model(folder)
    spoil(folder / name)
    with pytest.raises(CalibError, match="is damaged .*; train it again"):
        load_model(folder)
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CalibError, match="is damaged"):
        predict(folder, tmp_path / "new.csv")


def test_a_table_that_is_none_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="is not there"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b'a,b\n"1,2\n\xff')
    with pytest.raises(DamagedError, match="is damaged"):
        read_table(tmp_path / "bad.csv", usecols=["c"])


def test_a_write_that_fails_leaves_the_file_of_before(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_whole(file, lambda f: f.write_text("before"))

    def fails(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(file, fails)
    assert file.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_what_killed_processes_left_behind_is_removed(tmp_path: Path) -> None:
    folder = Record(tmp_path / "record")
    folder.make_folder()
    (folder.path / ".12345-embedding.npz").write_bytes(b"half")
    (folder.path / ".lock").touch()  # the process that held the lock is dead
    with folder.locked():
        assert [file.name for file in folder.path.iterdir()] == [".lock"]
        folder.write_text("a.txt", "x")
    assert [file.name for file in folder.path.iterdir()] == ["a.txt"]
    with Record(tmp_path / "other").locked():
        pass
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_report_goes_on_past_damaged_records(tmp_path: Path) -> None:
    jobs = planned(tmp_path, "joint", "baseline", "combat")
    assert carry_out_all(schedule(jobs, guessed_seconds(CONF)), CONF, "basic") == {}
    first = {job.run.config.method.name: job.run.record.path for job in reversed(jobs)}
    cut(first["baseline"] / "predictions.csv")
    flip(first["joint"] / "embedding.npz")
    jobs = [replace(job, variant="") for job in planned(tmp_path, "joint", "baseline", "combat")]
    page = write_report(jobs, {"demo": jobs[0].run.study}, tmp_path, 1, {}).read_text()
    assert f"The record {first['baseline']} is damaged: predictions.csv is missing or not" in page
    assert f"The record {first['joint']} is damaged: embedding.npz is missing or cannot be read" in page
    assert len(pd.read_csv(tmp_path / "report" / "runs.csv")) == 8
