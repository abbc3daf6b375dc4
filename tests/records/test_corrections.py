"""Corrections are computed once for a set of batches and reused by every split, and by every seed if none is used."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from calib.data.study import FloatArray, Samples
from calib.methods.combat import ComBat
from calib.records.corrections import Corrections
from calib.runs.experiment import run
from calib.runtime import Runtime
from tests.conftest import small_run


def batches(*names: str) -> list[Samples]:
    return [Samples(name, np.full((2, 3), float(ord(name)))) for name in names]


class Counting:
    """A corrector that counts its calls."""

    version, stored, uses_seed = 1, True, False
    calls = 0

    def correct(self, given: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        type(self).calls += 1
        return {batch.name: batch.x + 1 for batch in given}


class Seeded(Counting):
    uses_seed = True


@pytest.mark.parametrize(("kind", "expected"), [(Counting, 2), (Seeded, 3)])
def test_reuse(kind: type[Counting], expected: int, tmp_path: Path) -> None:
    kind.calls = 0
    store = Corrections(tmp_path, "study", {"data": "x"})
    first = store.obtain(kind(), batches("a", "b", "c"), Runtime(0))
    again = store.obtain(kind(), batches("c", "a", "b"), Runtime(0))  # another split
    store.obtain(kind(), batches("a", "b", "c"), Runtime(1))
    store.obtain(kind(), batches("a", "b"), Runtime(0))
    assert kind.calls == expected
    for name in "abc":
        np.testing.assert_array_equal(first[name], np.full((2, 3), ord(name) + 1.0))
        np.testing.assert_array_equal(first[name], again[name])


def test_other_data_settings_or_force_compute_anew(tmp_path: Path) -> None:
    Counting.calls = 0
    for store in (
        Corrections(tmp_path, "study", {"data": "x"}),
        Corrections(tmp_path, "study", {"data": "y"}),
        Corrections(tmp_path, "study", {"data": "x"}, force=True),
    ):
        store.obtain(Counting(), batches("a", "b"), Runtime(0))
    changed = Counting()
    changed.strength = 2  # type: ignore[attr-defined]
    Corrections(tmp_path, "study", {"data": "x"}).obtain(changed, batches("a", "b"), Runtime(0))
    assert Counting.calls == 4


def test_a_run_writes_the_same_bytes_with_a_correction_made_or_found(tmp_path: Path) -> None:
    files = []
    for override in ("force=false", "method.classifier.lr=1e-3", "force=false"):
        if files:  # the first correction is there: run again without touching it
            (finished,) = tmp_path.glob("runs/*/*/*")
            shutil.rmtree(finished)
        run(small_run("normae", tmp_path, override))
        (history,) = tmp_path.glob("runs/*/*/*/history.csv")
        files.append((history.read_bytes(), history.with_name("predictions.csv").read_bytes()))
    assert files[0] == files[2] != files[1]
    assert len(list(tmp_path.glob("corrections/*/*"))) == 1


def test_combat_is_computed_once_for_all_splits_and_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    correct = ComBat.correct
    monkeypatch.setattr(ComBat, "correct", lambda *a: calls.append(1) or correct(*a))
    for seed in (0, 1):
        run(small_run("combat", tmp_path, "split=all", f"seed={seed}"))
    assert len(calls) == 1
    used = [json.loads(f.read_text())["correction"]["key"] for f in tmp_path.glob("runs/*/*/*/result.json")]
    assert len(used) == 6
    assert len(set(used)) == 1
