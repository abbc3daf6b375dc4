"""Errors that a user can cause. Each is one sentence that names the thing and says what to do."""

import difflib
import re
from collections.abc import Iterable, Sequence
from math import inf


class CalibError(Exception):
    """A wrong file, split, key or setting: shown as one sentence, without a traceback.

    Names from data stand in it as they are, but for line breaks and control characters, which would tear the
    line or reach the terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", message).strip())


class DataError(CalibError):
    """A data file that cannot be used as it is."""


class SplitError(CalibError):
    """A split that does not fit the study."""


class DamagedError(CalibError):
    """A file of this project that is not as it was written."""


class DivergedError(CalibError):
    """A training whose loss is no longer a number."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence: ``"; did you mean 'x'?"`` for the choice closest to ``word``, or ``"."``."""
    spelled = {choice.lower(): choice for choice in choices if choice != word}
    found = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.5)
    return f"; did you mean '{spelled[found[0]]}'?" if found else "."


def check_choice(key: str, value: object, choices: Iterable[object]) -> None:
    """Raise CalibError unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices or type(value) not in map(type, choices):  # 1 is not True
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
    """Raise CalibError unless ``value`` is a number, ``least`` to ``most``, ``below``, whole if asked."""
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
        kind = "a whole number" if whole else "a number"
        raise CalibError(f"{key}={value} must be {kind} of at least {least}.")
    if value > most:
        raise CalibError(f"{key}={value} must be at most {most}.")
    if value >= below and below < inf:
        raise CalibError(f"{key}={value} must be below {below}.")


def check_widths(key: str, widths: object) -> None:
    """Raise CalibError unless ``widths`` is a list of widths of layers, one at least."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or not widths:
        raise CalibError(f"{key}={widths} must be a list of widths, one at least, as in [256,256].")
    for width in widths:
        check_number(key, width, least=1, whole=True)
