"""Where the paper's text and the released code differ: one named option for each difference.

The values live in ``conf/protocol/{paper,released}.yaml``, with the reason beside each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from calib.data.transform import BatchScale, Transform
from calib.errors import CalibError, check_choice, check_number
from calib.nets import Statistics


@dataclass(frozen=True)
class Protocol:
    """The options of one protocol; see ``conf/protocol/paper.yaml`` for what each means.

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
    redraw_each_repetition: bool
    optimizer: Literal["per_step", "shared"]
    idle_gradient: Literal["none", "zero"]
    rebuild_optimizer_each_epoch: bool
    lr_decay: Literal["staircase_iterations", "continuous_epochs"]
    weight_decay: Literal["coupled", "decoupled"]
    discard_first_shuffle: bool
    calibrator_test_statistics: Statistics
    discriminator_test_statistics: Statistics
    reported_auc: Literal["auc", "auc_hard"]
    cv_folds: int
    cv_fresh_network: bool
    cv_group_by_subject: bool

    def __post_init__(self) -> None:
        for option, kind in get_type_hints(Protocol).items():
            value = getattr(self, option)
            if get_origin(kind) is Literal:
                check_choice(f"protocol.{option}", value, get_args(kind))
            elif kind is bool:
                check_choice(f"protocol.{option}", value, (True, False))
        if isinstance(self.kernel_widths, str):
            check_choice("protocol.kernel_widths", self.kernel_widths, ["median"])
        elif not self.kernel_widths or min(self.kernel_widths) <= 0:
            raise CalibError(
                "protocol.kernel_widths must be positive numbers, as in [1,2,4,8,16], or 'median'."
            )
        check_number("protocol.cv_folds", self.cv_folds, least=2, whole=True)
