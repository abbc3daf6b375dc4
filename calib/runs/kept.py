"""What a record keeps, and whether a recorded result has it all."""

from collections.abc import Mapping
from typing import Any

from calib.runs.run import KEPT, Run

UNMEASURED = "not measured: keep=predictions"
"""What stands for the rule of distances that a run leaves out."""


def keeps_all(run: Run) -> bool:
    """Return whether a run's record has calibrated data and distances."""
    return str(run.config.keep) == KEPT[0]


def has_all(result: Mapping[str, Any], run: Run) -> bool:
    """Return whether a recorded result has all that a run is to keep."""
    return result.get("mmd_rule") != UNMEASURED or not keeps_all(run)
