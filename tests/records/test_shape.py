"""Records of another shape or origin: passed over with a sentence, never taken for the result, made again."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calib.files import checksum
from calib.records import provenance
from calib.records.record import RESULT, run_record
from calib.records.shape import RUN, misfit
from calib.runs.experiment import run
from tests.conftest import small_run
from tests.faults import content


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    for seed in (0, 1):
        run(small_run("combat", out, f"seed={seed}"))
    return out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def folder(out: Path, seed: int) -> Path:
    (found,) = [
        f.parent for f in out.glob(f"runs/*/*/*/{RESULT}") if json.loads(f.read_text())["seed"] == seed
    ]
    return found


def sealed(result: dict[str, Any]) -> str:
    """A result with the checksum that belongs to it, as another program could write it."""
    return json.dumps({**result, "checksum": checksum(result)})


FOREIGN: dict[str, Callable[[dict[str, Any]], str]] = {
    "empty": lambda result: "{}",
    "list": lambda result: "[1]",
    "null": lambda result: "null",
    "number of another program": lambda result: '{"accuracy": 1.0}',
    "no targets": lambda result: sealed({k: v for k, v in result.items() if k != "targets"}),
    "targets of another kind": lambda result: sealed({**result, "targets": {"3": 0.9}}),
    "seconds of an older version": lambda result: sealed({**result, "seconds": 3.0}),
    "files as a list": lambda result: sealed({**result, "files": ["a.txt"]}),
    "files without sizes": lambda result: sealed({**result, "files": {"embedding.npz": 3}}),
    "files elsewhere": lambda result: sealed({**result, "files": {"../../x": {"bytes": 1, "sha256": "x"}}}),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_record_of_another_shape_is_passed_over(
    kind: str, out: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = folder(out, 0)
    file = place / RESULT
    file.write_text(FOREIGN[kind](json.loads(file.read_text())))
    run(small_run("combat", out))
    (warning,) = {r.getMessage() for r in caplog.records if str(place) in r.getMessage() and r.levelno >= 30}
    assert "is not of the kind that is expected here" in warning or "is damaged" in warning
    assert "repeat" in warning
    assert content(out) == content(whole)


def test_every_needed_value_is_looked_for(out: Path) -> None:
    place = folder(out, 0)
    result = json.loads((place / RESULT).read_text())
    record = run_record(out, result["study"], result["split"], result["method"], result["key"])
    assert record.path == place
    assert record.damage() == misfit(result, RUN, place.name) == ""
    for name in RUN:
        for changed in ({k: v for k, v in result.items() if k != name}, {**result, name: [1]}):
            (place / RESULT).write_text(sealed(changed))
            assert f"its result.json has no {name}" in record.damage()


def test_the_folder_of_another_seed_is_passed_over(
    out: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(folder(out, 1))
    shutil.copytree(folder(out, 0), folder(whole, 1).as_posix().replace(str(whole), str(out)))
    (result,) = run(small_run("combat", out, "seed=1"))
    assert result["seed"] == 1
    assert "its result.json is that of another run" in caplog.text
    assert content(out) == content(whole)


def test_a_foreign_correction_is_passed_over(
    out: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = out.glob(f"corrections/*/*/{RESULT}")
    file.write_text("{}")
    shutil.rmtree(folder(out, 0))
    run(small_run("combat", out))
    assert "its result.json has no key of the usual kind" in caplog.text
    assert content(out) == content(whole)


def test_reuse_says_what_was_otherwise(
    out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result,) = run(small_run("combat", out))
    assert "It was made with" not in caplog.text
    assert provenance.made_elsewhere(result, "cpu") == ""
    now = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**now, "torch": "9.9"})
    monkeypatch.setattr(provenance, "device_name", lambda device: "NVIDIA H100")
    sentence = (
        f"It was made with torch {now['torch']} (now 9.9), the device cpu (now NVIDIA H100), so its last"
    )
    with caplog.at_level(logging.WARNING):
        run(small_run("combat", out))
    assert f"Record {folder(out, 0)}: {sentence}" in caplog.text
    shutil.rmtree(folder(out, 0))
    run(small_run("combat", out))
    (correction,) = out.glob("corrections/*/*")
    assert f"Correction {correction}: {sentence}" in caplog.text
