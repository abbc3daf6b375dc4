"""Hydra's sweeper without the passwords of addresses in ``multirun.yaml``, where it saves the configuration.

Hydra finds sweepers only in the namespace package ``hydra_plugins``, so this module is there;
``conf/hydra/sweeper/without_passwords.yaml`` names it.
"""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import OmegaConf

from calib.shown import without_passwords


class SafeSweeper(BasicSweeper):
    """A sweeper that saves what may be shown, and gives its jobs the whole configuration."""

    def setup(self, **given: Any) -> None:
        """Prepare the jobs with the configuration as it is, and what is saved without passwords."""
        super().setup(**given)
        self.config = OmegaConf.create(without_passwords(OmegaConf.to_container(given["config"])))
