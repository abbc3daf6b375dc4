"""Tests that the cache never holds a part of a file, whether a download is cut off, changed or killed."""

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib.data.downloads import locate
from calib.errors import DataError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Host(http.server.BaseHTTPRequestHandler):
    """A server of the content, which is slow, changed or cut off if the address says so."""

    served: int = 0

    def do_GET(self) -> None:
        type(self).served += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        content = CONTENT[::-1] if "changed" in self.path else CONTENT
        content = content[: len(content) // 2] if "cut" in self.path else content
        for start in range(0, len(content), 65536):
            time.sleep(0.2 if "slow" in self.path else 0)
            try:
                self.wfile.write(content[start : start + 65536])
            except OSError:  # the client was killed
                return

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    Host.served = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALIB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("calib.data.downloads.data_folders", lambda: [tmp_path / "data"])
    return tmp_path / "data"


def files(folder: Path) -> list[str]:
    return sorted(
        file.name for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".lock")
    )


@pytest.mark.parametrize(
    ("kind", "sentence"), [("cut", "could not be downloaded"), ("changed", "expected sha256")]
)
def test_a_bad_download_is_not_kept(kind: str, sentence: str, host: str, cache: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        locate("study/x.bin", f"{host}/{kind}/x.bin", DIGEST)
    assert files(cache) == []
    assert locate("study/x.bin", f"{host}/good/x.bin", DIGEST).read_bytes() == CONTENT
    assert files(cache) == ["x.bin"]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_in_the_cache_is_named(damage: str, host: str, cache: Path) -> None:
    file = locate("study/x.bin", f"{host}/good/x.bin", DIGEST)
    file.write_bytes({"cut": CONTENT[:-1], "changed": CONTENT[::-1], "empty": b""}[damage])
    with pytest.raises(DataError, match=r"x\.bin is not the expected one: .* Delete it so that it can be"):
        locate("study/x.bin", f"{host}/good/x.bin", DIGEST)
    file.unlink()
    assert locate("study/x.bin", f"{host}/good/x.bin", DIGEST).read_bytes() == CONTENT


CODE = """
import sys
from pathlib import Path
import calib.data.downloads as files
files.data_folders = lambda: [Path(sys.argv[1])]
files.locate("study/x.bin", sys.argv[2], sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_killed_download_leaves_nothing_that_counts(host: str, cache: Path) -> None:
    for pause in (0.2, 0.6, 1.2, 2.0, 2.8):
        command = [sys.executable, "-c", CODE, str(cache), f"{host}/slow/x.bin", DIGEST]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not list(cache.rglob("*.download/*")):
                assert process.poll() is None
                time.sleep(0.02)
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
        assert not (cache / "study" / "x.bin").exists()
    assert locate("study/x.bin", f"{host}/good/x.bin", DIGEST).read_bytes() == CONTENT
    assert files(cache) == ["x.bin"]


@pytest.mark.slow
def test_two_processes_download_once(host: str, cache: Path) -> None:
    command = [sys.executable, "-c", CODE, str(cache), f"{host}/slow/x.bin", DIGEST]
    both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert Host.served == 1
    assert files(cache) == ["x.bin"]
