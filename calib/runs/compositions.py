"""Configurations of many runs, put together from parts of which each is composed once.

Hydra takes a fifth of a second for a configuration, and many differ in a study, a protocol or a number. What
is put together equals what Hydra composes (``tests/runs/test_plan.py``).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from calib.config import compose
from calib.overrides import readable

PARTS = {"dataset": ("dataset", "tuned"), "protocol": ("protocol",), "training": ("training",)}
"""Groups of the configuration folder that fill nodes of their own -> these nodes."""


class Compositions:
    """Composes configurations, and keeps what several of them share.

    Args:
        conf: folder of the configuration, whose files stay as they are; see ``compositions``.
    """

    def __init__(self, conf: Path) -> None:
        self.conf = conf
        self._groups = {folder.name for folder in conf.iterdir() if folder.is_dir()}
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._parser = OverridesParser.create()

    def compose(self, *overrides: str) -> DictConfig:
        """Return what ``calib.config.compose`` returns.

        Raises:
            CalibError: as ``calib.config.compose``.
            HydraException: as ``calib.config.compose``.
        """
        values = [text for text in overrides if self._is_value(text)]
        chosen = [text for text in overrides if text not in values]
        if any(text[:1] in "+~" for text in chosen):
            return compose(self.conf, *overrides)  # a node that is added or deleted may be one of a part
        parts = [text for text in chosen if _key(text) in PARTS]
        made = self._once(*(text for text in chosen if text not in parts)).copy()
        try:
            for part in parts:
                _exchange(made, self._once(part), PARTS[_key(part)])
            for parsed in self._parser.parse_overrides(list(map(readable, values))):
                OmegaConf.update(made, parsed.key_or_group, parsed.value(), merge=True)
        except (HydraException, OmegaConfBaseException):
            return compose(self.conf, *overrides)  # which says what is wrong with them
        return made

    def _once(self, *overrides: str) -> DictConfig:
        """Return a configuration that is composed when it is first asked for."""
        if overrides not in self._composed:
            self._composed[overrides] = compose(self.conf, *overrides)
        return self._composed[overrides]

    def _is_value(self, override: str) -> bool:
        """Return whether an override sets a value, and neither chooses from a group nor adds or deletes."""
        key = _key(override)
        return "@" not in key and key[:1] not in "+~" and key not in self._groups


def compositions(conf: Path) -> Compositions:
    """Return the compositions of this process from a folder, new ones after one of its files has changed."""
    return _as_of(conf, max(file.stat().st_mtime_ns for file in conf.rglob("*")))


@cache
def _as_of(conf: Path, changed: int) -> Compositions:
    """Return the compositions from a folder whose last change was at a time."""
    return Compositions(conf)


def _key(override: str) -> str:
    """Return what an override sets."""
    return override.partition("=")[0]


def _exchange(config: DictConfig, other: DictConfig, nodes: Sequence[str]) -> None:
    """Put nodes of another configuration in the place of those that a configuration has."""
    with open_dict(config):
        for node in nodes:
            config.pop(node, None)
            if node in other:
                config[node] = other[node]
