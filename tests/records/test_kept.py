"""What is kept by its content: keys that tell contents apart, entries that are damaged or out of date."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.records.kept import Kept, content_key


@dataclass(frozen=True)
class Shown:
    """A figure's values."""

    xy: np.ndarray
    label: str


TABLE = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
SHOWN = Shown(np.arange(4.0).reshape(2, 2), "raw")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # the order of a mapping is that of its panels
        (["ab", "c"], ["a", "bc"]),
        ([1, 2], [[1], 2]),
        (1, 1.0),
        ("1", 1),
        (None, ""),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2, np.float32), np.zeros(1, np.float64)),
        (np.array(["a", None], object), np.array(["a", "None"], object)),
        (TABLE, TABLE.rename(columns={"a": "c"})),
        (TABLE, TABLE.set_index("b")),
        (TABLE, TABLE.assign(a=[1.0, 2.0])),
        (SHOWN, Shown(SHOWN.xy, "other")),
        (SHOWN, Shown(SHOWN.xy + 1e-12, "raw")),
    ],
)
def test_another_content_has_another_key(one: Any, other: Any) -> None:
    assert content_key(one) != content_key(other)


def test_the_same_content_has_the_same_key_and_the_code_and_its_libraries_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shown() -> tuple[Any, ...]:
        return {"a": TABLE.copy(), "b": Shown(SHOWN.xy.copy(), "raw")}, [TABLE["b"].copy(), b"", None]

    before = content_key(*shown())
    assert content_key(*shown()) == before
    changes: dict[str, Callable[..., object]] = {
        "code": lambda: ("another",),
        "versions": dict,
        "version": lambda _: "0",
    }
    for name, changed in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"calib.records.kept.{name}", changed)
            assert content_key(*shown()) != before


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(TypeError, match="A set cannot be hashed"):
        content_key({"a": {1, 2}})


def test_an_entry_is_found_until_it_is_damaged_and_an_earlier_one_is_removed(tmp_path: Path) -> None:
    kept, (first, second) = Kept(tmp_path / "new"), map(content_key, "ab")
    assert kept.find("map", first, ["png"]) is None
    kept.keep("map", first, {"png": b"first"})
    kept.keep("map_page", first, {"webp": b"of another name"})
    assert kept.find("map", first, ["png"]) == {"png": b"first"}
    assert kept.find("map", first, ["png", "pdf"]) is None  # a part that it lacks
    kept.keep("map", second, {"png": b"second"})
    (file,) = kept.folder.glob("map-*")
    assert sorted(kept.folder.iterdir()) == sorted([file, kept.folder / f"map_page-{first}.npz"])
    content = file.read_bytes()
    file.write_bytes(content.replace(b"second", b"forged"))
    assert kept.find("map", second, ["png"]) is None
