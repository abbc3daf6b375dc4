"""The settings of an estimator: those of a method's YAML file, with underscores in the place of dots."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from calib.config import TARGET
from calib.errors import CalibError, nearest
from calib.protocol import Protocol
from calib.registry import CONF
from calib.runs.compositions import compositions

NODES = ("method", "protocol")
"""Nodes of the configuration that a setting may name first; without one it is of the method."""

SEPARATOR = "__"


def configured(method: str, protocol: str | Protocol, settings: Mapping[str, Any]) -> DictConfig:
    """Return the configuration of a method on a study of one's own, with these settings.

    Args:
        method: name of a method, as in ``conf/method``.
        protocol: name of a protocol, as in ``conf/protocol``, or one with its options.
        settings: setting -> value. ``joint__lr`` and ``method__joint__lr`` are ``method.joint.lr`` of the
            command line, ``protocol__transform`` is ``protocol.transform``. The name of a classifier or a
            corrector chooses another one, as ``classifier@method.classifier=logistic`` does.

    Raises:
        CalibError: there is no such method, protocol or setting.
    """
    _check_known("method", method)
    if not isinstance(protocol, str | Protocol):
        raise CalibError(
            f"protocol={protocol!r} must be the name of a protocol or a Protocol; settings of the method are "
            "arguments of their own, such as epochs=100."
        )
    named = protocol if isinstance(protocol, str) else "paper"
    _check_known("protocol", named)
    given = "dataset=table", "dataset.path=arrays", f"method={method}", f"protocol={named}"
    places = {_place(name): value for name, value in settings.items()}
    compose = compositions(CONF).compose
    usual = compose(*given)
    chosen = [
        f"{place.rpartition('.')[2]}@{place}={value}"
        for place, value in places.items()
        if isinstance(value, str) and _is_part(OmegaConf.select(usual, place))
    ]
    for override in chosen:
        group, _, value = override.partition("=")
        _check_known(group.partition("@")[0], value)
    config = compose(*given, *chosen) if chosen else usual
    if isinstance(protocol, Protocol):
        options = {name: getattr(protocol, name) for name in vars(protocol)}
        config.protocol.update({name: v for name, v in options.items() if name in config.protocol})
    for place, value in places.items():
        if not (isinstance(value, str) and _is_part(OmegaConf.select(usual, place))):
            _set(config, place, value)
    return config


def _place(name: str) -> str:
    """Return the place of a setting in the configuration."""
    parts = name.split(SEPARATOR)
    return ".".join(parts if parts[0] in NODES and len(parts) > 1 else ["method", *parts])


def _is_part(node: object) -> bool:
    """Return whether a node is a part that can be exchanged for another one."""
    return isinstance(node, DictConfig) and TARGET in node


def _set(config: DictConfig, place: str, value: Any) -> None:
    """Set a setting.

    Raises:
        CalibError: there is no such setting.
    """
    parent, _, name = place.rpartition(".")
    holder = OmegaConf.select(config, parent)
    known = [str(key) for key in holder] if isinstance(holder, DictConfig) else []
    if name not in known or name in (TARGET, "card", "name"):
        shown = [key for key in known if key not in (TARGET, "card", "name")]
        raise CalibError(
            f"There is no setting {place}{nearest(name, shown)} "
            f"{parent} has {', '.join(shown) or 'no settings'}."
        )
    with open_dict(config):
        OmegaConf.update(config, place, value, merge=False)


def _check_known(group: str, name: object) -> None:
    """Raise CalibError unless a group of the configuration has a file of this name."""
    known = sorted(file.stem for file in (CONF / group).glob("*.yaml"))
    if name not in known:
        raise CalibError(f"{group}={name} is not one of: {', '.join(known)}{nearest(str(name), known)}")
