"""Warnings about a study and its batches, which a run logs and keeps in its record."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Caution:
    """A warning that does not stop a run.

    Attributes:
        code: short name of the kind of warning, which never changes, for programs that read records.
        text: one sentence for the user, which names the batch, column or class and says what to do.
    """

    code: str
    text: str


def counted(number: int, word: str) -> str:
    """Return a number with its noun, in the plural where it is not one: "1 row", "3 rows"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return quoted names, at most ``most`` of them, with the number of those left out."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
