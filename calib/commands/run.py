"""One experiment, or a sweep of them: ``calib run dataset=mi`` is ``python run.py dataset=mi``."""

from omegaconf import DictConfig

from calib.registry import CONF
from calib.runs.again import found_again, remember
from calib.runs.cli import main


def carry_out(config: DictConfig) -> None:
    """Carry out the runs of a configuration, or show them if they are recorded.

    What computes is imported only if there is something to compute.
    """
    if found_again(config):
        return
    from calib.runs.experiment import run

    remember(config, run(config))


def command_line() -> None:
    """Do as the arguments of the command say."""
    main(carry_out, conf=CONF)
