"""The same bytes, whatever carries a run out: launcher, number of threads, an interruption."""

from pathlib import Path

import pytest

from calib.experiment import run
from calib.store import RESULT
from tests.conftest import FAST, METHODS, SMALL, small_run
from tests.faults import called, content, sweep

CHAIN = ("baseline", "combat", "joint", "normae")


@pytest.mark.slow
def test_launchers_give_the_same_bytes(tmp_path: Path) -> None:
    """Embeddings and losses too; ``test_cli`` compares predictions."""
    found = []
    for launcher, workers in (("basic", None), ("joblib", 1), ("joblib", 2)):
        out = tmp_path / f"{launcher}{workers}"
        for method in CHAIN:
            limit = [f"hydra.launcher.n_jobs={workers}"] if workers else []
            options = [f"method={method}", f"out={out}", *SMALL, *FAST[method], "split=12_3,23_1"]
            done = called(sweep(f"hydra/launcher={launcher}", *limit, *options))
            assert done.returncode == 0, done.stderr
        found.append(content(out))
    assert len(found[0]) == 5 * 2 * len(CHAIN)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("method", METHODS)
def test_one_or_two_threads_give_the_same_bytes(method: str, tmp_path: Path) -> None:
    """On studies as small as the demo study; see docs/reliability.md for larger ones."""
    found = []
    for threads in (1, 2):
        run(small_run(method, tmp_path / str(threads), f"threads={threads}"))
        found.append({k: v for k, v in content(tmp_path / str(threads)).items() if not k.endswith(RESULT)})
    assert len(found[0]) == 4
    assert found[0] == found[1]
