"""Names from files and passwords of addresses do not reach a terminal or a log as they are."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.commands import predict as predict_command
from calib.data.split import parse_splits
from calib.errors import CalibError
from calib.failures import command
from calib.runs.cli import main
from calib.runs.experiment import run
from calib.runs.options import show_progress
from calib.runs.run import load, make_run
from calib.runs.run_log import logged_to_record
from calib.runtime import Runtime
from calib.shown import ShownFormatter, lines, one_line, say, show_traceback, without_passwords
from tests.conftest import CONF, small_run

STEERING = re.compile(
    r"[^\t\n\x20-\x7e\xa1-\u1fff\u2010-\u2027\u2030-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\U000e0000]"
)
"""Signs that a terminal must not get; escapes in colour, titles, directions and widths are made of them."""

EVIL = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\rb",
    "a\x08b",
    "\x7f",
    "\u202eright to left",
    "\u2066isolated\u2069",
    "no\u200bwidth\ufeff",
    "a\u2028b",
    "a\x85b",
    "tag\U000e0041",
    "half\udc9b",
)


@pytest.mark.parametrize("name", EVIL, ids=ascii)
def test_a_name_is_spelled_out(name: str) -> None:
    shown = one_line(name)
    assert STEERING.search(name)
    assert not STEERING.search(shown)
    assert shown == lines(name)
    assert not STEERING.search(str(CalibError(f"Batch '{name}' is wrong.")))
    assert one_line(shown) == shown
    shown.encode()


def test_names_of_people_stay() -> None:
    for name in ("plate 1", "Größe µ²", "患者", "a\xa0b", "e\u0301", r"C:\data\x1b.csv", "🧬"):
        assert one_line(name) == lines(name) == name


def test_a_line_break_in_a_name_is_shown_and_one_of_the_program_stays() -> None:
    assert one_line("a\nError: b\tc") == r"a\nError: b\tc"
    assert lines("one\n\ttwo") == "one\n\ttwo"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s:\n%.2f %d %s", ("a\nb", 0.5, 3, ["c\n"]), None)
    before = record.args
    assert ShownFormatter().format(record) == "a\\nb:\n0.50 3 ['c\\n']"
    assert record.args == before  # other handlers get the record as it was
    record = logging.LogRecord("x", logging.INFO, "", 0, "%(name)s\n", ({"name": "\x1b\n"},), None)
    assert ShownFormatter().format(record) == "\\x1b\\n\n"
    record = logging.LogRecord("x", logging.INFO, "", 0, "100 %\x1b", None, None)
    assert ShownFormatter().format(record) == "100 %\\x1b"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ann:s3cret@host.org/a.csv", "https://***@host.org/a.csv"),
        ("https://s3cret@host.org:8080/", "https://***@host.org:8080/"),
        ("https://ann:s3@cret@host.org", "https://***@host.org"),
        ("https://ann:s3/cr#e?t@host.org/x", "https://***@host.org/x"),
        ("https:/ann:s3cret@host.org/a.csv", "https:/***@host.org/a.csv"),  # as pathlib writes it
        ("//ann:s3cret@host.org/x", "//***@host.org/x"),
        ("ftp://ann:12345@host.org", "ftp://***@host.org"),
        ("https://h.org/a?token=s3cret", "https://h.org/a?token=***"),
        ("https://h.org/a?sv=1&sig=s3c%2Fret%3D#x", "https://h.org/a?sv=***&sig=***"),
        ("https://h.org/a?X-Amz-Signature=s3cret;b=2", "https://h.org/a?X-Amz-Signature=***;b=***"),
        ("https://h.org/a?s3cret", "https://h.org/a?***"),
        ("Max retries exceeded with url: /a?page=1&api_key=s3cret (Caused by x)", None),
        ("dataset.url='https://ann:s3cret@h.org/a?b=s3cret',seed=0", "dataset.url='https://***@h.org/a?b=***',seed=0"),
        ("https://a:s3cret@h.org,https://b:s3cret@i.org", "https://***@h.org,https://***@i.org"),
    ],
)  # fmt: skip
def test_passwords_of_addresses_are_hidden(address: str, shown: str | None) -> None:
    hidden = without_passwords(address)
    assert "s3" not in hidden
    assert "12345" not in hidden
    assert hidden == without_passwords(hidden) == one_line(address) == lines(address) == (shown or hidden)
    assert "s3cret" not in str(CalibError(f"No {address}."))
    record = logging.LogRecord("x", logging.INFO, "", 0, "got %s", (address,), None)
    assert ShownFormatter().format(record) == f"got {hidden}"


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/n778509775/NWCQ", "https://doi.org/10.1/x#part", "http://localhost:8080/@name/x",
        "https://[::1]:80/@x", "C:/Users/ann@home/a.csv", "C:/ann@home.csv", "/data//ann@home.csv",
        "is it at https://host.org/x? It is", "ann@host.org", "split=a+b:c", "12:30 a?b=c",
    ],
)  # fmt: skip
def test_other_texts_stay(text: str) -> None:
    assert without_passwords(text) == text


def test_settings_are_hidden_at_every_depth() -> None:
    given = {"url": "https://u:p@h", "n": 1, "list": [{"https://u:p@h": None}], "pair": (0.5, "x")}
    assert without_passwords(given) == {
        "url": "https://***@h",
        "n": 1,
        "list": [{"https://***@h": None}],
        "pair": [0.5, "x"],
    }


def test_a_long_name_takes_no_time() -> None:
    for name in ("a-" * 10_000, "ab://" * 4_000, "ab:/x:y" * 3_000, "?key" * 5_000, "a:/" + "@" * 20_000):
        one_line(name)


def test_what_commands_write(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b", Path("b\nc"))
    with pytest.raises(SystemExit) as end, command():
        sys.exit("Error: \x1b]0;x\x07 https://u:p@h\nsecond line")
    assert end.value.code == "Error: \\x1b]0;x\\x07 https://***@h\nsecond line"
    error = ValueError("\x1b[2J https://u:p@h")
    show_traceback(type(error), error, None)
    out, err = capsys.readouterr()
    assert out == "a\\x1b\nb\\nc\n"
    assert err == "ValueError: \\x1b[2J https://***@h\n"


def test_progress_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    runtime = Runtime.from_names(0, "cpu", "float32", progress=True)
    assert list(runtime.epochs(2, "D of \x1b[31m")) == [1, 2]
    assert "D of \\x1b[31m" in capsys.readouterr().err


@pytest.fixture
def bare_loggers() -> Iterator[logging.Logger]:
    """Return the logger of launches, which ``show_progress`` changes, as it was before and after."""
    logger = logging.getLogger("calib.runs.launch")
    kept = logger.handlers[:], logger.propagate, logger.level
    yield logger
    logger.handlers[:], logger.propagate, logger.level = kept


def test_the_lines_of_a_sweep(bare_loggers: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    show_progress()
    bare_loggers.info("done: %s", "\x1b[31m\n")
    assert capsys.readouterr().err == "done: \\x1b[31m\\n\n"


def test_without_any_logging_set_up(tmp_path: Path) -> None:
    code = (
        "import logging, calib.errors\nlog = logging.getLogger('calib.data.x')\n"
        "log.warning('%s', '\\x1b[31m')\nlog.info('no')\n"
        "logging.basicConfig(format='root %(message)s')\nlog.warning('once')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "\\x1b[31m\nroot once\n"


PLATES = ("\x1b[31m1", "\u202e2\n\x1b]0;x\x07", "3\x9b2J")
CLASSES = ("\x1b[5mcase", "healthy\u200b\x07")
FEATURES = [f"mz\x1b[{i}m" for i in range(6)]


@pytest.fixture
def evil_table(tmp_path: Path) -> Path:
    """Return a table whose names of batches, classes, features and subjects steer a terminal."""
    rng = np.random.default_rng(0)
    rows = []
    for plate in PLATES:
        for i in range(20):
            values = rng.normal(10, 1, 6) + 3 * (i % 2)
            rows.append([plate, CLASSES[i % 2], f"\x1b[7mp{i}", *values])
    table = pd.DataFrame(rows, columns=["plate\x1b", "label\x9b", "who\x07", *FEATURES])
    table["constant\x1b[2J"] = 1.0
    table.to_csv(tmp_path / "evil.csv", index=False)
    return tmp_path / "evil.csv"


def called(*arguments: str) -> str | None:
    """Call ``run.py`` in this process; return the sentence with which it ends, or None."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py", *arguments])
        try:
            main(run, CONF)
        except SystemExit as end:
            return str(end.code)
    return None


