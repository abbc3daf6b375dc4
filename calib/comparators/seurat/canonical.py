"""Canonical correlation of batches over the same features: weights of samples whose profiles agree.

What CCA and Seurat share. The correlation is diagonal: each batch's own covariance counts as the identity,
since of few samples it has no inverse (Butler et al. 2018, doi 10.1038/nbt.4096).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.data.study import FloatArray

LARGEST = 10.0
"""Larger z-scores become this (Seurat)."""
TURNS = 25
"""Most iterations for a direction that three or more batches share."""
SETTLED = 1e-3
"""Relative change of the sum of covariances at which they end."""


def varying(batches: Sequence[FloatArray]) -> NDArray[np.bool_]:
    """Which features vary in every batch ``(features,)``."""
    return np.logical_and.reduce([np.ptp(x, axis=0) > 0 for x in batches])


def z_scores(x: FloatArray, largest: float = LARGEST) -> FloatArray:
    """Every column with mean 0 and variance 1, at most ``largest``; a constant one becomes 0."""
    constant = np.ptp(x, axis=0) == 0
    sd = x.std(axis=0, ddof=min(1, len(x) - 1))
    return np.minimum(np.where(constant, 0, x - x.mean(axis=0)) / np.where(constant, 1, sd), largest)


def most_dims(batches: Sequence[FloatArray]) -> int:
    """Most canonical dimensions of z-scored batches: each mean that is taken out costs one."""
    return min(min(x.shape) for x in batches) - 1


def canonical_pair(a: FloatArray, b: FloatArray, dims: int) -> tuple[FloatArray, FloatArray]:
    """Sample weights of two batches with the largest covariance between the weighted sums.

    Args:
        a, b: z-scored ``(samples, features)``; every sample is standardised over the features first.
        dims: number of directions, at most ``most_dims``.

    Returns:
        ``(samples of a, dims)`` and ``(samples of b, dims)``, columns of length 1; the first sample's
        weight is not negative.
    """
    # the singular vectors of a b^T, from factors no larger than the features are many
    (q_a, r_a), (q_b, r_b) = (np.linalg.qr(z_scores(x.T, np.inf).T) for x in (a, b))
    left, _, right = np.linalg.svd(r_a @ r_b.T, full_matrices=False)
    u, v = q_a @ left[:, :dims], q_b @ right[:dims].T
    sign = np.where(u[0] < 0, -1, 1)
    return u * sign, v * sign


def canonical_many(batches: Sequence[FloatArray], dims: int) -> list[FloatArray]:
    """Sample weights of several batches with the largest sum of pairwise covariances, one after another.

    The multiple CCA of Witten & Tibshirani 2009 (doi 10.2202/1544-6115.1470) without penalty, as Seurat 2
    runs it: from each batch's own principal components, one batch's weights after another's. But here a
    direction is orthogonal to those before it. The original subtracts these from the covariances, which
    leaves something of them wherever they are not orthogonal: from some direction on it may find the same
    one for ever.

    Args:
        batches: at least three; else as in ``canonical_pair``, which is the exact answer for two.

    Returns:
        ``(samples, dims)`` of every batch, columns orthonormal; the first sample's weight is not negative.
    """
    x = [z_scores(batch.T, np.inf) for batch in batches]  # (features, samples)
    starts = [principal_scores(one.T, dims) for one in x]
    found = [np.zeros((one.shape[1], dims)) for one in x]
    for d in range(dims):
        before = [one[:, :d] for one in found]
        w = [_unit(start[:, d], taken) for start, taken in zip(starts, before, strict=True)]
        profile = [one @ weights for one, weights in zip(x, w, strict=True)]
        for i in range(1, len(x)):  # the sign of a component is arbitrary: all as the first batch's
            if profile[i] @ profile[0] < 0:
                w[i], profile[i] = -w[i], -profile[i]
        last = -np.inf
        for _ in range(TURNS):
            for i, one in enumerate(x):
                w[i] = _unit(one.T @ (sum(profile) - profile[i]), before[i])
                profile[i] = one @ w[i]
            now = _pairwise(profile)
            if now - last <= SETTLED * abs(now):
                break
            last = now
        for i, weights in enumerate(w):
            found[i][:, d] = weights
    sign = np.where(found[0][0] < 0, -1, 1)
    return [one * sign for one in found]


def principal_scores(z: FloatArray, dims: int) -> FloatArray:
    """Scores of the first principal components ``(samples, dims)``; the sign of each is arbitrary.

    Args:
        z: z-scored ``(samples, features)``; not centred again.
    """
    features = z.shape[1]
    dims = min(dims, features)
    axes = eigh(z.T @ z, subset_by_index=(features - dims, features - 1))[1]
    return z @ axes[:, ::-1]


def _pairwise(profile: Sequence[FloatArray]) -> float:
    """Sum of the covariances of every two batches' profiles."""
    return float(sum(a @ b for i, a in enumerate(profile) for b in profile[:i]))


def _unit(w: FloatArray, before: FloatArray) -> FloatArray:
    """``w (samples,)`` orthogonal to the columns of ``before``, of length 1."""
    for _ in range(2):  # the second time takes out what rounding left
        w = w - before @ (before.T @ w)
    return w / (np.linalg.norm(w) or 1.0)
