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

from calib.comparators.seurat.neighbours import Index, mutual_pairs, nearest
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_number
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime

log = logging.getLogger(__name__)

KERNEL_MB = 64
"""Memory, in MB, of the distances that are held at a time; their weights take a few times as much."""


class MNN(Lasting):
    """MNN as a corrector; samples are scaled to unit length and moved to the larger batch of the first pair.

    It compares samples by the angle between them. So it expects values on a logarithmic scale, or another
    one on which large features do not outweigh all others. A later batch is merged as the next one.

    Args:
        k: nearest neighbours in the other batch among which mutual ones are looked for.
        sigma: width of the kernel ``exp(-distance**2 / sigma)`` that smooths the corrections, as in
            ``mnnCorrect``; distances are between samples of unit length.
    """

    version = 1
    uses_seed = False
    stored = True
    keeps_features = True

    def __init__(self, k: int, sigma: float) -> None:
        check_number("k", k, least=1, whole=True)
        check_number("sigma", sigma, least=1e-6)
        self.k, self.sigma = k, sigma

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the corrected data ``(samples, features)`` of every batch, and all of them merged.

        A sample of zeros has length 0.

        The two batches with the most pairs are merged first: the smaller one is corrected to the larger.
        Then follows, one after another, the batch that has the most pairs with all merged batches.

        Raises:
            CalibError: there is one batch only.
        """
        if len(batches) < 2:
            raise CalibError(f"MNN needs at least two batches; there is only '{batches[0].name}'.")
        left = {batch.name: normalize(np.ascontiguousarray(batch.dense, np.float64)) for batch in batches}
        first = self.first(left)
        merged = left.pop(first)
        done = {first: merged}
        while left:
            pairs = {name: self.pairs(merged, x) for name, x in left.items()}
            name = max(pairs, key=lambda name: len(pairs[name][0]))  # the first one, if several are equal
            log.info("MNN: batch %s by %d pairs", name, len(pairs[name][0]))
            x = left.pop(name)
            done[name] = x + correction_vectors(merged, x, *pairs[name], self.sigma)
            merged = np.concatenate([merged, done[name]])
        corrected = {batch.name: done[batch.name].astype(runtime.numpy_dtype) for batch in batches}
        return corrected, {"merged": merged}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data ``(samples, features)`` of a later batch, merged after all others."""
        merged, x = learnt["merged"], normalize(np.ascontiguousarray(later.dense, np.float64))
        pairs = self.pairs(merged, x)
        return (x + correction_vectors(merged, x, *pairs, self.sigma)).astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        return sizes(learnt, {"features": features}, merged=("samples", "features"))["features"]

    def first(self, batches: Mapping[str, FloatArray]) -> str:
        """Return the name of the larger one of the two batches with the most pairs.

        The other batches are corrected to it.
        """
        couples = list(combinations(batches, 2))
        if len(couples) > 1:
            couples.sort(key=lambda couple: -len(self.pairs(*(batches[name] for name in couple))[0]))
        return max(couples[0], key=lambda name: len(batches[name]))

    def pairs(self, a: FloatArray, b: FloatArray) -> tuple[Index, Index]:
        """Return the mutual nearest neighbours of two batches: rows of ``a`` and rows of ``b``."""
        return mutual_pairs(nearest(b, a, self.k)[0], nearest(a, b, self.k)[0])


def correction_vectors(
    reference: FloatArray, x: FloatArray, in_reference: Index, in_x: Index, sigma: float
) -> FloatArray:
    """Return the corrections ``(samples, features)``, which are to be added to the samples of ``x``.

    Each sample of ``x`` in a pair has a vector: the mean of its partners minus the sample itself. A sample's
    correction is the mean of these vectors under a Gaussian kernel. The weight of each vector is divided by
    the density of paired samples around it, so that crowded places do not outweigh the others.

    Args:
        reference: batches merged so far ``(samples, features)``.
        x: the batch to correct ``(samples, features)``.
        in_reference, in_x: rows of the pairs.
        sigma: see ``MNN``.
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
    return in_chunks(x, lambda log_kernel: softmax(log_kernel - density, axis=1) @ vectors)
