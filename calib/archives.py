"""NumPy archives (npz) that are larger than memory should be: written and read in blocks of rows."""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

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
