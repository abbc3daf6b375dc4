"""Settings of a data set in the type that the readers need, and the names in a file that they stand for.

YAML and the command line turn names into other types: ``01`` stays text, ``1`` becomes a number, ``1E1`` the
number 10.0 and ``true`` a flag. So a setting is checked for its kind here, once, and is then compared with
the names that a file has.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from calib.data.names import check_signs
from calib.errors import CalibError, DataError, check_number, nearest

Word: TypeAlias = str | int | float | bool
"""A name as YAML gives it."""


def as_word(key: str, value: object) -> Word:
    """Return a setting that has to be one name.

    Raises:
        CalibError: it is empty, a list or a mapping, or has a sign that cannot be kept.
    """
    if not isinstance(value, Word) or value == "":
        raise CalibError(f"{key}={_shown(value)} must be one name; put a name with odd signs in quotes.")
    check_signs([value], lambda _: key)
    return value


def as_optional_word(key: str, value: object) -> Word | None:
    """Return a setting that is one name, or None where it is null; errors are those of ``as_word``."""
    return None if value is None else as_word(key, value)


def as_text(key: str, value: object) -> str:
    """Return a setting that has to be one name as text; errors are those of ``as_word``."""
    return spelled(as_word(key, value))


def as_words(key: str, value: object) -> list[Word]:
    """Return a setting that is a list of names; a single name counts as a list, and null as an empty list.

    Raises:
        CalibError: it is a mapping, or one of the list is no name.
    """
    if value is None:
        return []
    if isinstance(value, Word):
        return [as_word(key, value)]
    if not isinstance(value, Sequence):
        raise CalibError(f"{key}={_shown(value)} must be a name or a list of names, as in {key}=[a,b].")
    return [as_word(key, one) for one in value]


def as_mapping(key: str, value: object) -> dict[Word, str] | None:
    """Return a setting that gives each of some names another one, or None where it is null.

    Raises:
        CalibError: it is no mapping, or is empty, or one of its names is not one name.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise CalibError(f"{key}={_shown(value)} must be a mapping of names, as in {key}='{{a: b, c: d}}'.")
    return {as_word(key, name): as_text(f"{key}.{name}", other) for name, other in value.items()}


def as_paths(key: str, value: object) -> list[str]:
    """Return a setting that names one file or several.

    Raises:
        CalibError: it names none, or is no name or list of names.
    """
    paths = [spelled(path) for path in as_words(key, value)]
    if not paths:
        raise CalibError(
            f"{key}={_shown(value)} names no file; give one, or a list as in {key}=[a.csv,b.csv]."
        )
    return paths


def as_sources(value: object) -> int:
    """Return the number of source batches in ``split=all``.

    Raises:
        CalibError: it is no whole number of at least 1.
    """
    check_number("dataset.n_sources", value, least=1, whole=True)
    assert isinstance(value, int)
    return value


def literal(text: str) -> str:
    """Return a text as OmegaConf has to hold it, so that a ``${`` in it stands for itself."""
    return re.sub(r"(\\*)(\$\{)", lambda found: found[1] * 2 + "\\" + found[2], text)


def spelled(word: Word) -> str:
    """Return a name as text, as Python writes it: ``True``, ``10.0``, ``nan``."""
    return str(word)


def found_name(word: Word, names: Iterable[str]) -> str | None:
    """Return the name that a setting stands for, or None where no name does.

    Text has to agree letter for letter. A number or flag, which YAML has made of the user's text, may also
    stand for the one name that has the same value, such as ``1E1`` or ``TRUE``.
    """
    names = list(dict.fromkeys(names))
    if spelled(word) in names:
        return spelled(word)
    if isinstance(word, str):
        return None
    same = [name for name in names if _same_value(word, name)]
    return same[0] if len(same) == 1 else None


def chosen(key: str, word: Word, names: Iterable[str], where: str, what: str) -> str:
    """Return the name that a setting stands for.

    Args:
        key: name of the setting.
        word: the setting.
        names: the names that there are.
        where: the file, for the message.
        what: what the file lacks, for the message, such as ``column``.

    Raises:
        DataError: no name fits; the message suggests the nearest one.
    """
    names = list(names)
    if (name := found_name(word, names)) is None:
        raise DataError(
            f"{where} has no {what} '{spelled(word)}', which {key} names{nearest(spelled(word), names)}"
        )
    return name


def _same_value(word: Word, name: str) -> bool:
    """Return whether a number or flag has the value that a name spells."""
    if isinstance(word, bool) or word != word:  # NaN differs from itself
        return name.strip().lower() == spelled(word).lower()
    try:
        return float(name) == word
    except ValueError:
        return False


def _shown(value: Any) -> str:
    """Return a setting as YAML spells it."""
    return "null" if value is None else "''" if value == "" else str(value)
