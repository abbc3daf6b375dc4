"""One experiment, or a sweep of them: ``calib run dataset=mi`` is ``python run.py dataset=mi``."""

from calib.registry import CONF
from calib.runs.cli import main
from calib.runs.experiment import run


def command_line() -> None:
    """Do as the arguments of the command say."""
    main(run, conf=CONF)
