"""Model folders from somebody else: reading one runs nothing, fetches nothing, writes nothing, and ends soon."""

import http.server
import io
import random
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from calib.errors import CalibError, DamagedError
from calib.files import read_arrays, write_archive
from calib.runs.experiment import run
from calib.runs.models import MODEL, load_model
from calib.runs.predict import fitted_temperature, predict
from calib.runs.received import LARGEST
from tests.conftest import small_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with a file of samples, ``new.csv``, beside it."""
    out = tmp_path_factory.mktemp("made")
    run(small_run("baseline", out, "save_model=true"))
    (folder,) = out.glob("runs/*/*/*")
    x = np.random.default_rng(0).gamma(2, 500, (6, 12))
    pd.DataFrame(x, columns=[f"feature_{i:02d}" for i in range(12)]).to_csv(folder / "new.csv", index=False)
    return folder


@pytest.fixture
def received(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "received"))


def settings(folder: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(found, dict)
    return found


def write(folder: Path, content: Any) -> None:
    OmegaConf.save(OmegaConf.create(content), folder / "config.yaml")


@pytest.fixture
def address() -> Iterator[tuple[str, list[str]]]:
    """An address, and what was asked of it."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *ignored: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/beacon", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_received_model_runs_fetches_and_writes_nothing(
    received: Path, tmp_path: Path, address: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    victim, leftover = tmp_path / "victim.sh", tmp_path / "r" / ".12-old"
    victim.write_text("echo mine\n")
    leftover.parent.mkdir()
    leftover.touch()
    located = {"_target_": "calib.data.downloads.locate", "path": str(victim)}
    fetched = {"_target_": "calib.data.downloads.locate", "path": "sub/x.bin", "url": address[0]}
    loader = {"_target_": "calib.data.csv_per_batch.load_csv_study", "name": "x", "label": "y", "classes": {}}
    loader |= {"url": address[0], "files": {"1": {"path": "a.csv"}, "2": {"path": "b.csv"}}}
    attacks: list[dict[str, Any]] = [
        {"_target_": "calib.data.genes._store", "file": located, "genes": ["touch EVIL"]},
        {"_target_": "calib.files.remove_leftovers", "folder": str(leftover.parent)},
        {"_target_": "calib.records.record.Record", "path": str(tmp_path / "new")},
        fetched,
        loader,
        {
            "_target_": "calib.runs.cli.main",
            "task": {"_target_": "calib.runs.experiment.run"},
            "conf": "theirs",
        },
        {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"},
    ]
    good = settings(received)
    before = sorted(tmp_path.rglob("*"))
    for attack in attacks:
        for method in (
            attack,
            {**good["method"], "classifier": attack},
            {**good["method"], "corrector": [attack]},
        ):
            write(received, {**good, "method": {"name": "baseline", **method}})
            with pytest.raises(CalibError, match="is refused"):
                load_model(received)
    assert sorted(tmp_path.rglob("*")) == before
    assert victim.read_text() == "echo mine\n"
    assert not address[1]


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${seed}", "a${oc.decode:x}", "${tuned:d.lr,1}"])
def test_a_received_model_looks_nothing_up(text: str, received: Path) -> None:
    good = settings(received)
    for place in ("device", "card"):
        file = received / "config.yaml"
        write(received, {**good, place: "PLACE"})
        file.write_text(file.read_text().replace("PLACE", f"'{text}'"))
        with pytest.raises(CalibError, match=rf"{place} refers to another value by '\$\{{'"):
            load_model(received)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAUGHS, "it repeats a part of itself by the alias"),
        ("x: " + "[" * 5000, "it has more than 40 levels"),
        ("x: '" + "y" * LARGEST + "'", "it is larger than"),
        ("x: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
    ids=["laughs", "deep", "large", "tag"],
)
def test_a_file_of_settings_cannot_explode(text: str, sentence: str, received: Path) -> None:
    (received / "config.yaml").write_text(text)
    with pytest.raises(CalibError, match=sentence):
        load_model(received)


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the place of every setting."""
    if place:
        yield place
    for key, value in node.items() if isinstance(node, dict) else []:
        yield from places(value, (*place, key))


CHANGES: tuple[Any, ...] = (
    None,
    -1,
    3,
    1.5,
    True,
    "evil",
    "1e400",
    [],
    [1, "x"],
    {},
    {"a": {"b": 1}},
    KeyError,
)
"""Values in the place of a setting; KeyError: the setting is left out."""


def test_a_changed_setting_ends_in_a_sentence_or_changes_nothing(received: Path) -> None:
    good, rng = settings(received), random.Random(0)
    refused = 0
    for place in places(good):
        change = rng.choice(CHANGES)
        changed = deepcopy(good)
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        if change is KeyError:
            del holder[place[-1]]
        else:
            holder[place[-1]] = change
        write(received, changed)
        try:
            predict(received, received / "new.csv")
        except CalibError:
            refused += 1
    assert refused > 10


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved network."""
    out = tmp_path_factory.mktemp("network")
    run(small_run("standardise_network", out, "save_model=true"))
    (folder,) = out.glob("runs/*/*/*")
    return folder


@pytest.mark.parametrize(
    "size",
    [
        {"widths": [10**6, 10**6]},
        {"widths": [10**12]},
        {"members": 10**9},
        {"widths": [10**5] * 100, "members": 10**9},
    ],
)
def test_networks_larger_than_the_archive_are_never_made(
    size: dict[str, Any], network: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(network, tmp_path / "network"))
    good = settings(folder)
    write(
        folder, {**good, "method": {**good["method"], "classifier": {**good["method"]["classifier"], **size}}}
    )
    with pytest.raises(CalibError, match="does not fit the method's settings; was config.yaml changed"):
        load_model(folder)


CHECKED = ("reference/", "mix/")
"""Prefixes of arrays whose number of features is checked before a network is made."""


def test_features_without_weights_make_no_network(received: Path) -> None:
    state = read_arrays(received / MODEL)
    kept = {name: array for name, array in state.items() if not name.startswith(CHECKED)}
    kept["study/features"] = np.array([f"f{i}" for i in range(10**5)])
    with (received / MODEL).open("wb") as stream:
        write_archive(stream, kept)
    with pytest.raises(CalibError, match="does not fit the method's settings"):
        load_model(received)


@pytest.mark.parametrize("device", ["meta", "privateuseone", "cuda:99", "typo"])
def test_a_device_that_is_not_here(device: str, received: Path) -> None:
    write(received, {**settings(received), "device": device})
    with pytest.raises(CalibError, match=f"device={device} (cannot be used on this machine|is no device)"):
        load_model(received)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("impute", "guess"),
        ("normalise", "x"),
        ("normalise", 0),
        ("exclude", [1]),
        ("subject_labels", ["split"]),
    ],
)
def test_settings_of_the_reading_have_their_kind(key: str, value: Any, received: Path) -> None:
    good = settings(received)
    write(received, {**good, "dataset": {**good["dataset"], key: value}})
    with pytest.raises(CalibError, match=f"config.yaml is damaged .dataset.{key}="):
        load_model(received)


