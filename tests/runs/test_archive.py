"""The archive: what goes in comes out, without measured values, and with the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from calib.errors import CalibError, DamagedError
from calib.records.archive_file import Kept, packed, unpacked, write_members
from calib.records.predictions_file import read_predictions
from calib.runs.archive import Archive, restore
from calib.runs.experiment import run
from calib.runs.planner import Job, Planner
from calib.runs.series import Series
from tests.conftest import CONF, SMALL, fast


def jobs(out: Path, seeds: tuple[int, ...], method: str = "baseline", **options: object) -> list[Job]:
    variant = " ".join(o.replace(" ", "") for o in [*SMALL, *fast(method)])
    return Planner(CONF, out, **options).jobs([Series(["demo"], [method], ["paper"], seeds, [variant])])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with records of two seeds."""
    out = tmp_path_factory.mktemp("records")
    for job in jobs(out, (0, 1)):
        settings = OmegaConf.merge(job.run.config, {"split": job.run.split.label, "progress": False})
        run(settings)
    return out


def archived(made: Path, folder: Path, seeds: tuple[int, ...] = (0, 1)) -> Archive:
    archive = Archive(folder)
    assert archive.add(jobs(made, seeds), lambda _: 5) == {"demo": 3 * len(seeds)}
    return archive


def test_what_is_archived_is_restored_without_the_study(made: Path, tmp_path: Path) -> None:
    archive = archived(made, tmp_path / "archive")
    study = archive.study("demo")
    assert archive.facts("demo")["common"] == 5
    assert {batch.x.shape[1] for batch in study.batches.values()} == {0}
    there = jobs(tmp_path / "out", (0, 1, 2), load=archive.load)
    found = [(job, kept) for job in there if (kept := archive.find(job))]
    assert len(found) == 6
    for job, kept in found:
        restore(job, kept)
        whole = next(made.rglob(job.run.record.path.name))
        result = job.run.record.read()
        assert result["archived"]
        assert result["targets"].keys() == kept.result["targets"].keys()
        before, after = (
            read_predictions(f / "predictions.csv", study.classes) for f in (whole, job.run.record.path)
        )
        pd.testing.assert_frame_equal(before.table, after.table)
        np.testing.assert_allclose(after.probability, before.probability, atol=3e-4)
        for name, scores in result["targets"].items():
            part = after.of_batch(name)
            assert scores["accuracy"] == pytest.approx(
                (part.probability.argmax(axis=1) == part.y).mean(), rel=1e-6
            )
        assert (job.run.record.path / "predictions_subjects.csv").is_file()
        assert OmegaConf.load(job.run.record.path / "config.yaml").split == job.run.split.label
    file = tmp_path / "archive" / "demo" / "baseline.zip"
    first = file.read_bytes()
    Archive(tmp_path / "archive").add([job for job, _ in found], lambda _: 5)  # what was restored, kept again
    assert file.read_bytes() == first


def test_the_same_runs_give_the_same_bytes_and_a_new_seed_adds_to_them(made: Path, tmp_path: Path) -> None:
    archive = archived(made, tmp_path / "a", seeds=(0,))
    file = tmp_path / "a" / "demo" / "baseline.zip"
    first = file.read_bytes()
    nothing = tmp_path / "nothing"
    archived(nothing, tmp_path / "a", seeds=(0,))  # nothing recorded: what is archived stays
    assert file.read_bytes() == first
    archived(made, tmp_path / "a", seeds=(0, 1))
    whole = file.read_bytes()
    archived(made, tmp_path / "b", seeds=(0, 1))
    assert (tmp_path / "b" / "demo" / "baseline.zip").read_bytes() == whole != first
    archived(nothing, tmp_path / "a", seeds=(0,))  # no longer planned
    assert file.read_bytes() == first
    assert archive.studies() == ["demo"]


def test_the_predicted_class_and_small_probabilities_survive(tmp_path: Path) -> None:
    p = np.array([[0.5, 0.5], [0.50001, 0.49999], [0.49999, 0.50001], [1 - 1e-6, 1e-6], [0, 1]])
    many = np.array([[0.4, 0.4, 0.2], [0.1, 0.45, 0.45], [0.3333, 0.3334, 0.3333], [0, 0, 1]])
    for number, share in enumerate((p, many)):
        kept = Kept(
            {"key": "k", "targets": {"a": {"n": 2}, "b": {"n": len(share) - 2}}},
            {"a": share[:2], "b": share[2:]},
        )
        write_members(tmp_path / f"{number}.zip", packed([kept]))
        back = unpacked(tmp_path / f"{number}.zip")["k"].probability
        joined = np.concatenate([back["a"], back["b"]])
        np.testing.assert_array_equal(joined.argmax(axis=1), share.argmax(axis=1))
        np.testing.assert_allclose(joined, share, atol=5e-4)
    assert unpacked(tmp_path / "0.zip")["k"].probability["b"][1, 1] == pytest.approx(1e-6, rel=0.05)
    with pytest.raises(CalibError, match="do not sum to one"):
        packed([Kept({"key": "k", "targets": {"a": {"n": 1}}}, {"a": np.array([[0.5, 0.6]])})])


def test_a_damaged_archive_and_an_unknown_study_are_named(made: Path, tmp_path: Path) -> None:
    archived(made, tmp_path)
    file = tmp_path / "demo" / "baseline.zip"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DamagedError, match=r"baseline\.zip"):
        Archive(tmp_path).runs("demo", "baseline")
    planner = Planner(CONF, tmp_path, load=Archive(tmp_path).load)
    assert planner.jobs([Series(["mi"], ["baseline"])]) == []
    assert "Study 'mi' is not in the archive" in planner.refused["mi"]
