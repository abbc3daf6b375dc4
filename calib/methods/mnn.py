"""MNN: a corrector that moves batches by the differences between their mutual nearest neighbours.

Haghverdi, Lun, Morgan & Marioni 2018 (doi 10.1038/nbt.4091), computed as by the authors' ``mnnCorrect``
(Bioconductor, first scran and now batchelor).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import sparse
from scipy.special import logsumexp, softmax
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import normalize

from calib.comparators.neighbours import Index, exactly_nearest, mutual_pairs
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_number
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime

log = logging.getLogger(__name__)

KERNEL_MB = 64
"""Memory, in MB, of the distances that are held at a time; their weights take a few times as much."""
DRAWN = 2_000
"""Most samples of a batch among which pairs are looked for; of a larger batch so many are drawn at random."""
SEED = 0
"""Seed of this draw, which is fixed so that corrections do not depend on a run's seed."""


class MNN(Lasting):
    """MNN as a corrector; samples are scaled to unit length and moved to the larger batch of the first pair.

    It compares samples by the angle between them. So it expects values on a logarithmic scale, or another
    one on which large features do not outweigh all others. A later batch is merged as the next one.

    Pairs are looked for among at most ``DRAWN`` samples of a batch, exactly. All samples are corrected by the
    pairs of these. So time and memory grow in proportion to the samples, and no batch of fewer is touched.

    Args:
        k: nearest neighbours in the other batch among which mutual ones are looked for.
        sigma: width of the kernel ``exp(-distance**2 / sigma)`` that smooths the corrections, as in
            ``mnnCorrect``; distances are between samples of unit length.
    """

    version = 1
    uses_seed = False
    stored = True
    dense_copies = 3
    keeps_features = True

    def __init__(self, k: int, sigma: float) -> None:
        check_number("k", k, least=1, whole=True)
        check_number("sigma", sigma, least=1e-6)
        self.k, self.sigma = k, sigma

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the corrected data ``(samples, features)`` of every batch, and those searched, merged.

        A sample of zeros has length 0.

        The two batches with the most pairs are merged first: the smaller one is corrected to the larger.
        Then follows, one after another, the batch that has the most pairs with all merged batches.

        Raises:
            CalibError: there is one batch only.
        """
        if len(batches) < 2:
            raise CalibError(f"MNN needs at least two batches; there is only '{batches[0].name}'.")
        left = {batch.name: normalize(np.ascontiguousarray(batch.dense, np.float64)) for batch in batches}
        searched = {name: drawn(x) for name, x in left.items()}
        first = self.first(searched, {name: len(x) for name, x in left.items()})
        done, merged = {first: left.pop(first)}, searched.pop(first)
        while left:
            pairs = {name: self.pairs(merged, x) for name, x in searched.items()}
            name = max(pairs, key=lambda name: len(pairs[name][0]))  # the first one, if several are equal
            log.info("MNN: batch %s by %d pairs", name, len(pairs[name][0]))
            x, own = left.pop(name), searched.pop(name)
            done[name] = x + correction_vectors(merged, own, *pairs[name], self.sigma, x)
            merged = np.concatenate([merged, drawn(done[name])])
        corrected = {batch.name: done[batch.name].astype(runtime.numpy_dtype) for batch in batches}
        return corrected, {"merged": merged}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data ``(samples, features)`` of a later batch, merged after all others."""
        merged, x = learnt["merged"], normalize(np.ascontiguousarray(later.dense, np.float64))
        own = drawn(x)
        pairs = self.pairs(merged, own)
        return (x + correction_vectors(merged, own, *pairs, self.sigma, x)).astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        return sizes(learnt, {"features": features}, merged=("samples", "features"))["features"]

    def first(self, batches: Mapping[str, FloatArray], counts: Mapping[str, int]) -> str:
        """Return the name of the larger one of the two batches with the most pairs.

        The other batches are corrected to it.

        Args:
            batches: the searched samples ``(samples, features)`` of every batch.
            counts: number of all samples of every batch.
        """
        couples = list(combinations(batches, 2))
        if len(couples) > 1:
            couples.sort(key=lambda couple: -len(self.pairs(*(batches[name] for name in couple))[0]))
        return max(couples[0], key=lambda name: counts[name])

    def pairs(self, a: FloatArray, b: FloatArray) -> tuple[Index, Index]:
        """Return the mutual nearest neighbours of two batches: rows of ``a`` and rows of ``b``."""
        return mutual_pairs(exactly_nearest(b, a, self.k)[0], exactly_nearest(a, b, self.k)[0])


def drawn(x: FloatArray) -> FloatArray:
    """Return the samples ``(samples, features)`` of a batch that are searched, in their order."""
    if len(x) <= DRAWN:
        return x
    return x[np.sort(np.random.default_rng(SEED).choice(len(x), DRAWN, replace=False))]


def correction_vectors(
    reference: FloatArray, x: FloatArray, in_reference: Index, in_x: Index, sigma: float, whole: FloatArray
) -> FloatArray:
    """Return the corrections ``(samples, features)``, which are to be added to the samples of ``whole``.

    Each sample of ``x`` in a pair has a vector: the mean of its partners minus the sample itself. A sample's
    correction is the mean of these vectors under a Gaussian kernel. The weight of each vector is divided by
    the density of paired samples around it, so that crowded places do not outweigh the others.

    Args:
        reference: batches merged so far ``(samples, features)``.
        x: the searched samples of the batch to correct ``(samples, features)``.
        in_reference, in_x: rows of the pairs.
        sigma: see ``MNN``.
        whole: all samples of this batch ``(samples, features)``.
    """
    paired, owner, partners = np.unique(in_x, return_inverse=True, return_counts=True)
    share = sparse.csr_array((1 / partners[owner], (owner, in_reference)), (len(paired), len(reference)))
    vectors = share @ reference - x[paired]

    def in_chunks(a: FloatArray, reduce: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Return ``reduce`` of the log kernel between ``a`` and the paired samples, computed in chunks."""
        chunks = pairwise_distances_chunked(
            a,
            x[paired],
            reduce_func=lambda d2, start: reduce(-d2 / sigma),
            working_memory=KERNEL_MB,
            metric="euclidean",
            squared=True,
        )
        return np.concatenate(list(chunks))

    density = in_chunks(x[paired], lambda log_kernel: logsumexp(log_kernel, axis=1))
    return in_chunks(whole, lambda log_kernel: softmax(log_kernel - density, axis=1) @ vectors)
