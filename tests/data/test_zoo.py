"""Tests of the public studies: their files as they are, read and counted."""

import re
from functools import cache

import numpy as np
import pytest

from calib.commands.fetch import published
from calib.config import build
from calib.data.downloads import find
from calib.data.study import Study
from calib.runs.series import public_studies
from tests.conftest import CONF, compose

STUDIES = list(public_studies(CONF))

SHAPES = {
    "stemcells": (400, [38, 51, 21, 15]),
    "crc": (484, [107, 55, 104, 128, 157]),
    "pancreas_500": (325, [100, 100, 100, 100, 100]),
    "pbmc": (500, [290, 480, 430]),
    "mtbls79": (500, [16, 20, 20, 16, 12, 15, 17, 18]),
    "pancreas_1000": (325, [75, 140, 42, 603, 140]),
    "cellmix": (500, [240, 210, 156, 163, 252]),
    "ecoli": (500, [24, 23, 23, 24, 24]),
    "quartet": (500, [12] * 15),
    "autism": (500, [101, 96, 45, 8]),
}
"""Features that are kept, and samples of each batch, counted by another reader of the same files."""


@cache
def loaded(name: str) -> Study:
    """Return a study, or skip the test where its files are not here."""
    config = compose(f"dataset={name}").dataset
    paths = [config.path] if "path" in config else [file.path for file in files(name)]
    if not all(find(path) for path in paths):
        pytest.skip(f"the files of {name} are not here: make data STUDY={name} fetches them")
    return build(config)


def files(name: str) -> list:
    config = compose(f"dataset={name}").dataset
    parts = [config[key] for key in ("values", "table")]
    return [file for part in parts for file in ([part] if "path" in part else part)]


def test_each_study_is_in_one_part() -> None:
    assert len(STUDIES) == len(set(STUDIES)) == 10
    assert set(STUDIES) == set(SHAPES)
    assert set(STUDIES) <= set(published())


@pytest.mark.parametrize("name", STUDIES)
def test_its_card_says_what_it_is_and_its_files_are_pinned(name: str) -> None:
    config = compose(f"dataset={name}").dataset
    said = ("summary", "batch", "class", "values", "subjects", "good_for", "licence", "doi", "source")
    assert all(config.card[key] for key in said)
    assert re.search(r"/[0-9a-f]{40}/", config.url), "the address names a commit"
    if "path" not in config:
        assert config.card.replicates
        assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in files(name))


@pytest.mark.parametrize("name", STUDIES)
def test_it_has_the_samples_of_its_card(name: str) -> None:
    study = loaded(name)
    features, sizes = SHAPES[name]
    assert [batch.x.shape for batch in study.batches.values()] == [(size, features) for size in sizes]
    assert study.n_sources == len(sizes) - 1
    config = compose(f"dataset={name}").dataset
    expected = config.get("expected") or config.cell_types
    assert study.classes == list(expected)
    for place, batch in enumerate(study.batches.values()):
        counts = np.bincount(batch.y, minlength=len(expected))  # type: ignore[arg-type]
        assert counts.tolist() == [numbers[place] for numbers in expected.values()]
        assert np.isfinite(batch.dense).all()


def test_a_pool_is_measured_in_every_batch() -> None:
    batches = loaded("mtbls79").batches.values()
    assert [len(batch.reference) for batch in batches] == [7, 4, 4, 4, 5, 5, 5, 4]  # type: ignore[arg-type]
    animals = [set(batch.subject) for batch in batches]  # type: ignore[arg-type]
    assert set.union(*animals) == {f"{kind}{n}" for kind in "CS" for n in range(1, 11)}


def test_doublets_are_left_out() -> None:
    assert sum(map(len, loaded("cellmix").batches.values())) == 1021
