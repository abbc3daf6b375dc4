"""Names of batches, labels and subjects: their order, and what differs only in the way it is written.

Nothing is merged: every spelling stays a name of its own, and what a reader of the file would take for the
same name is named in a warning.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from calib.data.cautions import note, some
from calib.errors import DataError

MISSING_WORDS = frozenset(
    ("", "na", "nan", "-nan", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "nat", "none", "null", "n.a.")
)
"""Words, in lower case, by which programs mark a missing value; they may also be names."""

UNFIT = re.compile(r"[\x00\r\ud800-\udfff]")
"""A sign that no name may have: NUL, which ends a text in arrays, a carriage return, which ends a line of a
table, and half a sign, which no file can hold. Other control characters are kept."""

NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__|\.\.\.\d+")
"""What pandas, pyarrow and R call a column without a name."""

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.ASCII)


def natural(name: str) -> tuple[list[int | str], str]:
    """Return the key by which names are sorted in natural order: 1, 2, 10 and plate 2, plate 10."""
    parts = re.split(r"(\d+)", name, flags=re.ASCII)
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)], name


def is_nameless(column: str) -> bool:
    """Return whether a column has no name, or one that a program gave it for want of any."""
    return NAMELESS.fullmatch(column) is not None


def is_missing_word(name: str) -> bool:
    """Return whether a name is one of the words by which programs mark a missing value."""
    return name.strip().lower() in MISSING_WORDS


def check_signs(names: Iterable[object], place: Callable[[int], str]) -> None:
    """Check that names, which may be missing, can be kept in arrays and files.

    Args:
        names: the names.
        place: function that returns where the name at a position is, for the message: file, line and column.

    Raises:
        DataError: a name has one; the message shows and names the sign.
    """
    for position, name in enumerate(names):
        if isinstance(name, str) and (found := UNFIT.search(name)):
            raise DataError(
                f"{place(position)}: the name {name[:60]!r} has the sign U+{ord(found[0]):04X}, which cannot "
                "be kept; remove it."
            )


def visible(name: str) -> str:
    """Return a name as it looks on paper.

    Spaces at its ends and signs without width are taken away, and its signs have one Unicode form.
    """
    shown = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    return " ".join(unicodedata.normalize("NFC", shown).split())


def plain(name: str) -> str:
    """Return what names have in common that differ by case, spaces, Unicode form or number format only."""
    simple = unicodedata.normalize("NFKC", visible(name)).casefold()
    return repr(float(simple)) if NUMBER.fullmatch(simple) else simple


def groups(names: Iterable[str], common: Callable[[str], str] = plain) -> list[list[str]]:
    """Return the groups of different names that are the same to a function such as ``plain``."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(common(name), []).append(name)
    return [group for group in found.values() if len(group) > 1]


def warn_of_likeness(what: str, names: Iterable[str], where: str) -> None:
    """Note names that differ by case, spaces, Unicode form or number format only.

    Args:
        what: what the names name, in the plural, for the message.
        names: the names; equal ones count once.
        where: the file or files, for the message.
    """
    found = groups(names)
    if found:
        note(
            "names_alike",
            f"{where}: {what} {some([quoted(group) for group in found])} differ only by case, space, Unicode "
            "form or number format and are taken for different ones; if they are the same, correct the file.",
        )


def as_list(names: Sequence[str], most: int = 5) -> str:
    """Return names as a list on the command line, quoted where needed, with dots for those left out."""
    shown = [name if re.fullmatch(r"\w+", name, re.ASCII) else repr(name) for name in names[:most]]
    return f"[{','.join(shown)}{',...' if names[most:] else ''}]"


def quoted(names: Sequence[str]) -> str:
    """Return names in quotes with ``and`` before the last."""
    shown = [f"'{name}'" for name in names]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
