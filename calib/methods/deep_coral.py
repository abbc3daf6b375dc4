"""DeepCORAL: a network whose features have the same covariance in sources and targets.

Sun & Saenko 2016 (arXiv:1607.01719), Eqs 1-3; original code https://github.com/VisionLearningGroup/CORAL.
"""

import torch
from torch import Tensor

from calib.methods.alignment import Aligned, AlignmentLoss


class DeepCoral(Aligned):
    """The CORAL loss on the features, between the rows of all sources and those of all targets."""

    aligned_by = "CORAL loss"

    def alignment(self, features: int, batches: int, generator: torch.Generator) -> "CoralLoss":
        """It has no parameters."""
        return CoralLoss()


class CoralLoss(AlignmentLoss):
    """See ``coral_loss``."""

    def forward(self, features: Tensor, sources: int, progress: float) -> Tensor:
        """The loss between sources and targets."""
        return coral_loss(features[:sources].flatten(0, 1), features[sources:].flatten(0, 1))


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances over 4 d^2 (Eq. 1).

    Args:
        source, target: ``(rows, d)``; rows may differ in number.
    """
    difference = source.T.cov() - target.T.cov()
    return difference.square().sum() / (4 * source.shape[1] ** 2)