def test_a_run_on_names_that_steer_a_terminal(
    evil_table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "conf" / "dataset"
    settings.mkdir(parents=True)
    (settings / "evil.yaml").write_text(
        'defaults: [table, _self_]\nname: "e\\eil"\nbatch: "plate\\e"\nlabel: "label\\x9b"\nsubject: "who\\a"\n'
        f"path: {evil_table}\n"
    )
    given = [f"--config-dir={tmp_path / 'conf'}", "dataset=evil", f"out={tmp_path / 'out'}"]
    given += ["save_model=true", "method=standardise_network", "method.classifier.epochs=2"]
    assert called("-m", *given, "split=12_3", "launch=basic") is None
    sentence = called(*given, "dataset.subject=x")
    out, err = capfd.readouterr()
    assert "e\\x1bil  12_3" in out
    assert "\\u202e2\\n\\x1b]0;x\\x07" in out
    (log,) = tmp_path.glob("out/runs/*/12_3/*/run.log")
    for text in (out, err, sentence or "", log.read_text()):
        assert not STEERING.search(text), ascii(text)
    assert "\\x1b[31m1" in log.read_text()
    (file,) = tmp_path.glob("out/runs/*/12_3/*/predictions.csv")
    table = pd.read_csv(file)
    assert set(table["batch"]) == {PLATES[1]}  # the third in natural order; data stay as they are
    assert set(table["label"]) == set(CLASSES)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as at the start of a process
    monkeypatch.chdir(tmp_path)
    predict_command.main([f"run={file.parent}", f"data={evil_table}"])
    out, err = capfd.readouterr()
    assert not STEERING.search(out + err), ascii(out + err)
    assert "Batch \\x1b[31m1" in out
    assert "Batch \\x1b[31m1" in err


def test_a_failed_run_on_such_names(tmp_path: Path) -> None:
    config = small_run("baseline", tmp_path)
    config.dataset.name = "e\x1bil"
    study, data = load(config)
    (made,) = (make_run(config, study, data, split) for split in parse_splits("12_3", study))
    made.record.prepare()
    problem = "no \x1b[31m at https://ann:s3cret@host.org/a?key=s3cret"
    with (
        pytest.raises(ValueError, match="no "),
        logged_to_record(made, Runtime.from_names(0, "cpu", "float32", False)),
    ):
        raise ValueError(problem)
    for name in ("error.txt", "run.log"):
        text = (made.record.folder / name).read_text()
        assert not STEERING.search(text)
        assert "no \\x1b[31m at https://***@host.org/a?key=***" in text
    assert len((made.record.folder / "error.txt").read_text().splitlines()) > 5
