"""Harmony: a corrector that moves principal components until every soft cluster mixes all batches.

Korsunsky et al. 2019 (doi 10.1038/s41592-019-0619-0), computed by the library harmonypy. Its licence is the
GPL, so only the extra ``controls`` installs it.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import get_args

import numpy as np
import torch

from calib.data.study import FloatArray, Samples, by_batch
from calib.data.transform import Transform
from calib.errors import CalibError, check_choice, check_number
from calib.methods.pca import principal_components
from calib.runtime import Runtime


class Harmony:
    """Harmony as a corrector: standardisation, PCA and Harmony on all batches together.

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

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        """Return the corrected principal components ``(samples, components)`` of every batch.

        Raises:
            CalibError: harmonypy is not installed.
        """
        harmonypy = _harmonypy()
        seed = runtime.derived_seed("Harmony") % 2**31  # harmonypy accepts no larger one
        components = principal_components(batches, self.transform, "none", self.components, seed, runtime)
        corrected = harmonypy.run_harmony(
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
        ).Z_corr.astype(runtime.numpy_dtype)
        return by_batch(corrected, batches)


def _harmonypy() -> ModuleType:
    """Return the library harmonypy, or raise CalibError if it is not installed."""
    try:
        import harmonypy
    except ModuleNotFoundError as error:
        raise CalibError(
            f"method=harmony needs the package {error.name}, which is not installed: "
            "pip install -c constraints.txt -e '.[controls]'."
        ) from error
    return harmonypy
