"""Objects from configuration: the one place where a YAML file may name code to call."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from sklearn.base import BaseEstimator

from calib.errors import CalibError
from calib.overrides import how_to_write, readable

ALLOWED = ("calib", "sklearn")

ABSENT = object()


def tuned(key: str, default: Any, *, _root_: DictConfig) -> Any:
    """Return the chosen study's value of a setting: what ``${tuned:<part>.<setting>,<default>}`` stands for.

    The values are in ``conf/tuned/<dataset>.yaml``. Its block named like the chosen training (``converged``)
    comes first, then the value above it, then the default. A null in the file is a value like any other.

    Args:
        key: a part of a method and one of its settings, such as ``joint.lr``.
        default: the value for a study that has none.
    """
    for path in (f"tuned.{_root_.training}.{key}", f"tuned.{key}"):
        value = OmegaConf.select(_root_, path, default=ABSENT)
        if value is not ABSENT:
            return value
    return default


OmegaConf.register_new_resolver("tuned", tuned, replace=True)


def compose(conf: Path, *overrides: str) -> DictConfig:
    """The configuration that the command line would give with these overrides, from the folder ``conf``.

    Raises:
        CalibError: Hydra's grammar does not allow an override; the message says how to write it.
    """
    overrides = tuple(map(readable, overrides))
    for sentence in filter(None, map(how_to_write, overrides)):
        raise CalibError(sentence)
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        return hydra.compose("config", list(overrides))


def build(config: DictConfig) -> Any:
    """Call the ``_target_`` of a configuration node, nested ones first.

    Raises:
        CalibError: a target lies outside the allowed packages, or does not take the values given.
    """
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        if not _allowed(target):
            raise CalibError(
                f"_target_: {target} is refused; only classes and functions of calib and estimators of "
                "sklearn may be called from a configuration."
            )
    try:
        return hydra.utils.instantiate(config, _convert_="all")
    except hydra.errors.InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, TypeError) and "argument" in str(cause):
            raise CalibError(f"The settings of {config._target_} are wrong: {cause}.") from error
        raise cause from None


def _allowed(target: str) -> bool:
    """Whether a name leads to a class or function of ours, or to an estimator of scikit-learn.

    What is merely imported there is refused, and what belongs to a class; and so is the rest of scikit-learn:
    one of its functions runs scripts.
    """
    if target.partition(".")[0] not in ALLOWED:
        return False
    try:
        found = hydra.utils.get_object(target)
    except Exception as error:
        raise CalibError(f"_target_: {target} does not exist; check its spelling.") from error
    home = str(getattr(found, "__module__", "")).partition(".")[0]
    if home == "sklearn":
        return inspect.isclass(found) and issubclass(found, BaseEstimator)
    if home not in ALLOWED or not (inspect.isclass(found) or inspect.isfunction(found)):
        return False
    return inspect.ismodule(hydra.utils.get_object(target.rpartition(".")[0]))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
