"""Harmony: a corrector that moves principal components until every soft cluster mixes all batches.

Korsunsky et al. 2019 (doi 10.1038/s41592-019-0619-0), computed by the library harmonypy. Its licence is the
GPL, so only the extra ``controls`` installs it.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import get_args

import numpy as np
import torch
from scipy.special import softmax
from sklearn.preprocessing import normalize

from calib.data.study import FloatArray, Samples, by_batch
from calib.data.transform import Transform
from calib.errors import check_choice, check_number, not_installed
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.methods.pca import AXES, Axes, principal_components
from calib.runtime import Runtime

RIDGE = 1.0
"""Penalty of a batch's effect in a cluster, Harmony's default."""


class Harmony(Lasting):
    """Harmony as a corrector: standardisation, PCA and Harmony on all batches together.

    Later batches are mapped onto the corrected ones, which stay as they are, by Symphony (Kang et al. 2021,
    doi 10.1038/s41467-021-25957-x).

    Args:
        transform: transform of the data before they are standardised; see ``calib.data.transform``.
        components: largest number of principal components.
        theta: weight of the diversity of batches in a cluster.
        sigma: width of the soft clusters.
        rounds: largest number of rounds of clustering and correction.

    Raises:
        CalibError: an unknown transform, or a value that is no number or too small.
    """

    version = 1
    uses_seed = True
    stored = True
    dense_copies = 2

    def __init__(
        self, transform: Transform, components: int, theta: float, sigma: float, rounds: int
    ) -> None:
        check_choice("method.corrector.transform", transform, get_args(Transform))
        check_number("components", components, least=1, whole=True)
        check_number("theta", theta, least=0)
        check_number("sigma", sigma, least=1e-6)
        check_number("rounds", rounds, least=1, whole=True)
        self.transform, self.components = transform, components
        self.theta, self.sigma, self.rounds = theta, sigma, rounds

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the corrected principal components ``(samples, components)``, and the clusters and axes.

        Raises:
            CalibError: harmonypy is not installed.
        """
        harmonypy = _harmonypy()
        seed = runtime.derived_seed("Harmony") % 2**31  # harmonypy accepts no larger one
        components, axes = principal_components(
            batches, self.transform, "none", self.components, seed, runtime
        )
        found = harmonypy.run_harmony(
            components,
            {"batch": np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])},
            "batch",
            theta=self.theta,
            sigma=self.sigma,
            nclust=max(
                1, min(round(len(components) / 30), 100)
            ),  # harmonypy's rule, which may give 0 clusters
            max_iter_harmony=self.rounds,
            verbose=False,
            random_state=seed,
            ncores=torch.get_num_threads(),
        )
        membership, corrected = np.asarray(found.R, np.float64), np.asarray(found.Z_corr, np.float64)
        learnt = {**vars(axes), "sizes": membership.sum(axis=0), "sums": membership.T @ corrected}
        return by_batch(found.Z_corr.astype(runtime.numpy_dtype), batches), learnt

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected principal components ``(samples, components)`` of a later batch."""
        axes = Axes(**{name: learnt[name] for name in AXES})
        components = axes.components(later, self.transform, "none", runtime)
        return mapped(components, learnt["sizes"], learnt["sums"], self.sigma).astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of components."""
        shapes = {**AXES, "sizes": ("clusters",), "sums": ("clusters", "dimensions")}
        return sizes(learnt, {"features": features}, **shapes)["dimensions"]


def mapped(z: FloatArray, sizes: FloatArray, sums: FloatArray, sigma: float) -> FloatArray:
    """Return a later batch's components ``(samples, components)``, moved onto Harmony's corrected ones.

    As in Symphony the samples join the soft clusters of the reference by the cosine to their centres. Then in
    each cluster a ridge regression on an intercept and the later batch, over the reference's samples and the
    new ones, gives the effect of the batch, which is subtracted.

    Args:
        z: components of the later batch along the reference's axes.
        sizes: sum of the reference's memberships in every cluster ``(clusters,)``.
        sums: sum of its corrected components, weighted by membership ``(clusters, components)``.
        sigma: width of the soft clusters.
    """
    membership = softmax(2 * normalize(z) @ normalize(sums).T / sigma, axis=1)
    moved = z.copy()
    for of_cluster, size, total in zip(membership.T, sizes, sums, strict=True):
        weight, of_batch = of_cluster.sum(), of_cluster @ z
        design = np.array([[size + weight, weight], [weight, weight + RIDGE]])
        effect = np.linalg.solve(design, np.stack([total + of_batch, of_batch]))[1]
        moved -= of_cluster[:, None] * effect
    return moved


def _harmonypy() -> ModuleType:
    """Return the library harmonypy, or raise CalibError if it is not installed."""
    try:
        import harmonypy
    except ModuleNotFoundError as error:
        raise not_installed("method=harmony", error.name, "controls") from error
    return harmonypy
