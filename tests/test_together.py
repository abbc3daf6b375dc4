"""Tests of trainings that are made as one: seeds, splits and members."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

import calib.replayed
from calib.adam import Adam
from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.data.tensors import dense_rows
from calib.runs.cli import join, quote_splits
from calib.runs.experiment import run
from calib.runtime import Runtime
from calib.together import Problem, in_stacks, train_together
from calib.training import Schedule
from tests.conftest import ROOT, compose, small_run
from tests.test_training import joint, toy_task


def batches(*sizes: int) -> Iterator[Samples]:
    rng = np.random.default_rng(0)
    return (Samples(str(number), rng.normal(number, 1, (rows, 5))) for number, rows in enumerate(sizes))


def tasks() -> list[Task]:
    """Return two splits of three batches of other sizes, and one of another shape."""
    all_of = list(batches(20, 25, 17))
    known = [LabelledSamples(one.name, one.x, np.arange(len(one.x)) % 2) for one in all_of]
    return [Task(known[:2], all_of[2:], 2), Task(known[1:], all_of[:1], 2), Task(known[:2], [], 2)]


def test_stacks_have_one_shape(caplog: pytest.LogCaptureFixture) -> None:
    """Check that sizes of batches may differ, and that memory cuts a stack."""
    caplog.set_level("INFO", logger="calib")
    problems = [Problem(task, Runtime(seed)) for task in tasks() for seed in range(2)]
    length = Schedule(3, 8, 1e-3, 10, 0)
    assert in_stacks(problems[:4], length, weights=10) == [[0, 1, 2, 3]]
    assert not caplog.text
    assert in_stacks(problems, length, weights=10) == [[0, 1, 2, 3], [4, 5]]
    assert "2 with 2 sources, 0 targets, 5 features" in caplog.text
    assert in_stacks(problems, length, weights=2**28) == [[n] for n in range(6)]


def test_splits_of_unequal_batches_are_trained_as_each_alone() -> None:
    protocol = build(compose("protocol=released").protocol)
    method, given = joint(protocol, epochs=2, batch_size=8, lambda1=2), tasks()
    runtimes = [Runtime(seed) for seed in (0, 1, 0)]
    for task, runtime, fitted in zip(given, runtimes, method.fit_together(given, runtimes), strict=True):
        alone = Runtime(runtime.seed)
        expected = method.fit(task, alone)
        for batch in task.batches:
            np.testing.assert_array_equal(fitted.predict_proba(batch), expected.predict_proba(batch))
        assert runtime.history == alone.history
        assert not runtime.unlike_alone


@pytest.mark.parametrize(
    ("method", "epochs"), [("joint_plus", "method.joint.epochs"), ("pairwise", "method.epochs")]
)
def test_seeds_and_splits_write_the_bytes_of_each_alone(method: str, epochs: str, tmp_path: Path) -> None:
    short = [f"{epochs}=1", "keep=predictions"]
    words = ["seed='3,1'", "split=['12_3','23_1']", "batch_seeds=true", *short]
    several = run(small_run(method, tmp_path / "together", *words))
    labels = [(result["split"], result["seed"]) for result in several]
    assert labels == [("12_3", 3), ("12_3", 1), ("23_1", 3), ("23_1", 1)]
    one = several[2]
    assert (one["seeds_together"], one["splits_together"], one["as_alone"]) == (
        [3, 1],
        ["12_3", "23_1"],
        True,
    )
    (alone,) = run(small_run(method, tmp_path / "alone", "seed=3", "split='23_1'", *short))
    assert (alone["key"], alone["splits_together"]) == (one["key"], ["23_1"])
    assert set(alone) == set(one)
    for name in ("predictions.csv", "history.csv"):
        ours, theirs = (
            next((tmp_path / place).glob(f"runs/*/23_1/*{one['key']}/{name}")).read_bytes()
            for place in ("together", "alone")
        )
        assert ours == theirs


def apart(by: float, runtimes: list[Runtime], asked: list[int]) -> list[nn.Module]:
    """Train networks of which those in company differ by so much; ``asked`` gets the sizes of all trainings."""

    def train(problems: Sequence[Problem], limit: int | None) -> list[nn.Module]:
        if limit is None:
            asked.append(len(problems))
        made = []
        for problem in problems:
            value = 1 + by * (len(problems) > 1)
            problem.runtime.history.append({"training": "x", "epoch": 1, "loss": value})
            network = nn.Linear(1, 1, bias=False)
            nn.init.constant_(network.weight, value)
            made.append(network)
        return made

    return train_together(train, [Problem(toy_task(), runtime) for runtime in runtimes])


@pytest.mark.parametrize(
    ("by", "loosely", "sizes"),
    [(0, False, [2]), (1e-5, False, [1, 1]), (1e-5, True, [2]), (0.1, True, [1, 1])],
)
def test_only_last_digits_may_differ_and_only_if_asked(by: float, loosely: bool, sizes: list[int]) -> None:
    runtimes = [Runtime(seed, last_digits_may_differ=loosely) for seed in range(2)]
    asked: list[int] = []
    apart(by, runtimes, asked)
    assert asked == sizes
    unlike = by > 0 and sizes == [2]
    assert all(bool(runtime.unlike_alone) == unlike for runtime in runtimes)
    assert all(len(runtime.history) == 1 for runtime in runtimes)  # the trial leaves none


@pytest.mark.parametrize(
    ("arguments", "joined"),
    [
        (["seed=0,1", "split=12_3,13_2"], ["seed=0,1", "split='12_3','13_2'"]),
        (["seed=0,1", "split=12_3,13_2", "batch_seeds=true"], ["seed='0,1'", "split=['12_3','13_2']"]),
        (["split=a+b:c,a+c:b", "batch_seeds=close"], ["split=[a+b:c,a+c:b]"]),
        (["-m", "seed=0,1", "split=12_3,13_2", "batch_seeds=true"], ["seed='0,1'", "split='12_3','13_2'"]),
        (["split='a,b:c'", "batch_seeds=true"], ["split='a,b:c'"]),
    ],
)
def test_values_of_one_training_are_no_sweep(arguments: list[str], joined: list[str]) -> None:
    kept = [a for a in join(quote_splits(arguments)) if not a.startswith(("batch_seeds", "-m"))]
    assert kept == joined


class FakeGraph:
    """Stands for a CUDA graph: it keeps the recorded function, and carries it out when it is replayed."""

    def register_generator_state(self, generator: torch.Generator) -> None:
        pass

    def replay(self) -> None:
        self.recorded()  # type: ignore[attr-defined]


def test_a_replayed_training_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check all but CUDA itself: what is recorded, when, and that it finds its mini-batches and rate."""
    protocol = build(compose("protocol=released").protocol)  # begins its optimiser anew in every epoch
    recording: list[FakeGraph] = []

    @contextmanager
    def graph(made: FakeGraph, stream: object) -> Iterator[None]:
        recording.append(made)
        yield
        recording.clear()

    class Replayed(calib.replayed.Replayed):
        def __init__(self, iterate: Callable, generators: Sequence[torch.Generator], *rest: object) -> None:
            assert len(generators) > 1

            def iterated(*given: torch.Tensor) -> None:
                if recording:
                    recording[0].recorded = lambda: iterate(*given)  # type: ignore[attr-defined]
                else:
                    iterate(*given)

            super().__init__(iterated, generators, *rest)

    stream = type("Stream", (), {"wait_stream": lambda self, other: None})()
    for name, fake in {
        "Stream": lambda _: stream,
        "current_stream": lambda _: stream,
        "stream": lambda _: nullcontext(),
        "graph": graph,
        "CUDAGraph": FakeGraph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr("calib.training.Replayed", Replayed)
    method, task = joint(protocol, epochs=4, batch_size=8), toy_task()
    eager, replayed = (
        [Runtime(seed, cuda_graphs=graphs, dtype=torch.float64) for seed in range(2)]
        for graphs in (False, True)
    )
    for ours, theirs in zip(method.fit_seeds(task, replayed), method.fit_seeds(task, eager), strict=True):
        target = task.targets[0]
        np.testing.assert_allclose(ours.predict_proba(target), theirs.predict_proba(target), rtol=1e-5)
    assert len(replayed[0].history) == 4


def test_an_optimiser_begun_anew_is_a_new_one() -> None:
    one, other = (torch.linspace(-1, 1, 5).requires_grad_() for _ in range(2))
    used = Adam([one], 0.1, decoupled=False)
    for value, adam in ((one, used), (other, Adam([other], 0.1, decoupled=False))):
        value.grad = torch.ones(5)
        adam.step(0.1)
    used.begin_anew()
    used.step(0.1)
    Adam([other], 0.1, decoupled=False).step(0.1)
    assert torch.equal(one, other)


def test_rows_of_sparse_and_dense_batches_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.data.matrix.BLOCK", 7)
    x = np.arange(20.0).reshape(5, 4)
    rows = dense_rows([sparse.csr_array(x), x[:2]], Runtime(dtype=torch.float64))
    np.testing.assert_array_equal(rows.numpy(), np.concatenate([x, x[:2]]))


def test_the_gpu_script_works_on_a_processor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    import gpu

    assert gpu.main("cpu", small=True) == []
    printed = capsys.readouterr().out
    assert printed.count("| yes |") == 3
    assert "| 6 | no |" in printed
    assert "not measured" not in printed
    monkeypatch.setattr(gpu.time, "perf_counter", iter(map(float, range(0, 10**6, 100))).__next__)
    bench = gpu.Bench("cpu", True, until=1e9)
    _, method, given = bench.study("mi")
    _, words = gpu.timed(bench, gpu.lasting(method, 5), given[:1], 1, limit=150)
    assert "of the epochs measured" in words
