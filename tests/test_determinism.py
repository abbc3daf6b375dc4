"""Tests that a run gives the same bytes with every launcher and number of threads.

``test_faults`` tests interruptions.
"""

from pathlib import Path

import pytest

from calib.records.record import RESULT
from calib.runs.experiment import run
from calib.runs.launch import carry_out_all
from calib.runs.schedule import guessed_seconds, schedule
from tests.conftest import CONF, small_run
from tests.faults import content
from tests.runs.test_series import planned

pytestmark = pytest.mark.slow

CHAIN = ("baseline", "combat", "joint", "normae")

THREADED = ("baseline", "combat", "joint")
"""Methods that give the same bytes with any number of threads.

NormAE's layers are so wide that torch splits their sums, so two threads give other last digits.
"""


def test_launchers_give_the_same_bytes(tmp_path: Path) -> None:
    """Compare all files, including embeddings and losses; ``test_cli`` compares only predictions."""
    found = []
    for launcher, workers in (("basic", None), ("joblib", 1), ("joblib", 2)):
        out = tmp_path / f"{launcher}{workers}"
        jobs = planned(out, *CHAIN)
        assert carry_out_all(schedule(jobs, guessed_seconds(CONF)), CONF, launcher, workers) == {}
        found.append(content(out))
    assert len(found[0]) == 5 * 3 * len(CHAIN)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("method", THREADED)
def test_one_or_two_threads_give_the_same_bytes(method: str, tmp_path: Path) -> None:
    found = []
    for threads in (1, 2):
        run(small_run(method, tmp_path / str(threads), f"threads={threads}"))
        found.append({k: v for k, v in content(tmp_path / str(threads)).items() if not k.endswith(RESULT)})
    assert len(found[0]) == 4
    assert found[0] == found[1]