@pytest.mark.parametrize("content", [None, "", "[1]", "{}", '{"sources": 5}', '{"sources": [1]}'])
def test_a_result_that_names_no_sources(content: str | None, received: Path) -> None:
    (received / "result.json").unlink()
    if content is not None:
        (received / "result.json").write_text(content)
    with pytest.raises(CalibError, match=r"no result.json that names the sources of its run.*temperature=2"):
        fitted_temperature(received, [received / "predictions.csv"], ["control", "case"])


def bomb(file: Path, spoil: Callable[[zipfile.ZipFile], object]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        spoil(archive)


def header(shape: tuple[int, ...], descr: str) -> bytes:
    np.lib.format.write_array_header_1_0(
        stream := io.BytesIO(), {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda a: a.writestr("x.npy", header((10**8,), "<f8") + bytes(8 * 10**5), zipfile.ZIP_DEFLATED), "compressed"),
        (lambda a: a.writestr("x.npy", header((10**12,), "<f8")), "another size than its header says"),
        (lambda a: a.writestr("x.npy", header((10**12,), "<U0")), "another size than its header says"),
        (lambda a: a.writestr("x.npy", header((-1,), "<f8")), "another size than its header says"),
        (lambda a: a.writestr("x.npy", header((1,), "|O") + b"cos\nsystem"), "Object arrays cannot be loaded"),
    ],
    ids=["compressed", "long", "of nothing", "negative", "objects"],
)  # fmt: skip
def test_an_archive_is_checked_before_it_is_read(
    spoil: Callable[[zipfile.ZipFile], object], sentence: str, received: Path
) -> None:
    bomb(received / MODEL, spoil)
    with pytest.raises(DamagedError, match=sentence):
        read_arrays(received / MODEL)
    with pytest.raises(CalibError, match=f"The saved model .* is damaged .*{sentence}.*; train it again"):
        load_model(received)


def test_members_that_overlap_are_noticed(tmp_path: Path) -> None:
    """The same bytes listed a thousand times, as in the archives that unpack to more than there is room for."""
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", header((1000,), "<f8") + bytes(8000))
        archive.filelist += archive.filelist * 999
    with pytest.raises(DamagedError, match="members are larger than the file"):
        read_arrays(file)


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "gone": lambda array: None,
    "empty": lambda array: array[:0],
    "flat": lambda array: array.ravel()[:5],
    "number": lambda array: np.float32(1),
    "deeper": lambda array: array[None],
    "longer": lambda array: np.concatenate([array, array]) if array.ndim else np.ones(3),
    "text": lambda array: np.full(array.shape, "x"),
    "bytes": lambda array: np.full(array.shape, b"x"),
    "flags": lambda array: np.ones(array.shape, bool),
    "complex": lambda array: np.full(array.shape, 1j),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e300])
@pytest.mark.parametrize(
    "name",
    ["discriminator.fc5.bias", "discriminator.bn.running_var", "reference/spread", "mix/offsets"],
)
def test_weights_that_are_no_numbers_are_refused(name: str, value: float, received: Path) -> None:
    """Even where the answer would be finite: a sigmoid of minus infinity is 0."""
    state = read_arrays(received / MODEL)
    changed = state[name].astype(np.float64)
    changed.flat[0] = value
    with (received / MODEL).open("wb") as stream:
        write_archive(stream, {**state, name: changed})
    with pytest.raises(CalibError, match=rf"{name} holds values that are no finite numbers.; train it again"):
        load_model(received)


@pytest.mark.parametrize("change", ARRAYS)
def test_a_changed_array_ends_in_a_sentence_or_is_used_as_it_is(change: str, received: Path) -> None:
    good = read_arrays(received / MODEL)
    refused = 0
    for name in good:
        changed = {**good, name: ARRAYS[change](good[name])}
        with (received / MODEL).open("wb") as stream:
            write_archive(stream, {k: v for k, v in changed.items() if v is not None})
        try:
            predict(received, received / "new.csv")
        except CalibError:
            refused += 1
    assert refused
