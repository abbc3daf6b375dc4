"""Errors that a user can cause, and checks of settings that raise them.

The message of each error is one sentence that names the wrong thing and says how to mend it.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from math import inf

from calib.shown import one_line


class CalibError(Exception):
    """An error that a user can mend: a wrong file, split, key or setting.

    It is shown as one sentence, without a traceback. Names from data appear in the message as they may be
    shown (``calib.shown``): a space replaces line breaks, control signs are spelled out, and passwords in
    addresses are hidden.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(re.sub(r"[\t\n\v\f\r]+", " ", message)).strip())


class DataError(CalibError):
    """A data file that cannot be used as it is."""


class UnreachableError(DataError):
    """A data file that is not on this machine and could not be downloaded."""


class SplitError(CalibError):
    """A split that does not fit the study."""


class DamagedError(CalibError):
    """A file written by this project that has changed since, or is missing."""


class DivergedError(CalibError):
    """A training whose loss is no longer a finite number."""


def not_installed(doing: str, package: object, extra: str) -> CalibError:
    """Return the error for a package that is needed for something and comes with an extra of this one."""
    return CalibError(
        f"{doing} needs the package {package}, which is not installed: "
        f"pip install 'calib-omics[{extra}]', or in the folder of the repository "
        f"pip install -c constraints.txt -e '.[{extra}]'."
    )


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the choice closest to ``word``.

    It is ``"; did you mean 'x'?"``, or ``"."`` where no choice is close.
    """
    by_lower_case = {choice.lower(): choice for choice in choices if choice != word}
    closest = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.5)
    return f"; did you mean '{by_lower_case[closest[0]]}'?" if closest else "."


def misspelling(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` is probably a misspelling of, or None.

    It differs from that choice by upper and lower case only, by one letter too many, missing or wrong, or by
    two neighbouring letters exchanged. Words of fewer than four characters are not compared, and a digit is
    never a slip: ``stage1`` and ``stage2`` are two words.
    """
    return next((choice for choice in choices if choice != word and _one_slip(word, choice)), None)


def _one_slip(word: str, other: str) -> bool:
    """Return whether two words of at least four characters differ by at most one slip of letters."""
    a, b = sorted((word.lower(), other.lower()), key=len)
    if len(a) < 4:
        return False
    start = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), len(a))
    a, b = a[start:], b[start:]
    for shorter, longer in ((0, 1), (1, 1), (2, 2)):  # a missing letter, a wrong one, two exchanged
        changed = a[:shorter] + b[:longer]
        exchanged = shorter < 2 or a[:2] == b[1::-1]
        if a[shorter:] == b[longer:] and exchanged and (changed.isalpha() or not changed):
            return True
    return False


def check_choice(key: str, value: object, choices: Iterable[object]) -> None:
    """Raise CalibError unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices or type(value) not in map(type, choices):  # 1 == True, but 1 is not a flag
        names = [
            "null" if choice is None else str(choice).lower() if isinstance(choice, bool) else str(choice)
            for choice in choices
        ]
        raise CalibError(f"{key}={value} is not one of: {', '.join(names)}{nearest(str(value), names)}")


def check_flag(key: str, value: object) -> None:
    """Raise CalibError unless ``value`` is true or false."""
    check_choice(key, value, (True, False))


def check_number(
    key: str, value: object, least: float, whole: bool = False, most: float = inf, below: float = inf
) -> None:
    """Raise CalibError unless ``value`` is a number in the allowed range.

    Args:
        key: name of the setting, for the message.
        value: the setting.
        least: smallest value that is allowed.
        whole: whether only whole numbers are allowed.
        most: largest value that is allowed.
        below: number that the value must stay below.
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
        kind = "a whole number" if whole else "a number"
        raise CalibError(f"{key}={value} must be {kind} of at least {least}.")
    if value > most:
        raise CalibError(f"{key}={value} must be at most {most}.")
    if value >= below and below < inf:
        raise CalibError(f"{key}={value} must be below {below}.")


def check_widths(key: str, widths: object) -> None:
    """Raise CalibError unless ``widths`` is a list of at least one layer width."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or not widths:
        raise CalibError(f"{key}={widths} must be a list of widths, one at least, as in [256,256].")
    for width in widths:
        check_number(key, width, least=1, whole=True)
