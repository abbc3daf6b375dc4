"""Locks on folders, so that of several processes that need a record one makes it and the others wait."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

LOCK = ".lock"
"""Name of the file by which a folder is locked."""

PATIENCE = 1.0
"""Seconds of waiting for another process after which the log says so."""


@contextmanager
def locked_folder(folder: Path, wait: bool = True) -> Iterator[None]:
    """Lock a folder, made if it is missing; afterwards it is removed if it is empty.

    The lock of a killed process does not count.

    Args:
        folder: the folder.
        wait: whether to wait while another process has locked it.

    Raises:
        Timeout: another process has locked it, and ``wait`` is false.
        OSError: the place cannot be written to.
    """
    lock = FileLock(folder / LOCK)
    while not lock.is_locked:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just removed the folder
            _acquire(lock, folder, wait)
    try:
        yield
    finally:
        with suppress(OSError):  # a process that waits for the lock creates a new file
            (folder / LOCK).unlink()
        lock.release()
        with suppress(OSError):
            folder.rmdir()  # succeeds only if it is empty


def _acquire(lock: FileLock, folder: Path, wait: bool) -> None:
    """Acquire the lock of a folder, and say so in the log where that takes more than a second."""
    try:
        lock.acquire(timeout=PATIENCE if wait else 0)
    except Timeout:
        if not wait:
            raise
        log.warning(
            "Another process is making the record %s; waiting until it has finished or ended.", folder
        )
        lock.acquire()
