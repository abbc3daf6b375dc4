"""Objects from configuration: the one place where a YAML file may name code to call."""

from collections.abc import Iterator
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from calib.errors import CalibError

ALLOWED = ("calib.", "sklearn.")


def build(config: DictConfig, **arguments: Any) -> Any:
    """Call the ``_target_`` of a configuration node, nested ones first.

    Raises:
        CalibError: a target lies outside the allowed packages, or does not take the values given.
    """
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        if not target.startswith(ALLOWED):
            raise CalibError(
                f"_target_: {target} is refused; only names that begin with "
                f"{' or '.join(ALLOWED)} may be called from a configuration."
            )
    try:
        return hydra.utils.instantiate(config, _convert_="all", **arguments)
    except hydra.errors.InstantiationException as error:
        if isinstance(error.__cause__, CalibError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, TypeError | ImportError | AttributeError):
            reason = str(error.__cause__).strip().splitlines()[0]
            raise CalibError(f"The settings of {config._target_} are wrong: {reason}.") from error
        raise


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
