"""The protocol: one named option for each difference between the paper's text and the released code.

``conf/protocol/{paper,released}.yaml`` hold the values, with the reason beside each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from calib.data.transform import BatchScale, Transform
from calib.errors import CalibError, check_choice
from calib.rules import Rules, Statistics


@dataclass(frozen=True)
class Protocol(Rules):
    """All options of one protocol; ``conf/protocol/paper.yaml`` explains each.

    Raises:
        CalibError: an option has a value outside its choices.
    """

    name: str
    transform: Transform
    batch_scale: BatchScale
    residual: Literal["normalised", "activated"]
    mmd_pairs: Literal["mean", "sum_ordered"]
    kernel_widths: Sequence[float] | str
    class_loss_over_sources: Literal["mean", "sum"]
    class_loss_multiclass: Literal["sum", "mean"]
    reconstruction_over_sources: Literal["mean", "sum"]
    calibrator_test_statistics: Statistics
    discriminator_test_statistics: Statistics
    reported_auc: Literal["auc", "auc_hard"]
    cv_folds: int
    cv_fresh_network: bool
    cv_group_by_subject: bool

    NOT_USED_BY_METHODS: ClassVar = ("reported_auc", "cv_folds", "cv_fresh_network", "cv_group_by_subject")
    """Options that do not change how a method trains or predicts.

    They choose the metric that is shown, or a cross-validation passes them to its method by name.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.kernel_widths, str):
            check_choice("kernel_widths", self.kernel_widths, ["median"])
        elif not self.kernel_widths or min(self.kernel_widths) <= 0:
            raise CalibError("kernel_widths must be positive numbers, as in [1,2,4,8,16], or 'median'.")
