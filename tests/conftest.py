"""Fixtures: small studies with unequal batches, composed configurations, and the folders of real files."""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.downloads import data_folders
from calib.data.simulate import simulate
from calib.data.study import Study
from calib.protocol import Protocol
from calib.runs.compositions import compositions

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
METHODS = sorted(file.stem for file in (CONF / "method").glob("*.yaml"))

SMALL = [
    "dataset.subjects=[8,6,9]",
    "dataset.replicates=4",
    "dataset.features=12",
    "dataset.informative=5",
]
"""Overrides that make the demo study tiny."""


def compose(*overrides: str) -> DictConfig:
    """Return the configuration that the command line composes, in a tenth of the time."""
    return compositions(CONF).compose(*overrides)


@cache
def fast(method: str) -> list[str]:
    """Return overrides that make a run of a method take no time: ``fast`` in its card and in its parts' cards."""
    return [f"method.{key}={json.dumps(value)}" for key, value in _fast(compose(f"method={method}").method)]


def _fast(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Return the settings that make a part of a method fast, by their places."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node, resolve=True)
    yield from _leaves(node.get("card", {}).get("fast", {}), place)
    for key, value in node.items():
        if isinstance(value, dict) and key != "card":
            yield from _fast(value, f"{place}{key}.")


def _leaves(node: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def small_run(method: str, out: Path, *overrides: str) -> DictConfig:
    """The configuration of a run that takes no time."""
    return compose(f"method={method}", f"out={out}", *SMALL, *fast(method), *overrides)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let both of two workers begin with slow tests and end with fast ones, so that none waits for the other.

    ``--dist worksteal`` gives each worker a half of the tests, and whoever has done its own takes from the other.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    files = list(dict.fromkeys(item.path for item in slow))
    halves = [[item for item in slow if item.path in files[part::2]] for part in (0, 1)]
    fast = [item for item in items if not item.get_closest_marker("slow")]
    cut = max(0, len(items) // 2 - len(halves[0]))
    items[:] = [*halves[0], *fast[:cut], *halves[1], *fast[cut:]]


@pytest.fixture(autouse=True)
def _quiet_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a run waits for the disk a dozen times; see test_files


@pytest.fixture(params=["paper", "released"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return build(compose(f"protocol={request.param}").protocol)


@pytest.fixture
def study() -> Study:
    """Return a study of three small batches of different size, in float64."""
    return simulate([8, 6, 9], 4, 12, 5, 0.5, 0.3, 0.5, 0.15, seed=3)[0]


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes three CSV batches and returns the overrides that read them.

    Its caller may spoil the lines of the second file.
    """

    def write(spoil: Callable[[list[str]], list[str]] = lambda lines: lines, rows: int = 24) -> list[str]:
        rng = np.random.default_rng(0)
        overrides = ["dataset=mi"]
        for number in (1, 2, 3):
            lines = ["label,board,a,b,c,d"]
            for row in range(rows):
                values = rng.gamma(2, 500, 4) * number
                lines.append(f"{row // 4 % 2},{number}," + ",".join(f"{v:.1f}" for v in values))
            file = tmp_path / f"{number}.csv"
            file.write_text("\n".join(spoil(lines) if number == 2 else lines) + "\n")
            overrides += [f"dataset.files.{number}.path={file}", f"dataset.files.{number}.sha256=null"]
        return overrides

    return write


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder with the real MI and CHD files, or skip the test where they are missing."""
    for folder in data_folders():
        if (folder / "mi" / "1.csv").is_file() and (folder / "chd" / "1.csv").is_file():
            return folder
    pytest.skip("the real MI and CHD files are not here: run make data, or set CALIB_DATA_DIR")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Return the folder with reference numbers that cannot be committed, or skip the test without it."""
    folder = os.environ.get("CALIB_GOLDEN_DIR")
    if folder is None:
        pytest.skip("CALIB_GOLDEN_DIR does not name a folder with the reference numbers")
    return Path(folder)
