"""Files that are written whole or not at all, and read whole or refused.

A process can be killed between any two instructions, and a disk can be full or damaged: a reader sees the
file as it was before, as it is after, or an error, never a part of it.
"""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray

from calib.errors import DamagedError

LEFTOVER = re.compile(r"\.\d+-.+")
"""What a process that was killed may leave behind: ``.<process id>-<name>``."""


def write_whole(file: Path, writer: Callable[[Path], object]) -> None:
    """Let ``writer`` fill a temporary file beside ``file``, see it on the disk, and rename it.

    Without the wait a loss of power could leave the new name with half of the content.

    Raises:
        OSError: the place cannot be written to, or is full; what was there before is still there.
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
    """Remove the temporary files below a folder; only for who keeps others from writing there."""
    for file in folder.rglob(".*"):
        if LEFTOVER.fullmatch(file.name):
            file.unlink(missing_ok=True)


def read_arrays(file: Path, *names: str) -> dict[str, Any]:
    """The arrays of a NumPy archive, none of them pickled; its checksums are compared.

    Args:
        names: those that it must hold.

    Raises:
        DamagedError: it is not there, or not as it was written.
    """
    with reading(file), file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return {name: stored[name] for name in dict.fromkeys((*names, *stored.files))}


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Whatever goes wrong within is damage of the file.

    Raises:
        DamagedError: it is not there, or not as it was written.
    """
    try:
        yield
    except Exception as error:  # what zip, zlib and NumPy raise on damage is of a dozen kinds
        raise DamagedError(f"File {file} {_reason(error)}.") from error


def read_table(file: Path, **options: Any) -> pd.DataFrame:
    """A CSV table of this project; ``options`` are those of ``pandas.read_csv``.

    Raises:
        DamagedError: it is not there, or no such table.
    """
    try:
        return pd.read_csv(file, **options)
    except (OSError, ValueError) as error:  # parser, encoding and missing columns too
        raise DamagedError(f"File {file} {_reason(error)}.") from error


def facts(file: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file."""
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def same(file: Path, known: Mapping[str, int | str]) -> bool:
    """Whether a file is still what its ``facts`` say; of an archive, which checks itself, only the size."""
    try:
        return file.stat().st_size == known["bytes"] and (file.suffix == ".npz" or facts(file) == known)
    except OSError:
        return False


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a content without its own ``checksum``."""
    text = json.dumps({key: value for key, value in content.items() if key != "checksum"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    told = str(error).strip().splitlines() or [type(error).__name__]
    return f"is damaged ({told[0].rstrip('.')})"


BLOCK = 2**26
"""Most bytes read at a time."""


@dataclass(frozen=True)
class Stack:
    """An array of this shape and number type that comes in blocks of rows, in order."""

    shape: tuple[int, ...]
    dtype: str
    blocks: Iterable[NDArray[Any]]


def write_archive(stream: BinaryIO, arrays: Mapping[str, Any]) -> None:
    """Write arrays and stacks, none of them pickled: the bytes that ``numpy.savez`` writes of the whole."""
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


def read_rows(file: Path, name: str, rows: NDArray[np.integer]) -> NDArray[Any]:
    """These rows, in ascending order, of one array of an archive, without the others in memory."""
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
