"""The scale of the sources, on which classifiers that depend on the scale of features learn.

Correctors leave data on scales of their own: MNN's samples have length 1, ComBat's keep the unit of the data.
A penalty, a kernel of one width or a distance then counts features by their variance, and the first layer of
a network starts far from its input. Standardised by the sources, each feature counts alike behind every
corrector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from calib.data.matrix import blocks, dense
from calib.data.study import FloatArray, Samples


@dataclass(frozen=True)
class SourceScale:
    """Mean and deviation of each feature over the rows of all sources together; no label is used.

    Attributes:
        mean: mean of each feature ``(features,)``, float64.
        factor: inverse of its standard deviation ``(features,)``, float64. It is 0 for a feature that is
            constant in the sources, which becomes 0 in every batch: nothing could be learnt of it.
    """

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, sources: Sequence[Samples]) -> "SourceScale":
        """Return the scale of the sources; sparse and dense data give the same numbers."""
        scaler = StandardScaler()
        for source in sources:
            for rows in blocks(source.x):
                scaler.partial_fit(dense(source.x[rows]).astype(np.float64))
        varies = np.sqrt(scaler.var_) == scaler.scale_  # scikit-learn divides a constant feature by 1
        return cls(scaler.mean_, np.where(varies, 1 / scaler.scale_, 0.0))

    def __call__(self, x: FloatArray) -> NDArray[np.float64]:
        """Return rows ``(samples, features)`` on the scale of the sources, as float64."""
        return (x.astype(np.float64) - self.mean) * self.factor
