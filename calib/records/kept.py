"""Files kept by the content of what they show, so that nothing is made twice.

::

    <folder>/<name>-<key>.npz

The key is a hash of everything that decides the content, so an entry is never out of date. Once a name has
another key, nothing names the earlier entry any more, and it is removed.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calib.errors import DamagedError
from calib.files import read_arrays
from calib.records.provenance import code, versions
from calib.records.record import Record

if TYPE_CHECKING:
    from hashlib import _Hash

log = logging.getLogger(__name__)

DRAWERS = ("matplotlib", "pillow")
"""Packages, beside those of every record, on whose version the bytes of a figure depend."""

PLAIN = (str, int, float, bool, type(None))
"""Types whose ``repr`` says all."""

LENGTH = 24
"""Characters of a key."""


class Kept:
    """Contents below a folder, each in one archive with checksums.

    Attributes:
        folder: the folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, key: str, parts: Collection[str]) -> dict[str, bytes] | None:
        """Return the parts of an entry; None where there is none, or it is not as it was written."""
        file = self.folder / f"{name}-{key}.npz"
        if not file.is_file():
            return None
        try:
            return {part: content.tobytes() for part, content in read_arrays(file, *parts).items()}
        except DamagedError as error:
            log.warning("It is made again: %s", error)
            return None

    def keep(self, name: str, key: str, parts: Mapping[str, bytes]) -> None:
        """Write an entry, and remove the earlier ones of its name.

        Args:
            name: a name that can be a file's (``safe_name``).
            key: what ``content_key`` returns.
            parts: name -> content.

        Raises:
            CalibError: the folder cannot be written to.
        """
        record = Record(self.folder)
        record.make_folder()
        arrays = {part: np.frombuffer(content, np.uint8) for part, content in parts.items()}
        record.write_arrays(f"{name}-{key}.npz", arrays)
        of_name = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{LENGTH}}}\.npz")
        for file in self.folder.iterdir():
            if of_name.fullmatch(file.name) and file.name != f"{name}-{key}.npz":
                file.unlink(missing_ok=True)


def content_key(*shown: Any) -> str:
    """Return a hash of values and of what else decides what is made of them: the code and its libraries.

    Two values have the same key only if they are equal in type, content and order.

    Args:
        shown: texts, bytes, numbers, arrays, tables, and mappings, sequences and dataclasses of such values.

    Raises:
        TypeError: a value is of another type, whose content cannot be told.
    """
    digest = hashlib.sha256()
    made_by = (code(), versions(), {package: version(package) for package in DRAWERS})
    _add(digest, (made_by, shown))
    return digest.hexdigest()[:LENGTH]


def _add(digest: "_Hash", value: Any) -> None:
    """Add a value to a hash.

    Raises:
        TypeError: as ``content_key``.
    """
    import pandas as pd

    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            _add(digest, value.tolist())
        else:
            _put(digest, f"array {value.dtype.str} {value.shape}", np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        _put(digest, "table")
        _add(digest, [value.index, list(value.columns), *(column for _, column in value.items())])
    elif isinstance(value, pd.Series | pd.Index):
        _put(digest, "column")
        _add(digest, [value.name, value.to_numpy()])
    elif isinstance(value, Mapping):
        _put(digest, "mapping")
        _add(digest, [part for pair in value.items() for part in pair])
    elif is_dataclass(value) and not isinstance(value, type):
        _put(digest, type(value).__qualname__)
        _add(digest, [getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, bytes):
        _put(digest, "bytes", value)
    elif type(value) in PLAIN or isinstance(value, np.generic) or value is pd.NA:
        _put(digest, repr(value))
    elif isinstance(value, Sequence):
        _put(digest, f"sequence of {len(value)}")
        if all(type(part) in PLAIN for part in value):
            _put(digest, repr(list(value)))
        else:
            for part in value:
                _add(digest, part)
    else:
        raise TypeError(f"A {type(value).__name__} cannot be hashed; hand over what is shown of it.")


def _put(digest: "_Hash", text: str, content: bytes = b"") -> None:
    """Add a text and bytes to a hash, with their lengths, so that no two pairs look alike."""
    encoded = text.encode()
    digest.update(f"{len(encoded)} {len(content)} ".encode() + encoded)
    digest.update(content)
