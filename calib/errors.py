"""Errors that a user can cause. Each is one sentence that names the thing and says what to do."""

import difflib
from collections.abc import Iterable


class CalibError(Exception):
    """A wrong file, split, key or setting: shown as one sentence, without a traceback."""


class DataError(CalibError):
    """A data file that cannot be used as it is."""


class SplitError(CalibError):
    """A split that does not fit the study."""


class DivergedError(CalibError):
    """A training whose loss is no longer a number."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the choice closest to ``word``, or an empty string."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def check_choice(key: str, value: object, choices: Iterable[object]) -> None:
    """Raise CalibError unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices:
        listed = ", ".join(map(str, choices))
        hint = nearest(str(value), map(str, choices))
        raise CalibError(f"{key}={value} is not one of: {listed}{hint}.")
