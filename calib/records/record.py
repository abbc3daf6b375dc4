"""Records: directories that are written whole, read whole, and named by a key."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calib.errors import CalibError, DamagedError
from calib.files import checksum, facts, remove_leftovers, safe_name, same, write_archive, write_whole
from calib.records.locks import locked_folder
from calib.records.predictions_file import PREDICTIONS, TEXT, Predictions, read_predictions
from calib.records.shape import CORRECTION, RUN, Shape, misfit

if TYPE_CHECKING:
    import pandas as pd

    from calib.evaluation.tallies import Tally

log = logging.getLogger(__name__)

RESULT, ERROR, LOG = "result.json", "error.txt", "run.log"
"""The file that ends a record, the one that a failed run leaves in its place, and the log of either."""

NEXT = ".next"
"""Folder inside a finished record in which the record is made again."""


def run_record(out: Path, study: str, split: str, method: str, key: str) -> "Record":
    """Return the record of a run, ``<out>/runs/<study>/<split>/<method>-<key>``."""
    return Record(out / "runs" / safe_name(study) / safe_name(split) / f"{safe_name(method)}-{key}", RUN)


def correction_record(out: Path, study: str, corrector: str, key: str) -> "Record":
    """Return the record of a correction, ``<out>/corrections/<study>/<corrector>-<key>``."""
    return Record(out / "corrections" / safe_name(study) / f"{safe_name(corrector)}-{key}", CORRECTION)


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        variant: words of the plan that say what is set beside the published values; "" for nothing.
        result: content of its ``result.json``.
        path: folder of its record.
        walks: names of the walks of the plan that have the run.
        series: names of the lists of the plan that have the run.
        archived: returns the predictions of a run that is in the archive and has no record.
    """

    variant: str
    result: Mapping[str, Any]
    path: Path
    walks: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    archived: Callable[[], Predictions] | None = None

    def predictions(self, classes: Sequence[str] = (), text: Sequence[str] = TEXT) -> Predictions:
        """Return the run's predictions; arguments and errors as of ``read_predictions``."""
        if self.archived is not None:
            return self.archived()
        return read_predictions(self.path / PREDICTIONS, classes, text)

    @cached_property
    def tallies(self) -> "dict[str, Tally]":
        """Return the right answers of each subject by target batch, read once for all tables and verdicts.

        Errors are those of ``predictions``.
        """
        from calib.evaluation.tallies import tallies

        return tallies(self.predictions().table)


