"""Files that are written completely or not at all, and are checked for damage when they are read.

A process can be killed between any two instructions, and a disk can be full or damaged. A reader sees the
file as it was before, the file as it is after, or an error, and never a part of it.
"""

import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from calib.errors import DamagedError

if TYPE_CHECKING:
    import pandas as pd

LEFTOVER = re.compile(r"\.\d+-.+")
"""Name of a temporary file, which a killed process may leave behind: ``.<process id>-<name>``."""

BLOCK = 2**26
"""Most bytes of an archive that are read at a time."""


def safe_name(name: str) -> str:
    """Return a name that can be a folder: up to 80 letters, digits and ``._+-``.

    A name with other characters, or a longer one, is cleaned, cut, and ends in a part of its hash.
    """
    cleaned = re.sub(r"[^\w.+-]", "-", name, flags=re.ASCII).lstrip(".")[:80]
    if name and cleaned == name:
        return name
    return f"{cleaned}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def short_hash(identity: Mapping[str, Any]) -> str:
    """Return the first twelve characters of the SHA-256 of all that decides a result."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a content without its own ``checksum``."""
    text = json.dumps({key: value for key, value in content.items() if key != "checksum"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def facts(file: Path) -> dict[str, int | str]:
    """Return the size and the SHA-256 of a file."""
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def same(file: Path, expected: Mapping[str, int | str]) -> bool:
    """Return whether a file still has its recorded ``facts``.

    Of an archive only the size is compared, because an archive carries checksums of its own.
    """
    try:
        if file.stat().st_size != expected["bytes"]:
            return False
        return file.suffix == ".npz" or facts(file) == expected
    except (OSError, TypeError, KeyError):  # the last two: ``expected`` is of another shape
        return False


def write_whole(file: Path, writer: Callable[[Path], object]) -> None:
    """Write a file completely or not at all: ``writer`` fills a temporary file, which is then renamed.

    The temporary file is flushed to the disk before it is renamed. Otherwise a loss of power could leave the
    new name with half of the content.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; the earlier file is still there.
    """
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        writer(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files below a folder, which the caller must have locked."""
    for file in folder.rglob(".*"):
        if LEFTOVER.fullmatch(file.name):
            file.unlink(missing_ok=True)


def read_table(file: Path, **options: Any) -> "pd.DataFrame":
    """Return a CSV table of this project; ``options`` are those of ``pandas.read_csv``.

    Raises:
        DamagedError: the file is missing, or is not such a table.
    """
    import pandas as pd

    try:
        return pd.read_csv(file, **options)
    except (OSError, ValueError) as error:  # ValueError: parser, encoding, columns
        raise DamagedError(f"File {file} {_reason(error)}.") from error


@dataclass(frozen=True)
class Stack:
    """An array that is written block by block, so that it never has to be in memory as a whole.

    Attributes:
        shape: shape of the whole array.
        dtype: number type.
        blocks: the array's rows in order, cut into blocks.
    """

    shape: tuple[int, ...]
    dtype: str
    blocks: Iterable[NDArray[Any]]


def write_archive(stream: BinaryIO, arrays: Mapping[str, Any]) -> None:
    """Write arrays and stacks as a NumPy archive, with the bytes that ``numpy.savez`` writes.

    Nothing is pickled.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if not isinstance(array, Stack):
                    npy.write_array(member, np.asanyarray(array), allow_pickle=False)
                    continue
                descr = npy.dtype_to_descr(np.dtype(array.dtype))
                npy.write_array_header_1_0(
                    member, {"descr": descr, "fortran_order": False, "shape": array.shape}
                )
                for block in array.blocks:
                    member.write(np.ascontiguousarray(block, array.dtype).tobytes())


def read_arrays(file: Path, *names: str) -> dict[str, Any]:
    """Return the arrays of a NumPy archive without pickles, after comparing its checksums.

    Args:
        file: the archive.
        names: arrays that the archive must hold.

    Raises:
        DamagedError: the file is missing, or has changed since it was written.
    """
    with reading(file):
        check_archive(file)
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: stored[name] for name in dict.fromkeys((*names, *stored.files))}


def check_archive(file: Path) -> None:
    """Refuse an archive whose members would take more memory than the file takes room, before reading them.

    This project writes arrays of numbers or text, uncompressed. So the size that each array's header states
    must be the size of its member, and all members together must fit into the file.

    Raises:
        ValueError: the archive is not so; other errors are those of a damaged archive.
    """
    left = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its member {member.filename} is compressed, which this project never does")
            left -= member.file_size
            if left < 0:
                raise ValueError("its members are larger than the file")
            with archive.open(member) as stream:
                dtype, size = _header(stream)
            if dtype.hasobject:
                raise ValueError("Object arrays cannot be loaded, because they could run code")
            if dtype.itemsize == 0 or size != member.file_size:
                raise ValueError(f"its member {member.filename} has another size than its header says")


def _header(stream: IO[bytes]) -> tuple[np.dtype[Any], int]:
    """Return the number type of an array and the size of its member in bytes, as its header states them."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise ValueError("it has an array in a format that this project does not write")
    shape, _, dtype = readers[version](stream)
    return dtype, stream.tell() + math.prod(shape) * dtype.itemsize


def read_rows(file: Path, name: str, rows: NDArray[np.integer]) -> NDArray[Any]:
    """Return some rows of one array of an archive, without the others in memory.

    Args:
        file: the archive.
        name: name of the array.
        rows: row numbers in ascending order.
    """
    with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as member:
        if npy.read_magic(member) != (1, 0):
            raise ValueError(f"{file}: {name} is in a later version of NumPy's format than 1.0")
        shape, _, dtype = npy.read_array_header_1_0(member)
        width = dtype.itemsize * int(np.prod(shape[1:]))
        step = max(BLOCK // max(width, 1), 1)
        chosen = np.empty((len(rows), *shape[1:]), dtype)
        for start in range(0, shape[0], step):
            first, last = np.searchsorted(rows, [start, start + step])
            block = member.read(width * min(step, shape[0] - start))
            whole = np.frombuffer(block, dtype).reshape(-1, *shape[1:])
            chosen[first:last] = whole[rows[first:last] - start]
    return chosen


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn every error within the context into damage of the file.

    Raises:
        DamagedError: the file is missing, or has changed since it was written.
    """
    try:
        yield
    except Exception as error:  # zip, zlib and NumPy raise a dozen kinds of errors on damaged files
        raise DamagedError(f"File {file} {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Return the end of a sentence that says what is wrong with a file."""
    if isinstance(error, FileNotFoundError):
        return "is not there"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"is damaged ({lines[0].rstrip('.')})"
