"""Principal components of all batches: what leaving fewer dimensions costs, without any calibration.

Harmony, CCA, BERMUDA and DESC return 16 to 128 dimensions. A difference between one of them and uncorrected
data is the worth of its calibration and the cost of its dimensions at once. Beside as many principal
components before the same classifier, the first is seen alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from calib.data.matrix import dense
from calib.data.study import FloatArray, Samples, by_batch
from calib.data.transform import BatchScale, Transform, prepared_batch
from calib.errors import check_choice, check_number
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime


class PrincipalComponents(Lasting):
    """Principal components of all batches together as a corrector, which corrects nothing by itself.

    Args:
        dimensions: largest number of components.
        transform, batch_scale: how each batch is prepared by itself; see ``calib.data.transform``. After that
            every feature gets mean 0 and standard deviation 1 over all batches.

    Raises:
        CalibError: an unknown transform or scale, or a number of dimensions that is none.
    """

    version = 1
    uses_seed = True  # scikit-learn's solver for many samples and features draws random numbers
    stored = False

    def __init__(self, dimensions: int, transform: Transform, batch_scale: BatchScale) -> None:
        check_number("dimensions", dimensions, least=1, whole=True)
        check_choice("method.corrector.transform", transform, get_args(Transform))
        check_choice("method.corrector.batch_scale", batch_scale, get_args(BatchScale))
        self.dimensions, self.transform, self.batch_scale = dimensions, transform, batch_scale

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the components ``(samples, dimensions)`` of every batch, of the largest variance first."""
        components, axes = principal_components(
            batches, self.transform, self.batch_scale, self.dimensions, runtime.derived_seed("PCA"), runtime
        )
        return by_batch(components.astype(runtime.numpy_dtype), batches), vars(axes)

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the components ``(samples, dimensions)`` of a later batch, along the same axes."""
        axes = Axes(**learnt)
        return axes.components(later, self.transform, self.batch_scale, runtime).astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of components."""
        return sizes(learnt, {"features": features}, **AXES)["dimensions"]


AXES = {"mean": ("features",), "scale": ("features",), "axes": ("dimensions", "features")}
"""Dimensions of the arrays of ``Axes``."""


@dataclass(frozen=True)
class Axes:
    """Axes of principal components.

    Attributes:
        mean, scale: mean and standard deviation of the features ``(features,)``, after the transform.
        axes: the axes ``(dimensions, features)``, of length 1 in units of the standard deviations.
    """

    mean: FloatArray
    scale: FloatArray
    axes: FloatArray

    def components(
        self, batch: Samples, transform: Transform, batch_scale: BatchScale, runtime: Runtime
    ) -> FloatArray:
        """Return the components ``(samples, dimensions)`` of a batch, in float64."""
        x = dense(prepared_batch(batch, transform, batch_scale, replace(runtime, dtype=torch.float64)))
        return (x - self.mean) / self.scale @ self.axes.T


def principal_components(
    batches: Sequence[Samples],
    transform: Transform,
    batch_scale: BatchScale,
    dimensions: int,
    seed: int,
    runtime: Runtime,
) -> tuple[FloatArray, Axes]:
    """Return the principal components ``(samples, dimensions)`` of all batches, in float64, and their axes.

    Args:
        batches: batches in their order.
        transform, batch_scale, dimensions: see ``PrincipalComponents``.
        seed: of scikit-learn's random solver.
        runtime: gives the unit of the data.

    Raises:
        DataError: a batch is to be scaled by itself and has no two different rows.
    """
    exact = replace(runtime, dtype=torch.float64)
    x = np.concatenate([dense(prepared_batch(b, transform, batch_scale, exact)) for b in batches])
    scaler = StandardScaler()
    pca = PCA(min(dimensions, *x.shape), random_state=seed % 2**31)  # scikit-learn accepts no larger seed
    components: FloatArray = pca.fit_transform(scaler.fit_transform(x))
    return components, Axes(scaler.mean_, scaler.scale_, pca.components_)
