"""Finding and downloading data files of any format, which the readers then open by their path.

Files are looked for in the user's data folder and the cache, and are downloaded from the authors' repository.
A user's own file is looked for in the current folder first.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pooch
from filelock import FileLock

from calib.errors import DataError, UnreachableError
from calib.shown import ShownFormatter

for handler in pooch.get_logger().handlers:
    handler.setFormatter(ShownFormatter())  # it logs the address of each download


def data_folders() -> list[Path]:
    """Return the folders to search for data files: ``CALIB_DATA_DIR`` where set, then the download cache."""
    named = os.environ.get("CALIB_DATA_DIR")
    return [*([Path(named)] if named else []), Path(pooch.os_cache("calib"))]


def locate(path: str, url: str | None = None, sha256: str | None = None) -> Path:
    """Return the path of a data file on this machine, after downloading the file if it is missing.

    Args:
        path: absolute path, or path relative to the data folders; of a file without an address, to the
            current folder first. A path may begin with ``~/``.
        url: address from which to download a file that is in none of the folders.
        sha256: checksum that the content must have; None accepts any.

    Raises:
        UnreachableError: the file is missing and cannot be downloaded.
        DataError: the file is missing and has no address, or has another checksum.
    """
    if path.startswith("~/"):
        path = str(Path(path).expanduser())
    folders = [*([Path.cwd()] if url is None else []), *data_folders()]
    if (found := find(path, folders)) is not None:
        return _verified(found, sha256)
    if url is None or Path(path).is_absolute():
        places = list(dict.fromkeys(folder / path for folder in folders))  # an absolute path is one place
        for place in filter(Path.is_dir, places):
            raise DataError(f"File {place} is a folder; name a file, or all files in a list.")
        searched = " or ".join(map(str, places))
        raise DataError(f"File {searched} does not exist; check the path in the dataset's settings.")
    return _download(url, cached(path), sha256)


def cached(path: str) -> Path:
    """Return the place of a file in the download cache.

    Raises:
        DataError: the place is outside the cache.
    """
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise DataError(
            f"File {path} would be downloaded to a place outside the cache; give a path without '..'."
        )
    return data_folders()[-1] / path


def retrieve(url: str, checksum: str | None, file: Path, downloader: Any = None) -> None:
    """Download a file completely or not at all; several processes that need it download it once.

    The file arrives in a temporary folder, which the next download removes if this one is killed. So the
    cache never holds a part of a file.

    Args:
        url: address of the file.
        checksum: checksum in pooch's format, ``<algorithm>:<digest>`` or a sha256; None accepts any.
        file: where the file is to be.
        downloader: function in pooch's format that downloads; None: pooch's own.

    Raises:
        ValueError: the content has another checksum.
        OSError: there is no network, no such address, or no room on the disk.
    """
    place = file.with_name(f".{file.name}.download")
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):  # other processes wait here and then find the file
        if not file.is_file():
            shutil.rmtree(place, ignore_errors=True)
            pooch.retrieve(url, checksum, file.name, place, downloader=downloader, progressbar=not downloader)
            (place / file.name).replace(file)
            shutil.rmtree(place, ignore_errors=True)


def address_in(folder: str, name: str) -> str:
    """Return the address of a file in a folder of the web, with the folder's query, which may hold a key."""
    parts = urlsplit(folder)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def find(path: str, folders: Sequence[Path] | None = None) -> Path | None:
    """Return the file in the first folder that has it, or None; an absolute path is taken as it is.

    Args:
        path: the path.
        folders: the folders; None: the data folders.
    """
    places = data_folders() if folders is None else folders
    return next((file for folder in places if (file := folder / path).is_file()), None)


def _verified(file: Path, sha256: str | None) -> Path:
    """Return the file if it has the checksum, else raise DataError."""
    try:
        found = pooch.file_hash(str(file), alg="sha256") if sha256 else None
    except OSError as error:
        raise DataError(f"File {file} cannot be read ({error.strerror}).") from error
    if found != sha256:
        raise DataError(
            f"File {file} is not the expected one: its sha256 is {found}, not {sha256}. "
            "Delete it so that it can be downloaded again, or set the file's sha256=null to use it as it is."
        )
    return file


def _download(url: str, file: Path, sha256: str | None) -> Path:
    """Download the file, check it, and return it.

    Raises:
        UnreachableError: it could not be downloaded.
        DataError: the download has another checksum.
    """
    try:
        retrieve(url, sha256, file)
    except OSError as error:  # also of an address that is none, which requests calls a ValueError, too
        raise UnreachableError(
            f"File {file.name} is not in {file.parent} and could not be downloaded from {url} "
            f"({type(error).__name__}): connect to the network, or put the file into the folder named "
            "by CALIB_DATA_DIR."
        ) from error
    except ValueError as error:  # pooch found another checksum and removed the file
        raise DataError(
            f"The download of {url} does not have the expected sha256 {sha256}; "
            "try again, and report it if it happens twice."
        ) from error
    return _verified(file, sha256)  # another process may have downloaded it
