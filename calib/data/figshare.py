"""Downloads of large files from figshare, which resume after a break and are checked by the published MD5."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm import tqdm

from calib.data.downloads import cached, find, locate, retrieve
from calib.errors import DataError, UnreachableError
from calib.files import write_whole

API = "https://api.figshare.com/v2"
ATTEMPTS = 5
"""Connections that one call tries before it gives up."""
TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and for the next bytes."""
BLOCK = 1 << 20
"""Bytes that are read and written at a time."""
BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """The address, the size in bytes and the MD5 that figshare publishes for a file."""

    url: str
    size: int
    md5: str


def locate_published(path: str, article: int, file: int) -> Path:
    """Return the path of a file in the data folders, after downloading it from figshare if it is missing.

    The sha256 of the downloaded file is written beside it, as ``<name>.sha256``, and checked from then on.

    Args:
        path: path relative to the data folders, or absolute path.
        article, file: figshare's numbers of the article and of the file.

    Raises:
        UnreachableError: the file is missing and cannot be downloaded.
        DataError: the file is not the published one, or has changed since.
    """
    found = find(path)
    if found is None and Path(path).is_absolute():
        return locate(path)  # raises the error for a missing file
    if found is None:
        return _download(cached(path), article, file)
    recorded = _checksum_file(found)
    if recorded.is_file() and recorded.read_text().split()[:1] != [_sha256(found)]:
        raise DataError(
            f"File {found} is no longer what was downloaded: its sha256 is not the one in {recorded.name}. "
            "Delete both so that it is downloaded again."
        )
    return found


def published(article: int, file: int) -> Published:
    """Return the address, size and MD5 that figshare publishes for a file.

    Raises:
        OSError: figshare cannot be reached.
        DataError: the article has no such file, or the file has no MD5.
    """
    answer = requests.get(f"{API}/articles/{article}", timeout=TIMEOUT)
    answer.raise_for_status()
    for entry in answer.json()["files"]:
        if entry["id"] == file:
            md5 = entry.get("computed_md5") or entry.get("supplied_md5")
            if not md5:
                break
            return Published(entry["download_url"], entry["size"], md5)
    raise DataError(
        f"figshare's article {article} lists no file {file} with a checksum; look the file up on "
        "figshare.com and put it into the folder named by CALIB_DATA_DIR."
    )


def _download(file: Path, article: int, number: int) -> Path:
    """Download the file, record its sha256, and return it; errors are those of ``locate_published``."""
    part = file.with_name(f".{file.name}.part")
    try:
        entry = published(article, number)

        def resumed(url: str, output: str, _: pooch.Pooch | None) -> None:
            _stream(url, part, entry.size)
            part.replace(output)

        retrieve(entry.url, f"md5:{entry.md5}", file, resumed)
        line = f"{_sha256(file)}  {file.name}\n"
        write_whole(_checksum_file(file), lambda temporary: temporary.write_text(line))
    except OSError as error:
        arrived = f" {part.stat().st_size / 1e6:.0f} MB have arrived and are kept." if part.is_file() else ""
        raise UnreachableError(
            f"File {file.name} is not in {file.parent} and could not be downloaded from figshare, article "
            f"{article} ({type(error).__name__}): connect to the network and repeat the command, or put "
            f"the file into the folder named by CALIB_DATA_DIR.{arrived}"
        ) from error
    except ValueError as error:  # pooch found another checksum and removed the file
        raise DataError(
            f"The download of {file.name} does not have the MD5 that figshare publishes; try again, and "
            "report it if it happens twice."
        ) from error
    return file


def _stream(url: str, part: Path, size: int) -> None:
    """Fill ``part`` up to ``size`` bytes, from where an earlier call or a broken connection ended."""
    for attempt in range(1, ATTEMPTS + 1):
        done = part.stat().st_size if part.is_file() else 0
        if done >= size:
            return
        try:
            _append(url, part, done, size)
        except BROKEN as error:
            if attempt == ATTEMPTS:
                raise
            log.info("The connection broke (%s); going on.", type(error).__name__)
    if part.stat().st_size < size:
        raise ConnectionError(f"{url} ended early")


def _append(url: str, part: Path, done: int, size: int) -> None:
    """Append the bytes after the first ``done``, or write all of them if the server sends the whole file."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        start = done if resumed else 0
        shown: dict[str, Any] = {"initial": start, "unit": "B", "unit_scale": True, "disable": None}
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(desc="download", total=size, **shown) as bar,
        ):
            for block in answer.iter_content(BLOCK):
                file.write(block)
                bar.update(len(block))


def _checksum_file(file: Path) -> Path:
    """Return the file beside a download that records its sha256."""
    return file.with_name(f"{file.name}.sha256")


def _sha256(file: Path) -> str:
    return pooch.file_hash(str(file), alg="sha256")
