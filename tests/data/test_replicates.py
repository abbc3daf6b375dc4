"""Tests of finding replicates in the measurements, and of averaging probabilities over them."""

import numpy as np
import pytest
from scipy import sparse

from calib.data.replicates import find_replicates, over_replicates
from calib.data.split import make_task, parse_split
from calib.data.study import LabelledSamples, Study
from tests.conftest import build, compose


def rows_of_samples(sizes: list[int], noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return intensities of samples with these numbers of adjacent replicates, and each row's sample."""
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    level = rng.normal(6, 1, (len(sizes), 30))
    return np.exp(level[owner] + rng.normal(0, noise, (len(owner), 30))), owner


def test_blocks_of_another_length_are_found() -> None:
    x, owner = rows_of_samples([5, 5, 4, 5, 6, 5, 3, 5, 5, 1, 5])
    assert np.array_equal(find_replicates(x, 5), owner)
    assert np.array_equal(find_replicates(sparse.csr_array(x), 5), owner)


def test_the_scale_of_a_feature_does_not_matter() -> None:
    x, owner = rows_of_samples([4, 4, 3, 4, 4])
    assert np.array_equal(find_replicates(x * np.geomspace(1, 100, 30), 4), owner)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_and_rows_that_are_all_alike(rows: int) -> None:
    assert len(find_replicates(np.zeros((rows, 3)), 5)) == rows
    assert np.array_equal(find_replicates(np.ones((10, 3)), 5), np.repeat([0, 1], 5))


def test_probabilities_are_averaged_as_logarithms() -> None:
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    mean = over_replicates(p, np.array(["a", "a", "b"]))
    weights = np.sqrt([0.9 * 0.5, 0.1 * 0.5])
    assert np.allclose(mean[:2], weights / weights.sum())
    assert np.allclose(mean[2], p[2])
    assert np.array_equal(over_replicates(p, np.arange(3)).argmax(axis=1), p.argmax(axis=1))


def test_a_task_tells_replicates_and_no_subjects(study: Study) -> None:
    task = make_task(study, parse_split("12_3", study))
    for batch in task.batches:
        assert np.array_equal(batch.replicate, study.batches[batch.name].replicate)
        assert not hasattr(batch, "subject")
    assert isinstance(task.sources[0], LabelledSamples)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mi", "chd"])
@pytest.mark.usefixtures("data_dir")
def test_real_replicates_are_found_without_labels(name: str) -> None:
    """Check with the labels that no batch has more than one block of two classes."""
    for batch in build(compose(f"dataset={name}").dataset).batches.values():
        assert batch.y is not None
        assert batch.replicate is not None
        mixed = sum(len(np.unique(batch.y[batch.replicate == one])) > 1 for one in np.unique(batch.replicate))
        assert mixed <= 1
        assert abs(len(np.unique(batch.replicate)) - len(np.unique(batch.subject))) <= 17
