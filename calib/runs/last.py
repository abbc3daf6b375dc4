"""The last result of a computation, which the runs of a sweep share."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Last(Generic[T]):
    """Keeps the last result that was made: ``last(key, make)`` makes another only for another key."""

    def __init__(self) -> None:
        self._kept: tuple[str, T] | None = None

    def __call__(self, key: str, make: Callable[[], T]) -> T:
        """Return the result of ``make``, or the last one if it was made with this key."""
        if self._kept is None or self._kept[0] != key:
            self._kept = key, make()
        return self._kept[1]
