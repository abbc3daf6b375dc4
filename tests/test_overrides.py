"""Tests that overrides which Hydra cannot read are rewritten, or answered with a spelling that works."""

import shlex

import pytest

from calib.config import compose as composed
from calib.errors import CalibError
from calib.overrides import flags_first, how_to_keep_a_comma, how_to_write, parsed, readable
from tests.conftest import CONF


@pytest.mark.parametrize(
    "value",
    ["a=b.csv", "/x/\u00e4.csv", "run (1).csv", "a#b.csv", "[M+H]*", "~/x.csv", "Gr\u00f6\u00dfe", "it's.csv", 'say "x".csv',
     "C:\\x (1)\\", "a&b", "a;b", "a{1}.csv", "plate 1+plate 2:plate (3)", "\u6e2c\u5b9a"],
)  # fmt: skip
def test_the_spelling_that_is_proposed_works(value: str) -> None:
    sentence = how_to_write(f"dataset.path={value}")
    assert sentence is not None
    assert "\n" not in sentence
    (written,) = shlex.split(sentence.partition("; write it as ")[2].removesuffix("."))
    found = parsed(written)
    assert found is not None
    assert found.value() == value


@pytest.mark.parametrize(
    ("value", "names"), [("[a=b.csv,c.csv]", ["a=b.csv", "c.csv"]), ("['\u00e4',b(1)]", ["\u00e4", "b(1)"])]
)
def test_lists(value: str, names: list[str]) -> None:
    sentence = how_to_write(f"dataset.path={value}")
    assert sentence is not None
    found = parsed(shlex.split(sentence.partition("; write it as ")[2].removesuffix("."))[0])
    assert found is not None
    assert found.value() == names


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("dataset.classes={'0':control,'1':case}", [0, 1]),
        ('dataset.classes={"a b": x, "c": y}', ["a b", "c"]),
        ("dataset.classes={'01': x}", ["01"]),
        ("dataset.classes={a: 'x', b: 'y'}", ["a", "b"]),
    ],
)
def test_quoted_keys(typed: str, keys: list[object]) -> None:
    found = parsed(readable(typed))
    assert found is not None
    assert list(found.value()) == keys


def test_what_can_be_read_is_left_alone() -> None:
    for override in (
        "split='12_3'",
        "method=glob(*)",
        "seed=0,1",
        'dataset.path="a=b"',
        "~dataset.x",
        "+a=1",
    ):
        assert readable(override) == override
        assert how_to_write(override) is None


def test_what_is_no_setting() -> None:
    assert how_to_write("all") == "all is no setting; write a setting as key=value, see python run.py --help."
    assert "conf/dataset/<study>.yaml" in str(how_to_write("dataset.classes={'\u00e4':x}"))


def test_a_comma_in_a_name() -> None:
    kept = how_to_keep_a_comma("dataset.path=a,b.csv")
    assert kept == "'dataset.path=\"a,b.csv\"'"
    assert how_to_keep_a_comma("seed=0,1") is None
    assert how_to_keep_a_comma("dataset.path=a.csv") is None


def test_composing_says_how_to_write() -> None:
    with pytest.raises(CalibError, match=r"write it as 'dataset.path=\"a=b.csv\"'"):
        composed(CONF, "dataset=table", "dataset.path=a=b.csv")
    config = composed(CONF, "dataset=table", "dataset.classes={'0': a, '1': b}")
    assert dict(config.dataset.classes) == {0: "a", 1: "b"}


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        (["dataset=mi", "-m", "split=all"], ["-m", "dataset=mi", "split=all"]),
        (["a=1", "--multirun", "b=2", "--cfg", "job"], ["--multirun", "--cfg", "job", "a=1", "b=2"]),
        (["a=1", "-cd", "folder", "b=2"], ["-cd", "folder", "a=1", "b=2"]),
        (["-m", "~a", "+b=1"], ["-m", "~a", "+b=1"]),
        (["a=1", "--cfg"], ["--cfg", "a=1"]),
        ([], []),
    ],
)
def test_flags_may_stand_anywhere(typed: list[str], ordered: list[str]) -> None:
    assert flags_first(typed) == ordered