class Record:
    """A directory that is finished if, and only if, it has a ``result.json``, which is written last.

    ``result.json`` lists the size and checksum of every file written before it, and its own checksum, so that
    a record that is damaged later is not used as a result.

    A finished record that is made again stays until the new one is finished: the new files are written into
    its folder ``.next``, and ``settle`` moves them to their places once ``.next/result.json`` is there. If
    the process is killed between two of these moves, ``read`` finds each file in the one place or the other,
    and the next process that locks the record moves the rest.

    Attributes:
        path: the directory.
        shape: the values that its result must have (``calib.records.shape``); None: any.
        folder: where files are being written: the directory, or its ``.next``.
    """

    def __init__(self, path: Path, shape: Shape | None = None) -> None:
        self.path = self.folder = path
        self.shape = shape
        self._files: dict[str, dict[str, int | str]] = {}

    def read(self) -> dict[str, Any] | None:
        """Return the content of ``result.json``, or None if the record is not finished.

        Only the size of archives is compared here: they hold checksums that are compared when they are read.

        Raises:
            DamagedError: a file is not as it was written.
        """
        content, folders = self._latest()
        while content is not None:
            changed = [
                name
                for name, known in content.get("files", {}).items()
                if not any(same(folder / name, known) for folder in folders)
            ]
            if not changed:
                return content
            before, (content, folders) = content, self._latest()
            if content == before:  # no other process has just made the record again
                raise self._damaged(changed[0])
        return None

    def _latest(self) -> tuple[dict[str, Any] | None, list[Path]]:
        """Return the content of the newest ``result.json`` and the folders in which its files may be.

        Raises:
            DamagedError: it is not as it was written.
        """
        newer = None
        with suppress(DamagedError):
            newer = self._content(self.path / NEXT / RESULT)
        if newer is not None:
            return newer, [self.path / NEXT, self.path]
        return self._content(self.path / RESULT), [self.path]

    def _content(self, file: Path) -> dict[str, Any] | None:
        """Return the content of a ``result.json``, or None if there is none.

        Raises:
            DamagedError: it is not as it was written.
        """
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise self._damaged(RESULT) from error
        if not isinstance(content, dict) or content.get("checksum", checksum(content)) != checksum(content):
            raise self._damaged(RESULT)
        if self.shape is not None and (wrong := misfit(content, self.shape, self.path.name)):
            raise DamagedError(
                f"The record {self.path} is not of the kind that is expected here: {wrong}; it is passed "
                "over, and repeating the command that made the run makes it again."
            )
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
        self.settle()
        return whole

    def prepare(self) -> None:
        """Create the directory, or empty it of an earlier attempt; a finished record stays.

        The files of a finished record are replaced by ``settle`` when the new ones are complete.

        Raises:
            CalibError: the place cannot be written to.
        """
        finished = None
        with suppress(DamagedError):
            finished = self.read()
        self.folder = self.path if finished is None else self.path / NEXT
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(self.folder.iterdir(), key=lambda file: file.name != RESULT):
                if not file.name.startswith("."):
                    file.unlink()
            self.write_text(LOG, "")
        self._files = {}

    def settle(self) -> None:
        """Move the files of a record that was made again to their places, ``result.json`` last.

        Files of the earlier record that the new one does not have are removed. Nothing happens where no
        record was made again, or where the new one is not finished.

        Raises:
            CalibError: the place cannot be written to.
        """
        self.folder, newer, content = self.path, self.path / NEXT, None
        with suppress(DamagedError):
            content = self._content(newer / RESULT)
        if content is None:
            return
        kept = {*content.get("files", {}), LOG, RESULT}
        with self._writing():
            for file in newer.iterdir():
                if file.name in kept and file.name != RESULT:
                    with suppress(PermissionError) if file.name == LOG else nullcontext():  # open, on Windows
                        file.replace(self.path / file.name)
            for file in self.path.iterdir():
                if file.name not in kept and not file.name.startswith("."):
                    file.unlink()
            (newer / RESULT).replace(self.path / RESULT)
            shutil.rmtree(newer, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a killed process left of making this record again, unless another one is making it."""
        if (self.path / NEXT).is_dir():
            with suppress(CalibError), self.locked(wait=False):
                pass

    def make_folder(self) -> None:
        """Create the directory if it does not exist; its files stay.

        Raises:
            CalibError: the place cannot be written to.
        """
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self, wait: bool = True) -> Iterator[None]:
        """Lock the directory against other processes; wait while another process has locked it.

        The lock of a killed process does not count. Its half-written files are removed, and if it was killed
        while it moved the files of a finished record, the rest is moved.

        Args:
            wait: whether to wait, which the log says after a second.

        Raises:
            CalibError: the place cannot be written to, or is locked and ``wait`` is false.
        """
        with ExitStack() as held:
            with self._writing():
                held.enter_context(locked_folder(self.path, wait))
                remove_leftovers(self.path)
                self.settle()
                if (self.path / NEXT).is_dir():
                    shutil.rmtree(self.path / NEXT)
            yield

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Write a file whole or not at all: ``writer`` fills a temporary file that is then renamed.

        Raises:
            CalibError: the place cannot be written to, or is full.
        """
        with self._writing():
            write_whole(self.folder / name, writer)
            self._files[name] = facts(self.folder / name)

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

    def write_table(self, name: str, table: "pd.DataFrame", digits: int) -> None:
        """Write a CSV file whole or not at all, with ``digits`` significant digits."""
        self.write(name, lambda f: table.to_csv(f, index=False, float_format=f"%.{digits}g"))
