"""A study from an address with a password is downloaded, and the password is nowhere afterwards."""

import base64
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pooch
import pytest

from calib.data.downloads import address_in, locate
from calib.errors import DataError
from tests.test_shown import called

USER, PASSWORD = "ann", "s3cret"
WANTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Host(http.server.BaseHTTPRequestHandler):
    """A server of tables for those who give the password, or have it in the query."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if self.headers.get("Authorization") != WANTED and f"token={PASSWORD}" not in address.query:
            self.send_error(401)
            return
        number = int(Path(address.path).stem)
        rng = np.random.default_rng(number)
        rows = (f"{i // 2 % 2}," + ",".join(f"{v:.1f}" for v in rng.gamma(2, 500, 4)) for i in range(20))
        content = "\n".join(["label,a,b,c,d", *rows]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the download cache, which is empty."""
    monkeypatch.setattr("calib.data.downloads.data_folders", lambda: [tmp_path / "data"])
    return tmp_path / "data"


@pytest.fixture
def place(cache: Path) -> Iterator[str]:
    """Return the host and port of the server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def described(folder: Path, url: str) -> list[str]:
    """Write a study's settings with this address, and return the arguments that take them."""
    settings = folder / "conf" / "dataset"
    settings.mkdir(parents=True, exist_ok=True)
    files = "\n".join(f'  "{i}": {{path: away/{i}.csv, sha256: null}}' for i in (1, 2, 3))
    (settings / "away.yaml").write_text(
        "_target_: calib.data.csv_per_batch.load_csv_study\nname: away\n"
        f"url: {url}\nfiles:\n{files}\nlabel: label\nclasses: {{'0': control, '1': case}}\n"
    )
    return [f"--config-dir={folder / 'conf'}", "dataset=away"]


def leaks(folder: Path) -> list[str]:
    """Return the files below a folder that hold the password."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return [str(file.relative_to(folder)) for file in files if PASSWORD.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "form",
    [
        "http://{user}:{password}@{place}/x",
        "http://{place}/x/?v=1&token={password}",
        "http://{user}:${{oc.env:OF_TEST}}@{place}/x",
    ],
)
def test_the_password_is_used_and_not_kept(
    form: str,
    place: str,
    cache: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for handler in pooch.get_logger().handlers:
        monkeypatch.setattr(handler, "stream", sys.stderr)
    monkeypatch.setenv("OF_TEST", PASSWORD)
    url = form.format(user=USER, password=PASSWORD, place=place)
    given = [*described(tmp_path, url), f"out={tmp_path / 'out'}", "method=standardise_logistic"]
    sentences = [
        called("-m", *given, "split=12_3", "launch=basic", f"dataset.url='{url}'"),
        called(*given, "split=12_3", "--cfg", "job"),
        called("dataset=mi", f"dataset.url='{url}'", "--help"),
        called(*given, "method.nothing=1"),
    ]
    assert sentences[:3] == [None, None, None]
    assert len(list((cache / "away").glob("*.csv"))) == 3
    out, err = capfd.readouterr()
    assert "Downloading data from 'http://" in err
    assert place in out
    assert PASSWORD not in f"{out}{err}{sentences}"
    assert leaks(tmp_path / "out") == []
    assert (tmp_path / "out" / "multirun.yaml").is_file()
    (config,) = (tmp_path / "out" / "runs" / "away" / "12_3").glob("*/config.yaml")
    assert place in config.read_text()


def test_another_password_does_not_make_another_run(place: str, tmp_path: Path) -> None:
    runs = []
    for password in (PASSWORD, "changed"):
        given = described(tmp_path, f"http://{USER}:{password}@{place}/x")
        assert called(*given, f"out={tmp_path / 'out'}", "method=standardise_logistic", "split=12_3") is None
        runs.append(sorted((tmp_path / "out" / "runs").rglob("result.json")))
    assert len(runs[0]) == 1
    assert runs[0] == runs[1]


def test_a_download_that_fails_names_the_address_without_the_password(cache: Path) -> None:
    closed = "127.0.0.1:1"
    for address in (f"http://{USER}:{PASSWORD}@{closed}/1.csv", f"http://{closed}/1.csv?key={PASSWORD}"):
        with pytest.raises(DataError, match=closed) as error:
            locate("away/1.csv", address)
        assert PASSWORD not in str(error.value)
    with pytest.raises(DataError, match=r"File .*https:/\*\*\*@host.org/1.csv does not exist"):
        locate(f"https://{USER}:{PASSWORD}@host.org/1.csv")
    with pytest.raises(DataError, match="could not be downloaded from http"):
        locate("away/1.csv", "http:///1.csv")  # no address at all


def test_a_file_of_a_folder_keeps_the_query() -> None:
    assert address_in("https://h.org/a/", "1.csv") == "https://h.org/a/1.csv"
    assert address_in("https://u:p@h.org?sig=x/y", "1.csv") == "https://u:p@h.org/1.csv?sig=x/y"
