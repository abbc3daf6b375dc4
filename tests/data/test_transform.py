"""Tests of the one door that all data pass before a method sees them."""

import numpy as np
import pytest
from scipy import sparse

from calib.data.matrix import Matrix
from calib.data.study import Samples
from calib.data.transform import LARGEST, check_varies, checked, prepared_batch
from calib.errors import DataError

X = np.random.default_rng(0).gamma(2, 500, (6, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e16, -1e39, 1e300])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_values_that_methods_cannot_compute_with_are_refused(value: float, kind: type) -> None:
    x = X.copy()
    x[4, 1] = value
    for dtype in LARGEST:
        if abs(value) <= LARGEST[dtype]:
            assert checked(kind(x), "none", "none", dtype, "Batch 'a'", "uvw").shape == x.shape
            continue
        with pytest.raises(DataError, match=r"Batch 'a': feature 'v' has values such as .*rescale"):
            checked(kind(x), "none", "none", dtype, "Batch 'a'", "uvw")


def test_a_transform_may_bring_large_values_into_range() -> None:
    assert np.isfinite(checked(X * 1e30, "arcsinh", "none", "float32", "Batch 'a'", "uvw")).all()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("scale", ["standardise", "minmax"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_batch_of_equal_rows_is_not_scaled_by_itself(rows: int, scale: str, kind: type) -> None:
    x: Matrix = kind(np.repeat(X[:1], rows, axis=0))
    message = "Batch 'a' has " + ("one sample" if rows == 1 else "3 samples that are all the same")
    with pytest.raises(DataError, match=message):
        checked(x, "none", scale, "float32", "Batch 'a'", "uvw")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        prepared_batch(Samples("a", x), "arcsinh", scale, "float32")  # type: ignore[arg-type]
    prepared_batch(Samples("a", x), "arcsinh", "none", "float32")
    check_varies(kind(X[:2]), "Batch 'a'")
