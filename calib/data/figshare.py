"""Large files that figshare holds: downloaded in one go or in several, checked by the MD5 it publishes."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm import tqdm

from calib.data.downloads import cached, find, locate, retrieve
from calib.errors import DataError
from calib.files import write_whole

API = "https://api.figshare.com/v2"
ATTEMPTS = 5
"""Broken connections that one call goes on after."""
TIMEOUT = (10, 60)
"""Seconds to wait for a connection and for the next bytes."""
BLOCK = 1 << 20
BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What the host says of a file: address, size in bytes and MD5."""

    url: str
    size: int
    md5: str


def locate_published(path: str, article: int, file: int) -> Path:
    """The file in the data folders, downloaded from figshare if it is in none of them.

    The sha256 of what was downloaded is written beside it, as ``<name>.sha256``, and checked from then on.

    Args:
        path: relative to the data folders, or absolute.
        article, file: figshare's numbers.

    Raises:
        DataError: the file cannot be downloaded, is not what the host publishes, or has changed since.
    """
    found = find(path)
    if found is None and Path(path).is_absolute():
        return locate(path)  # which says that it is not there
    if found is None:
        return _download(cached(path), article, file)
    recorded = _beside(found)
    if recorded.is_file() and recorded.read_text().split()[:1] != [_sha256(found)]:
        raise DataError(
            f"File {found} is no longer what was downloaded: its sha256 is not the one in {recorded.name}. "
            "Delete both so that it is downloaded again."
        )
    return found


def published(article: int, file: int) -> Published:
    """What figshare says of a file.

    Raises:
        OSError: figshare cannot be reached.
        DataError: the article has no such file, or the file no MD5.
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
    part = file.with_name(f".{file.name}.part")
    try:
        known = published(article, number)

        def resumed(url: str, output: str, _: pooch.Pooch | None) -> None:
            _stream(url, part, known.size)
            part.replace(output)

        retrieve(known.url, f"md5:{known.md5}", file, resumed)
        line = f"{_sha256(file)}  {file.name}\n"
        write_whole(_beside(file), lambda temporary: temporary.write_text(line))
    except OSError as error:
        kept = f" {part.stat().st_size / 1e6:.0f} MB have arrived and are kept." if part.is_file() else ""
        raise DataError(
            f"File {file.name} is not in {file.parent} and could not be downloaded from figshare, article "
            f"{article} ({type(error).__name__}): connect to the network and repeat the command, or put "
            f"the file into the folder named by CALIB_DATA_DIR.{kept}"
        ) from error
    except ValueError as error:  # pooch's word for a checksum mismatch; it keeps no such file
        raise DataError(
            f"The download of {file.name} does not have the MD5 that figshare publishes; try again, and "
            "report it if it happens twice."
        ) from error
    return file


def _stream(url: str, part: Path, size: int) -> None:
    """Fill ``part`` up to ``size`` bytes, going on where an earlier call or a broken connection ended."""
    for attempt in range(1, ATTEMPTS + 1):
        done = part.stat().st_size if part.is_file() else 0
        if done >= size:
            return
        try:
            _go_on(url, part, done, size)
        except BROKEN as error:
            if attempt == ATTEMPTS:
                raise
            log.info("The connection broke (%s); going on.", type(error).__name__)
    if part.stat().st_size < size:
        raise ConnectionError(f"{url} ended early")


def _go_on(url: str, part: Path, done: int, size: int) -> None:
    wanted = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=wanted, stream=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        begun = done if resumed else 0
        shown: dict[str, Any] = {"initial": begun, "unit": "B", "unit_scale": True, "disable": None}
        with part.open("ab" if resumed else "wb") as file, tqdm(desc="download", total=size, **shown) as bar:
            for block in answer.iter_content(BLOCK):
                file.write(block)
                bar.update(len(block))


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _sha256(file: Path) -> str:
    return pooch.file_hash(str(file), alg="sha256")
