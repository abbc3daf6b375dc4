"""CORAL: a mapper that replaces the source's covariance by the target's.

Sun, Feng & Saenko 2016 (arXiv:1511.05547), Algorithm 1; original code https://github.com/VisionLearningGroup/CORAL.
"""

import numpy as np
from numpy.typing import NDArray

from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_number
from calib.runtime import Runtime

Array = NDArray[np.floating]


class Coral:
    """CORAL as a mapper, which leaves means unchanged; the paper standardises each batch's features first.

    Args:
        ridge: added to the diagonal of both covariances, in squared units of the data; the paper has 1.

    Raises:
        CalibError: ridge is no number, or so small that a covariance may have no inverse.
    """

    version = 2
    uses_seed = False

    def __init__(self, ridge: float) -> None:
        check_number("ridge", ridge, least=1e-6)
        self.ridge = ridge

    def map(self, source: Samples, target: Samples, runtime: Runtime) -> FloatArray:
        """Return the source's rows ``(samples, features)`` with the target's covariance.

        Raises:
            CalibError: a batch has one sample, and so no covariance.
        """
        for batch in (source, target):
            if len(batch) < 2:
                raise CalibError(
                    f"CORAL needs two samples of a batch, and batch '{batch.name}' has one; leave it out."
                )
        return coral(source.dense, target.dense, self.ridge).astype(runtime.numpy_dtype)


def coral(source: Array, target: Array, ridge: float = 1.0) -> Array:
    """Return source rows with the target's covariance, ``D_S C_S^(-1/2) C_T^(1/2)``, around their own mean.

    Args:
        source, target: ``(rows, features)``.
        ridge: see ``Coral``.

    Returns:
        ``(source rows, features)``, float64.
    """
    whiten = symmetric_power(covariance(source, ridge), -0.5)
    colour = symmetric_power(covariance(target, ridge), 0.5)
    mean = source.mean(axis=0, dtype=np.float64)
    return mean + (source - mean) @ whiten @ colour


def covariance(x: Array, ridge: float) -> Array:
    """Return the covariance of the features (over rows - 1) plus ``ridge`` times the identity."""
    return np.cov(x, rowvar=False, dtype=np.float64).reshape(x.shape[1], -1) + ridge * np.eye(x.shape[1])


def symmetric_power(matrix: Array, exponent: float) -> Array:
    """Return a symmetric positive definite matrix raised to a real power."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T
