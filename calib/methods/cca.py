"""CCA: canonical directions that batches share, each warped onto those of the largest batch.

Butler, Hoffman, Smibert, Papalexi & Satija 2018 (doi 10.1038/nbt.4096), computed as by ``RunCCA``,
``RunMultiCCA`` and ``AlignSubspace`` of Seurat 2.3. The parts are in ``calib.comparators.seurat``.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from calib.comparators.seurat.canonical import canonical_many, canonical_pair, most_dims, varying, z_scores
from calib.comparators.seurat.warping import align
from calib.data.study import FloatArray, Samples, by_batch
from calib.errors import CalibError, check_flag, check_number
from calib.runtime import Runtime

log = logging.getLogger(__name__)


class CCA:
    """CCA as a corrector; the corrected data are the aligned canonical coordinates of every sample.

    It expects values on a logarithmic scale and z-scores the features within each batch.

    Args:
        dims: number of canonical directions, at most one fewer than the smallest batch has samples and one
            fewer than features vary in all batches.
        warp: whether to align the directions; false leaves them as they are.
    """

    version = 1
    uses_seed = False
    stored = True
    dense_copies = 3

    def __init__(self, dims: int, warp: bool) -> None:
        check_number("dims", dims, least=1, whole=True)
        check_flag("warp", warp)
        self.dims, self.warp = dims, warp

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        """Return coordinates ``(samples, dims)`` of every batch, with mean 0 and variance 1 over all batches.

        Raises:
            CalibError: there is one batch only, or fewer than two samples or features that vary.
        """
        if len(batches) < 2:
            raise CalibError(f"CCA needs at least two batches; there is only '{batches[0].name}'.")
        x = [np.ascontiguousarray(batch.dense, np.float64) for batch in batches]
        used = varying(x)
        if used.sum() < 2:
            raise CalibError(
                f"CCA needs at least two features that vary in every batch; there are {used.sum()}."
            )
        z = [z_scores(data[:, used]) for data in x]
        dims = min(self.dims, most_dims(z))
        weights = list(canonical_pair(z[0], z[1], dims)) if len(z) == 2 else canonical_many(z, dims)
        if self.warp:
            weights = aligned(weights, z)
        embedding = z_scores(np.concatenate(weights), np.inf).astype(runtime.numpy_dtype)
        return by_batch(embedding, batches)


def aligned(weights: Sequence[FloatArray], z: Sequence[FloatArray]) -> list[FloatArray]:
    """Return the sample weights ``(samples, dims)`` of every batch, warped onto those of the largest batch.

    Directions are warped one by one. A direction that no feature follows alike in both batches is kept as it
    is.

    Args:
        weights: sample weights ``(samples, dims)`` of every batch before warping.
        z: z-scored data ``(samples, features)`` of every batch.
    """
    largest = max(range(len(z)), key=lambda i: len(z[i]))  # the first one, if several are equally large
    found = [own.copy() for own in weights]
    for i in range(len(z)):
        for d in range(weights[i].shape[1]) if i != largest else ():
            values = align(weights[i][:, d], z[i], weights[largest][:, d], z[largest])
            if values is None:
                log.warning("CCA: direction %d of a batch agrees in no feature and is not aligned.", d + 1)
            else:
                found[i][:, d] = values
    return found
