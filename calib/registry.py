"""The classes and functions that settings may build: those that the configuration's own YAML files name.

A YAML file in ``conf/`` registers what its ``_target_`` names, so a new method needs its class and its YAML
and nothing else. A name that only stands in settings, such as the ``config.yaml`` of a folder that somebody
sent, is not registered by that. What is registered is built only if it is of one of the kinds that ``KINDS``
lists. Estimators of scikit-learn need no YAML file, but their settings hold plain values and words that
scikit-learn lists. Kinds are imported when something is built: a configuration is composed without them,
so that help comes at once.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig

from calib.errors import CalibError, nearest

HERE = Path(__file__).resolve().parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
"""Folder of the configuration: inside an installed package, or beside the package in the repository."""

NAMED = re.compile(r"(?<!\w)_target_\s*:\s*['\"]?([\w.]+)")
WORD = re.compile(r"[\w.-]+")

LOADER, METHOD, PROTOCOL, PART, ESTIMATOR = "study loader", "method", "protocol", "part", "estimator"

_folders: dict[Path, None] = {CONF: None}
"""Folders of the configuration, in addition to those that Hydra was given on the command line."""


def add_folder(conf: Path) -> None:
    """Let the YAML files of a configuration folder register classes, as those of the package's own do."""
    _folders[conf.resolve()] = None


def registered() -> frozenset[str]:
    """Return every name that a YAML file of a configuration folder has as its ``_target_``."""
    return frozenset().union(*(_named(folder) for folder in dict.fromkeys((*_folders, *_given()))))


def _given() -> Iterator[Path]:
    """Yield the folders that the command line gave to Hydra (``--config-dir``), if Hydra is running."""
    if HydraConfig.initialized():
        for source in HydraConfig.get().runtime.config_sources:
            if source.schema == "file":
                yield Path(source.path).resolve()


@cache
def _named(folder: Path) -> frozenset[str]:
    files = sorted(folder.rglob("*.yaml"))
    return frozenset(name for file in files for name in NAMED.findall(file.read_text(encoding="utf-8")))


def find(target: str) -> tuple[str, Any]:
    """Return the kind of what a ``_target_`` names, and the class or function itself.

    Raises:
        CalibError: the name is not registered, does not exist, or is of no kind that may be built.
    """
    known = registered()
    package = target.partition(".")[0]
    if target not in known and (package != "sklearn" or re.search(r"\.(_|tests?\b|conftest\b)", target)):
        raise refused(target, nearest(target, known))
    if package not in ("calib", "sklearn"):
        raise refused(target)
    try:
        found = hydra.utils.get_object(target)
    except Exception as error:  # whatever an import can raise
        reason = "" if target not in known else f" ({type(error.__cause__ or error).__name__}: {error})"
        raise CalibError(f"_target_: {target} cannot be imported; check its spelling{reason}.") from error
    for kind, is_kind in KINDS.items():
        if is_kind(found) and inspect.ismodule(hydra.utils.get_object(target.rpartition(".")[0])):
            return kind, found
    raise refused(target)


def refused(target: object, hint: str = ".") -> CalibError:
    """Return the error for a name that settings may not build."""
    return CalibError(
        f"_target_: {target} is refused; only classes and functions of calib that a YAML file of the "
        f"configuration folder names, and estimators of sklearn, may be built from settings{hint}"
    )


def _is_loader(found: Any) -> bool:
    """Return whether it is a function of ours that returns a ``Study``."""
    from calib.data.study import Study

    return inspect.isfunction(found) and _is_ours(found) and get_type_hints(found).get("return") is Study


def _is_ours(found: Any) -> bool:
    return str(found.__module__).partition(".")[0] == "calib"


def _is_class(*names: str) -> Callable[[Any], bool]:
    """Return a test whether something is a class of ours with attributes of these names."""
    return lambda found: inspect.isclass(found) and _is_ours(found) and all(hasattr(found, n) for n in names)


def _is_method(found: Any) -> bool:
    from calib.methods.base import AnyMethod

    return inspect.isclass(found) and issubclass(found, AnyMethod) and _is_ours(found)


def _is_protocol(found: Any) -> bool:
    from calib.protocol import Protocol

    return found is Protocol


def _is_estimator(found: Any) -> bool:
    from sklearn.base import BaseEstimator

    if not (inspect.isclass(found) and issubclass(found, BaseEstimator)):
        return False
    return str(found.__module__).partition(".")[0] == "sklearn"


def _is_part(found: Any) -> bool:
    """Return whether it is a class of corrector, mapper or classifier, or holds the rules of a training."""
    from calib.rules import Rules

    shapes = (("version", "correct"), ("version", "map"), ("version", "fit", "restore"))
    return found is Rules or any(_is_class(*names)(found) for names in shapes)


KINDS: Mapping[str, Callable[[Any], bool]] = {
    LOADER: _is_loader,
    METHOD: _is_method,
    PROTOCOL: _is_protocol,
    PART: _is_part,
    ESTIMATOR: _is_estimator,
}
"""The kinds of classes and functions that may be built, each with the test that recognises it."""


def check_settings(target: str, found: Any, settings: Mapping[str, Any]) -> None:
    """Refuse settings of an estimator that could name a file or a function.

    Raises:
        CalibError: a text is none of the words that scikit-learn lists for this setting.
    """
    for key, value in settings.items():
        constraints = getattr(found, "_parameter_constraints", {}).get(key, ())
        listed = {word for one in constraints for word in getattr(one, "options", ())}
        for word in _words(value):
            inside = not isinstance(value, str)  # names of steps, in a list
            if word not in listed and not (inside and key != "memory" and WORD.fullmatch(word)):
                raise CalibError(
                    f"{key}={word} of {target} is refused: scikit-learn lists no such word for it, and "
                    "settings may name no files and no functions."
                )


def _words(value: Any) -> Iterator[str]:
    """Yield the texts of a setting, without those of a part inside it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and "_target_" not in value:
        for key, inner in value.items():
            yield from (*_words(key), *_words(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
