"""What commands may load before they do their work: start-up times are kept by modules, not by seconds."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from tests.conftest import ROOT
from tests.startup_steps import STEPS, WATCHED

LATER = ("sklearn", "joblib", "scipy.stats", "scipy.optimize", "sympy", "torch._dynamo")
"""What scores a training or what compiles, which no training waits for."""
REPORT = ("matplotlib", "openTSNE", "jinja2")

MAY_NOT: Mapping[str, Sequence[str]] = {
    "help": WATCHED,
    "help of options": [name for name in WATCHED if name != "hydra"],
    "configuration": [name for name in WATCHED if name not in ("hydra", "numpy")],
    "check": ["torch", "scipy.sparse.linalg", "sknetwork", *LATER, *REPORT],
    "status": ["sknetwork", *LATER, *REPORT],
    "first epoch": ["sknetwork", *LATER, *REPORT],
}
"""Step -> what is not loaded after it, nor in the steps before."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "tests.startup_steps", str(tmp_path_factory.mktemp("startup"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(lines)


@pytest.mark.parametrize("step", STEPS)
def test_a_command_loads_only_what_it_needs(step: str, loaded: Mapping[str, Sequence[str]]) -> None:
    assert not set(loaded[step]) & set(MAY_NOT[step])


def test_the_steps_do_something(loaded: Mapping[str, Sequence[str]]) -> None:
    assert "pandas" in loaded["check"]
    assert "torch" in loaded["first epoch"]
