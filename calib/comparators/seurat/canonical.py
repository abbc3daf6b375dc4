"""Canonical correlation of batches over the same features, which finds sample weights with alike profiles.

``calib.methods.cca`` and ``anchors.py`` (for ``calib.methods.seurat``) use it. The correlation is diagonal:
the covariance of each batch is taken to be the identity, because that of few samples has no inverse (Butler
et al. 2018, doi 10.1038/nbt.4096).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.data.study import FloatArray

LARGEST = 10.0
"""Largest z-score; larger ones become this (Seurat)."""
TURNS = 25
"""Largest number of iterations for a direction that three or more batches share."""
SETTLED = 1e-3
"""Relative change of the sum of covariances at which these iterations end."""


def varying(batches: Sequence[FloatArray]) -> NDArray[np.bool_]:
    """Return whether each feature varies in every batch ``(features,)``."""
    return np.logical_and.reduce([np.ptp(x, axis=0) > 0 for x in batches])


def z_scores(x: FloatArray, largest: float = LARGEST) -> FloatArray:
    """Return every column with mean 0 and variance 1, at most ``largest``; a constant column becomes 0."""
    constant = np.ptp(x, axis=0) == 0
    sd = x.std(axis=0, ddof=min(1, len(x) - 1))
    return np.minimum(np.where(constant, 0, x - x.mean(axis=0)) / np.where(constant, 1, sd), largest)


def most_dims(batches: Sequence[FloatArray]) -> int:
    """Return the largest number of canonical dimensions of z-scored batches; subtracting means costs one."""
    return min(min(x.shape) for x in batches) - 1


def canonical_pair(a: FloatArray, b: FloatArray, dims: int) -> tuple[FloatArray, FloatArray]:
    """Return sample weights of two batches with the largest covariance between the weighted sums.

    Args:
        a, b: z-scored data ``(samples, features)``; every sample is standardised over the features first.
        dims: number of directions, at most ``most_dims``.

    Returns:
        Weights ``(samples of a, dims)`` and ``(samples of b, dims)``, with columns of length 1; the first
        sample's weights in ``a`` are not negative.
    """
    # The singular vectors of a b^T come from QR factors, whose size is at most the number of features.
    (q_a, r_a), (q_b, r_b) = (np.linalg.qr(z_scores(x.T, np.inf).T) for x in (a, b))
    left, _, right = np.linalg.svd(r_a @ r_b.T, full_matrices=False)
    u, v = q_a @ left[:, :dims], q_b @ right[:dims].T
    sign = np.where(u[0] < 0, -1, 1)
    return u * sign, v * sign


def canonical_many(batches: Sequence[FloatArray], dims: int) -> list[FloatArray]:
    """Return sample weights of several batches with the largest sum of pairwise covariances.

    This is the multiple CCA of Witten & Tibshirani 2009 (doi 10.2202/1544-6115.1470) without penalty, as
    Seurat 2 runs it: direction by direction, from each batch's own principal components, it updates one
    batch's weights after another's. But here each direction is orthogonal to those before it. The original
    subtracts those from the covariances, which leaves a part of them if they are not orthogonal: from some
    direction on it may find the same one again and again.

    Args:
        batches: z-scored data ``(samples, features)`` of at least three batches; for two, ``canonical_pair``
            gives the exact answer.
        dims: number of directions, at most ``most_dims``.

    Returns:
        Weights ``(samples, dims)`` of every batch, with orthonormal columns; the first sample's weights in
        the first batch are not negative.
    """
    x = [z_scores(batch.T, np.inf) for batch in batches]  # (features, samples)
    starts = [principal_scores(data.T, dims) for data in x]
    found = [np.zeros((data.shape[1], dims)) for data in x]
    for d in range(dims):
        before = [weights[:, :d] for weights in found]
        w = [_unit(start[:, d], taken) for start, taken in zip(starts, before, strict=True)]
        profile = [data @ weights for data, weights in zip(x, w, strict=True)]
        for i in range(1, len(x)):  # a component's sign is arbitrary, so all follow the first batch's
            if profile[i] @ profile[0] < 0:
                w[i], profile[i] = -w[i], -profile[i]
        last = -np.inf
        for _ in range(TURNS):
            for i, data in enumerate(x):
                w[i] = _unit(data.T @ (sum(profile) - profile[i]), before[i])
                profile[i] = data @ w[i]
            now = _pairwise(profile)
            if now - last <= SETTLED * abs(now):
                break
            last = now
        for i, weights in enumerate(w):
            found[i][:, d] = weights
    sign = np.where(found[0][0] < 0, -1, 1)
    return [weights * sign for weights in found]


def principal_scores(z: FloatArray, dims: int) -> FloatArray:
    """Return the scores of the first principal components ``(samples, dims)``; their signs are arbitrary.

    Args:
        z: z-scored data ``(samples, features)``, which are not centred again.
        dims: number of components; at most one for each feature is returned.
    """
    features = z.shape[1]
    dims = min(dims, features)
    axes = eigh(z.T @ z, subset_by_index=(features - dims, features - 1))[1]
    return z @ axes[:, ::-1]


def _pairwise(profile: Sequence[FloatArray]) -> float:
    """Return the sum of the covariances of every two batches' profiles."""
    return float(sum(a @ b for i, a in enumerate(profile) for b in profile[:i]))


def _unit(w: FloatArray, before: FloatArray) -> FloatArray:
    """Return ``w (samples,)``, made orthogonal to the columns of ``before`` and of length 1."""
    for _ in range(2):  # the second pass removes what rounding left of them
        w = w - before @ (before.T @ w)
    return w / (np.linalg.norm(w) or 1.0)
