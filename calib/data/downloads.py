"""Where a study's files are: the user's data folder, the cache, or the authors' repository."""

import os
import shutil
from pathlib import Path
from typing import Any

import pooch
from filelock import FileLock

from calib.errors import DataError


def data_folders() -> list[Path]:
    """Folders searched for data files: ``CALIB_DATA_DIR`` where set, then the download cache."""
    named = os.environ.get("CALIB_DATA_DIR")
    return [*([Path(named)] if named else []), Path(pooch.os_cache("calib"))]


def locate(path: str, url: str | None = None, sha256: str | None = None) -> Path:
    """The file on this machine, downloaded if need be.

    Args:
        path: absolute, or relative to the data folders.
        url: where to download it from when it is in none of them.
        sha256: checksum that the content must have; None accepts any.

    Raises:
        DataError: the file is missing and cannot be downloaded, or has another checksum.
    """
    folders = data_folders()
    if (found := find(path)) is not None:
        return _verified(found, sha256)
    if url is None or Path(path).is_absolute():
        searched = path if Path(path).is_absolute() else " or ".join(str(f / path) for f in folders)
        raise DataError(f"File {searched} does not exist; check the path in the dataset's settings.")
    return _download(url, cached(path), sha256)


def cached(path: str) -> Path:
    """Where a file belongs in the download cache.

    Raises:
        DataError: that is outside the cache.
    """
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise DataError(
            f"File {path} would be downloaded to a place outside the cache; give a path without '..'."
        )
    return data_folders()[-1] / path


def retrieve(url: str, checksum: str | None, file: Path, downloader: Any = None) -> None:
    """Download a file whole or not at all; several processes that want it download it once.

    It arrives in a folder of its own, so that nothing is left in the cache of a download that was killed: the
    next one begins by removing that folder.

    Args:
        checksum: as pooch wants it, with the algorithm before it unless it is sha256; None accepts any.
        downloader: pooch's, if not its own.

    Raises:
        ValueError: the content has another checksum.
        OSError: there is no network, no such address, or no room.
    """
    place = file.with_name(f".{file.name}.download")
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):  # others wait, and then find it
        if not file.is_file():
            shutil.rmtree(place, ignore_errors=True)
            pooch.retrieve(url, checksum, file.name, place, downloader=downloader, progressbar=not downloader)
            (place / file.name).replace(file)
            shutil.rmtree(place, ignore_errors=True)


def find(path: str) -> Path | None:
    """The file in the first data folder that has it (an absolute path is in all), or None."""
    return next((file for folder in data_folders() if (file := folder / path).is_file()), None)


def _verified(file: Path, sha256: str | None) -> Path:
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
    try:
        retrieve(url, sha256, file)
    except ValueError as error:  # pooch's word for a checksum mismatch; it keeps no such file
        raise DataError(
            f"The download of {url} does not have the expected sha256 {sha256}; "
            "try again, and report it if it happens twice."
        ) from error
    except OSError as error:  # no network, no such address, or no room
        raise DataError(
            f"File {file.name} is not in {file.parent} and could not be downloaded from {url} "
            f"({type(error).__name__}): connect to the network, or put the file into the folder named "
            "by CALIB_DATA_DIR."
        ) from error
    return _verified(file, sha256)  # which another process may have downloaded
