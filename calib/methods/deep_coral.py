"""DeepCORAL: a network trained so that its features have the same covariance in sources and targets.

Sun & Saenko 2016 (arXiv:1607.01719), Eqs 1-3; original code https://github.com/VisionLearningGroup/CORAL.
The training is in ``alignment.py``.
"""

import torch
from torch import Tensor

from calib.data.study import Task
from calib.errors import CalibError
from calib.methods.alignment import Aligned, AlignmentLoss, FittedAligned
from calib.runtime import Runtime


class DeepCoral(Aligned):
    """A method with the CORAL loss on the features, between the rows of all sources and of all targets."""

    aligned_by = "CORAL loss"
    needs_targets = True

    def fit(self, task: Task, runtime: Runtime) -> FittedAligned:
        """Train on all batches; targets take part without labels.

        Raises:
            CalibError: a mini-batch has one row of the sources or of the targets, and so no covariance.
        """
        rows = min(self.schedule.batch_size, max(map(len, task.batches)))
        if rows * min(len(task.sources), len(task.targets)) < 2:
            raise CalibError(
                "DeepCORAL needs two rows of sources and two of targets in a mini-batch; choose batches "
                "with more samples, or a larger method.batch_size."
            )
        return super().fit(task, runtime)

    def alignment(self, features: int, batches: int, generator: torch.Generator) -> "CoralLoss":
        """Return the CORAL loss, which has no parameters."""
        return CoralLoss()


class CoralLoss(AlignmentLoss):
    """The function ``coral_loss`` as an alignment loss."""

    def forward(self, features: Tensor, sources: int, progress: float) -> Tensor:
        """Return the CORAL loss between the rows of all sources and those of all targets."""
        return coral_loss(features[:sources].flatten(0, 1), features[sources:].flatten(0, 1))


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return the squared Frobenius distance of the covariances, divided by 4 d^2 (Eq. 1).

    Args:
        source, target: features ``(rows, d)``; the numbers of rows may differ.
    """
    difference = source.T.cov() - target.T.cov()
    return difference.square().sum() / (4 * source.shape[1] ** 2)
