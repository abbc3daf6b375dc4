"""One experiment, or a sweep of them: ``calib run dataset=mi`` is ``python run.py dataset=mi``."""

from omegaconf import DictConfig

from calib.registry import CONF
from calib.runs.cli import main


def carry_out(config: DictConfig) -> object:
    """Carry out the runs of a configuration; only this imports what computes."""
    from calib.runs.experiment import run

    return run(config)


def command_line() -> None:
    """Do as the arguments of the command say."""
    main(carry_out, conf=CONF)
