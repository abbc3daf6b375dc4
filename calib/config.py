"""The configuration: composing it, looking up a study's values, and calling the classes that it names."""

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from calib.data.settings import literal
from calib.errors import CalibError
from calib.overrides import how_to_write, readable
from calib.registry import ESTIMATOR, KINDS, LOADER, add_folder, check_settings, find, refused

TARGET, CARD = "_target_", "card"

INNER = tuple(kind for kind in KINDS if kind != LOADER)
"""The kinds that a method or a part of one may hold."""

ABSENT = object()

COMPOSING = threading.RLock()
"""Held while a configuration is composed, because Hydra has one state for all threads."""


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
    """Return the configuration that the command line gives with these overrides, from the folder ``conf``.

    Raises:
        CalibError: Hydra's grammar does not allow an override; the message says how to write it.
    """
    overrides = tuple(map(readable, overrides))
    for sentence in filter(None, map(how_to_write, overrides)):
        raise CalibError(sentence)
    add_folder(conf)
    with COMPOSING:
        outer = GlobalHydra.instance().hydra  # the caller's own, if there is one
        GlobalHydra.instance().hydra = None
        try:
            with hydra.initialize_config_dir(str(conf), version_base="1.3"):
                return hydra.compose("config", list(overrides))
        finally:
            GlobalHydra.instance().hydra = outer


def written(settings: Mapping[str, Any]) -> str:
    """Return settings without references as YAML, from which OmegaConf reads the same values again."""
    return OmegaConf.to_yaml(OmegaConf.create(_literal(settings)))


def _literal(node: Any) -> Any:
    """Return settings in which no text stands for another value; keys never do."""
    if isinstance(node, Mapping):
        return {key: _literal(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_literal(value) for value in node]
    return literal(node) if isinstance(node, str) else node


def build(config: DictConfig, *kinds: str) -> Any:
    """Return what the class or function named by a node's ``_target_`` makes, nested ones first.

    The node's own ``card``, which only describes, is not one of the arguments.

    Args:
        config: the node.
        kinds: kinds of ``registry.KINDS``, of one of which the outermost must be; without any, of every kind.

    Raises:
        CalibError: a target may not be built (``calib.registry``), or does not take the values given.
    """
    settings = OmegaConf.to_container(config, resolve=True)
    if kinds and not (isinstance(settings, dict) and TARGET in settings):
        raise CalibError(f"The settings of a {kinds[0]} have no {TARGET}; name its class there.")
    _check(settings, kinds or tuple(KINDS))
    if CARD in config:
        config = config.copy()
        with open_dict(config):
            config.pop(CARD)
    try:
        return hydra.utils.instantiate(config, _convert_="all")
    except hydra.errors.InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, TypeError) and "argument" in str(cause):
            raise CalibError(f"The settings of {config._target_} are wrong: {cause}.") from error
        raise cause from None


def _check(node: Any, kinds: Sequence[str]) -> None:
    """Refuse settings that would build something of another kind, or call a function.

    A loader of a study holds nothing that is built, an estimator of scikit-learn holds estimators only, and
    everything else holds all kinds but loaders.

    Raises:
        CalibError: as above.
    """
    if isinstance(node, list):
        for value in node:
            _check(value, kinds)
    if not isinstance(node, dict):
        return
    if TARGET in node:
        if special := [key for key in node if re.fullmatch(r"_\w+_", str(key)) and key != TARGET]:
            raise CalibError(f"{special[0]} is refused in settings; of such keys only {TARGET} is allowed.")
        target = node[TARGET]
        if not isinstance(target, str):
            raise refused(target)
        kind, found = find(target)
        if kind not in kinds:
            raise CalibError(
                f"_target_: {target} is refused here: it is a {kind}, and only this is allowed in its place: "
                f"{', '.join(kinds) or 'nothing'}."
            )
        if kind == ESTIMATOR:
            check_settings(target, found, {key: value for key, value in node.items() if key != TARGET})
        kinds = {LOADER: (), ESTIMATOR: (ESTIMATOR,)}.get(kind, INNER)
    for value in node.values():
        _check(value, kinds)
