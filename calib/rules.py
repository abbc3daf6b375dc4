"""Options of the protocol for trainings: choices without anything that computes, so without PyTorch."""

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from calib.errors import check_choice, check_flag

PAPER_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Kernel widths sigma of the released code, in the unit of the codes; the text gives none."""

MEDIAN_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Kernel widths of the median heuristic, in units of the median distance."""

Statistics = Literal["running", "own"]
"""Which mean and variance a batch norm uses when it predicts."""


@dataclass(frozen=True)
class Rules:
    """Options of the protocol for mini-batches and optimisers; ``conf/protocol/paper.yaml`` explains each.

    Raises:
        CalibError: an option has a value outside its choices.
    """

    redraw_each_repetition: bool
    optimizer: Literal["per_step", "shared"]
    idle_gradient: Literal["none", "zero"]
    rebuild_optimizer_each_epoch: bool
    lr_decay: Literal["staircase_iterations", "continuous_epochs"]
    weight_decay: Literal["coupled", "decoupled"]
    discard_first_shuffle: bool

    def __post_init__(self) -> None:
        for option, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal:
                check_choice(option, getattr(self, option), get_args(kind))
            elif kind is bool:
                check_flag(option, getattr(self, option))
