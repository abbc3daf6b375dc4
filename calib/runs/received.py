"""The settings of a model folder, which somebody else may have written: checked before they are used.

The file may hold plain values only. It cannot look up a variable of the environment or another value, repeat
a part of itself, or be larger than settings are, and each value that prediction uses has its kind.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from calib.data.table_files import IMPUTE
from calib.errors import CalibError

LARGEST = 2**20
"""Most bytes of a file of settings."""

DEEPEST = 40
"""Most levels of a file of settings."""

REFERENCE = re.compile(r"(?<!\\)(\\\\)*\$\{")
"""What makes a text stand for another value; after an odd number of backslashes it is a name's own."""

Kinds = tuple[type, ...]

TEXT: Kinds = (str,)
MAYBE: Kinds = (str, NoneType)
WORD: Kinds = (str, int, float, NoneType)

FIELDS: Mapping[str, Kinds] = {
    "seed": (int,),
    "device": TEXT,
    "dtype": TEXT,
    "method": (dict,),
    "protocol": (dict,),
    "dataset": (dict,),
    "dataset.name": TEXT,
}
"""The settings that a model needs, and the kinds of their values."""

OPTIONAL: Mapping[str, Kinds] = {
    "method.name": TEXT,
    **{f"dataset.{key}": WORD for key in ("batch", "label", "subject", "sample", "layer")},
    "dataset.reference": (dict, *WORD),
    "dataset.prepare": TEXT,
    "dataset.impute": MAYBE,
    "dataset.classes": (dict, NoneType),
    "dataset.unlabelled": (list, *WORD),
    "dataset.replicates": (int, NoneType),
    "dataset.exclude": (dict, NoneType),
    "dataset.normalise": (int, float, NoneType),
    "dataset.subject_labels": MAYBE,
}
"""The settings that a model may have, and the kinds of their values."""


def read_settings(file: Path) -> DictConfig:
    """Return the settings of a saved model.

    Raises:
        CalibError: the file is no file of settings, holds more than plain values, or a value is of another
            kind than settings have.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        _check_events(file.read_text(encoding="utf-8"))
        config = OmegaConf.load(file)
        if not isinstance(config, DictConfig):
            raise ValueError("it holds no settings")
        plain: Any = OmegaConf.to_container(config)
        _check_plain(plain)
        _check_kinds(plain)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CalibError(f"The saved model {file} is damaged ({reason}); train it again.") from error
    return config


def _check_events(text: str) -> None:
    """Refuse aliases, with which a small file can stand for a huge one, and too many levels.

    Raises:
        ValueError: the text has such.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it repeats a part of itself by the alias *{event.anchor}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it has more than {DEEPEST} levels")


def _check_plain(node: Any, place: str = "") -> None:
    """Refuse texts that stand for another value, such as ``${oc.env:HOME}``.

    Raises:
        ValueError: there is such a text.
    """
    if isinstance(node, str) and REFERENCE.search(node):
        raise ValueError(f"{place} refers to another value by '${{', which no saved model does")
    if isinstance(node, dict):
        for key, value in node.items():
            _check_plain(value, f"{place}.{key}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            _check_plain(value, place)


def _check_kinds(settings: Mapping[str, Any]) -> None:
    """Check the kind of every value that prediction uses.

    Raises:
        ValueError: a value is missing or of another kind.
    """
    for key, kinds in {**FIELDS, **OPTIONAL}.items():
        group, _, name = key.rpartition(".")
        holder = settings[group] if group else settings
        if name not in holder:
            if key in FIELDS:
                raise ValueError(f"it has no {key}")
            continue
        if not isinstance(holder[name], kinds) or isinstance(holder[name], bool):
            allowed = " or ".join(WORDS[kind] for kind in kinds)
            raise ValueError(f"{key}={holder[name]!r} should be {allowed}"[:200])
    if (impute := settings["dataset"].get("impute")) not in IMPUTE:
        raise ValueError(f"dataset.impute={impute} is none of the choices")
    for key, value, least in (
        ("seed", settings["seed"], 0),
        ("dataset.replicates", settings["dataset"].get("replicates"), 1),
        ("dataset.normalise", settings["dataset"].get("normalise"), 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"{key}={value} is below {least}")


WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    dict: "a group of settings",
    list: "a list",
    NoneType: "null",
}
"""The kinds of values as messages call them."""
