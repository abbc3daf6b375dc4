"""Overrides of the command line as people type them, and how to write those that Hydra cannot read.

Hydra's grammar gives a meaning to ``=``, ``(``, ``#``, ``,`` and quotes, and knows no letters beyond ASCII,
so paths and names with such signs need quotes of their own within those of the shell.
"""

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

QUOTED_KEY = re.compile(r"""([{,]\s*)(['"])([\w .+-]+)\2(\s*:)""", re.ASCII)
WITH_VALUE = (
    *("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p"),
    *("--cfg", "-c", "--experimental-rerun"),
)
"""Flags of Hydra that take the next argument as their value."""
CLOSING = " \t\"'"
"""Signs around a name in a list that are not part of it."""
COMMON = r"dataset\.(path|name|batch|label|subject|sample|reference|layer|positive|features)"
"""Settings that hold a single name or path, in which a comma is meant as it stands."""
SPLIT = re.compile(r":|^\s*\W*(\d+_\d+|all)\W*\s*$")
"""What makes a text look like a split: sources and targets by name or position, or all."""


def readable(override: str) -> str:
    """Return an override without quotes around the keys of a mapping, which Hydra's grammar refuses."""
    return QUOTED_KEY.sub(r"\1\3\4", override) if "={" in override else override


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the flags before the overrides, since Hydra takes no flag after one."""
    flags: list[str] = []
    overrides: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in WITH_VALUE and waiting:
            flags.append(waiting.pop(0))
    return [*flags, *overrides]


def how_to_write(override: str) -> str | None:
    """Return the sentence that says how to write an override, or None where Hydra can read it."""
    if parsed(override) is not None:
        return None
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override} is no setting; write a setting as key=value, see python run.py --help."
    return f"{override} cannot be read, because {_cause(value)}; write {_cure(key, value)}."


def _cause(value: str) -> str:
    """Return why a value cannot be read."""
    if value[:1] in "[{":
        value = re.sub(r"[\[\]{},]", "", value)
    signs = "".join(dict.fromkeys(re.findall(r"[^\w\s./\\:+*?-]|[^\x00-\x7f]", value)))
    return f"{signs} has to stand in quotes" if signs else "it has to stand in quotes"


def _cure(key: str, value: str) -> str:
    """Return how to write a value that cannot be read."""
    if value.startswith("[") and value.endswith("]"):
        names = ",".join(f'"{_escaped(name.strip(CLOSING))}"' for name in value[1:-1].split(","))
        if parsed(listed := f"{key}=[{names}]") is not None:
            return f"it as {_for_shell(listed)}"
    if value.startswith("{") and value.endswith("}"):
        return "the mapping in a file conf/dataset/<study>.yaml, where names may have any signs in quotes"
    return f"it as {_for_shell(f'{key}={_quoted(value)}')}"


def how_to_keep_a_comma(override: str) -> str | None:
    """Return how to write an override whose comma Hydra takes for a sweep, if the setting holds one name.

    A split holds one if some part of it between commas is no split by itself.
    """
    key, _, value = override.partition("=")
    setting = key.lstrip("+")
    found = parsed(override)
    if found is None or not found.is_sweep_override():
        return None
    in_parts = setting == "split" and not all(SPLIT.search(part) for part in value.split(","))
    return _for_shell(f"{key}={_quoted(value)}") if in_parts or re.fullmatch(COMMON, setting) else None


def parsed(override: str) -> Override | None:
    """Return an override as Hydra reads it, or None where it cannot."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def _quoted(value: str) -> str:
    """Return a value in double quotes."""
    return f'"{_escaped(value)}"'


def _escaped(value: str) -> str:
    """Return a value as it stands between double quotes."""
    return re.sub(r'(\\*)("|\Z)', lambda found: found[1] * 2 + found[2].replace('"', r"\""), value)


def _for_shell(argument: str) -> str:
    """Return an argument in single quotes for the shell."""
    return "'" + argument.replace("'", "'\\''") + "'"
