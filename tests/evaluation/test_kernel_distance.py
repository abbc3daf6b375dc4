"""The MMD in NumPy is that of the paper's model in PyTorch."""

import numpy as np
import pytest
import torch

from calib import mmd
from calib.evaluation.kernel_distance import median_distance, unbiased_mmd2


def test_it_is_the_mmd_of_the_model() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(rows, 6)) + shift for rows, shift in ((9, 0.0), (14, 0.2), (11, 1.0))]
    tensors = [torch.as_tensor(group) for group in groups]
    widths = [0.7, 1.4, 5.0]
    assert unbiased_mmd2(groups, widths) == pytest.approx(
        mmd.mmd2_matrix(tensors, widths, biased=False).numpy(), abs=1e-12
    )
    for rows in (groups[0], np.concatenate(groups), np.zeros((4, 2))):
        assert median_distance(rows) == pytest.approx(float(mmd.median_distance(torch.as_tensor(rows))))
