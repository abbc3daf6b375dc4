"""Records: directories that are written whole, read whole, and named by a key."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from calib.errors import CalibError, DamagedError
from calib.files import checksum, facts, remove_leftovers, safe_name, same, write_archive, write_whole

log = logging.getLogger(__name__)

RESULT, ERROR = "result.json", "error.txt"
"""The file that ends a record, and the one that a failed run leaves in its place."""


def run_record(out: Path, study: str, split: str, method: str, key: str) -> "Record":
    """Return the record of a run, ``<out>/runs/<study>/<split>/<method>-<key>``."""
    return Record(out / "runs" / safe_name(study) / safe_name(split) / f"{safe_name(method)}-{key}")


def correction_record(out: Path, study: str, corrector: str, key: str) -> "Record":
    """Return the record of a correction, ``<out>/corrections/<study>/<corrector>-<key>``."""
    return Record(out / "corrections" / safe_name(study) / f"{safe_name(corrector)}-{key}")


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        variant: words of the plan that say what is set beside the published values; "" for nothing.
        result: content of its ``result.json``.
        path: folder of its record.
        walks: names of the walks of the plan that have the run.
    """

    variant: str
    result: Mapping[str, Any]
    path: Path
    walks: tuple[str, ...] = ()


class Record:
    """A directory that is finished if, and only if, it has a ``result.json``, which is written last.

    ``result.json`` lists the size and checksum of every file written before it, and its own checksum, so that
    a record that is damaged later is not used as a result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, dict[str, int | str]] = {}

    def read(self) -> dict[str, Any] | None:
        """Return the content of ``result.json``, or None if the record is not finished.

        Only the size of archives is compared here: they hold checksums that are compared when they are read.

        Raises:
            DamagedError: a file is not as it was written.
        """
        try:
            content = json.loads((self.path / RESULT).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise self._damaged(RESULT) from error
        if not isinstance(content, dict) or content.get("checksum", checksum(content)) != checksum(content):
            raise self._damaged(RESULT)
        for name, known in content.get("files", {}).items():
            if not same(self.path / name, known):
                raise self._damaged(name)
        return content

    def result(self) -> dict[str, Any] | None:
        """Return as ``read`` does, but None for a damaged record, which the log names."""
        try:
            return self.read()
        except DamagedError as error:
            log.warning("%s", error)
            return None

    def damage(self) -> str:
        """Return the sentence that names the damage of a record, or "" if there is none."""
        try:
            self.read()
        except DamagedError as error:
            return str(error)
        return ""

    def is_finished(self) -> bool:
        """Return whether there is a result and every file is as it was written."""
        return self.result() is not None

    def _damaged(self, name: str) -> DamagedError:
        """Return the error for a file that is not as it was written."""
        return DamagedError(
            f"The record {self.path} is damaged: {name} is missing or not as it was written; repeat the "
            "command that made the run, which makes it again."
        )

    def finish(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``result.json``: the content, the list of the other files, and a checksum.

        Returns:
            The content of the file.

        Raises:
            CalibError: the place cannot be written to, or is full.
        """
        whole = {**content, "files": dict(self._files)}
        whole["checksum"] = checksum(whole)
        self.write_text(RESULT, json.dumps(whole, indent=1, allow_nan=False))
        return whole

    def prepare(self) -> None:
        """Create the directory, or empty it of an earlier attempt, whose result is removed first.

        Raises:
            CalibError: the place cannot be written to.
        """
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            for file in sorted(self.path.iterdir(), key=lambda file: file.name != RESULT):
                if not file.name.startswith("."):
                    file.unlink()
            self.write_text("run.log", "")
        self._files = {}

    def make_folder(self) -> None:
        """Create the directory if it does not exist; its files stay.

        Raises:
            CalibError: the place cannot be written to.
        """
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the directory against other processes; wait while another process has locked it.

        The lock of a killed process does not count, and its half-written files are removed.

        Raises:
            CalibError: the place cannot be written to.
        """
        lock = FileLock(self.path / ".lock")
        with self._writing():
            while not lock.is_locked:
                self.path.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # another process has just removed the directory
                    lock.acquire()
            remove_leftovers(self.path)
        try:
            yield
        finally:
            with suppress(OSError):  # a process that waits for the lock creates a new file
                (self.path / ".lock").unlink()
            lock.release()
            with suppress(OSError):
                self.path.rmdir()  # succeeds only if it is empty

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Write a file whole or not at all: ``writer`` fills a temporary file that is then renamed.

        Raises:
            CalibError: the place cannot be written to, or is full.
        """
        with self._writing():
            write_whole(self.path / name, writer)
            self._files[name] = facts(self.path / name)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the file system into one sentence.

        Raises:
            CalibError: such an error was raised within.
        """
        try:
            yield
        except OSError as error:
            raise CalibError(
                f"The output folder {self.path} cannot be written to ({error.strerror or error}); "
                "make room or choose another with out=<folder>."
            ) from error

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write arrays and ``Stack``s as a NumPy archive, without pickles, whole or not at all."""

        def write(file: Path) -> None:
            with file.open("wb") as stream:
                write_archive(stream, arrays)

        self.write(name, write)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file whole or not at all."""
        self.write(name, lambda file: file.write_text(text, encoding="utf-8"))

    def write_table(self, name: str, table: pd.DataFrame, digits: int) -> None:
        """Write a CSV file whole or not at all, with ``digits`` significant digits."""
        self.write(name, lambda f: table.to_csv(f, index=False, float_format=f"%.{digits}g"))
