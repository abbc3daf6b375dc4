"""Warnings about a study and its batches, which a run logs and keeps in its record.

What reads a file calls ``note`` wherever it meets something doubtful, however deep inside a reader it is;
``noting`` collects it, and every loader of studies hands it on in ``Study.cautions``.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caution:
    """A warning that does not stop a run.

    Attributes:
        code: short name of the kind of warning, which never changes, for programs that read records.
        text: one sentence for the user, which names the batch, column or class and says what to do.
    """

    code: str
    text: str


_noted: ContextVar[list[Caution] | None] = ContextVar("noted", default=None)
"""The warnings that the innermost ``noting`` has collected so far; None outside of any."""


def note(code: str, text: str) -> None:
    """Hand a warning to the ``noting`` around the reading, once; without one around it, log it."""
    found, caution = _noted.get(), Caution(code, text)
    if found is None:
        log.warning("%s", text)
    elif caution not in found:
        found.append(caution)


@contextmanager
def noting() -> Iterator[list[Caution]]:
    """Collect the warnings that are noted within.

    They are logged at once if the reading fails, since they may say why, and otherwise by whom they reach.
    """
    found: list[Caution] = []
    before = _noted.set(found)
    try:
        yield found
    except Exception:
        logged(found)
        raise
    finally:
        _noted.reset(before)


def logged(found: Sequence[Caution]) -> list[dict[str, str]]:
    """Log each warning, and return them as a record keeps them: ``[{"code": ..., "text": ...}, ...]``."""
    for caution in found:
        log.warning("%s", caution.text)
    return kept(found)


def kept(found: Sequence[Caution]) -> list[dict[str, str]]:
    """Return warnings as a record keeps them: ``[{"code": ..., "text": ...}, ...]``."""
    return [{"code": caution.code, "text": caution.text} for caution in found]


def counted(number: int, word: str) -> str:
    """Return a number with its noun, in the plural where it is not one: "1 row", "3 rows"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return quoted names, at most ``most`` of them, with the number of those left out."""
    return some([f"'{name}'" for name in names], most)


def some(parts: Sequence[str], most: int = 3) -> str:
    """Return the first ``most`` parts of a list between commas, with the number of those left out."""
    shown = ", ".join(parts[:most])
    return shown if len(parts) <= most else f"{shown} and {len(parts) - most:,} more"
