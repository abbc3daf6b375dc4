"""Time of seeds trained together, compared with each seed alone; part of ``make bench``."""

import time
from collections.abc import Sequence

import joblib
import torch
from common import ROUNDS, prepared, seconds

from calib.data.study import Task
from calib.methods.base import AnyMethod
from calib.runtime import Runtime


def fit_some(overrides: Sequence[str], seeds: Sequence[int], threads: int) -> None:
    """Train several seeds together in this process, on a number of threads."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    method, task = prepared(*overrides)
    method.fit_seeds(task, [Runtime(seed) for seed in seeds])


def alone_and_together(method: AnyMethod, task: Task, runtimes: Sequence[Runtime]) -> tuple[float, float]:
    """Return the seconds per seed, trained one after another and together; the best round counts."""
    rounds = [
        (
            seconds(lambda: [method.fit(task, runtime) for runtime in runtimes]),
            seconds(lambda: method.fit_seeds(task, runtimes)),
        )
        for _ in range(ROUNDS)
    ]
    alone, together = (min(column) / len(runtimes) for column in zip(*rounds, strict=True))
    return alone, together


def main(count: int = 6) -> None:
    """Print the time of seeds together and alone, on one thread; then by the clock, on two cores."""
    print(
        "| training | seeds | alone, s a seed | together, s a seed | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for name, overrides in {
        "joint, MI": ["dataset=mi", "method.epochs=20"],
        "joint, CHD": ["dataset=chd", "method.epochs=5"],
        "joint, pancreas_mini": ["dataset=pancreas_mini", "method.epochs=50"],
        "joint, demo": ["dataset=demo", "method.epochs=50"],
        "pairwise, MI": ["dataset=mi", "method=pairwise", "dataset.n_sources=1", "method.epochs=40"],
    }.items():
        method, task = prepared(*overrides)
        runtimes = [Runtime(seed) for seed in range(count)]
        method.fit(task, runtimes[0])
        alone, together = alone_and_together(method, task, runtimes)
        print(f"| {name} | {count} | {alone:.3f} | {together:.3f} | {alone / together:.2f} |", flush=True)
    overrides = ["dataset=mi", "method.epochs=20"]
    halves = [range(count // 2), range(count // 2, count)]
    clock: dict[str, list[float]] = {}
    with joblib.Parallel(n_jobs=2) as two:
        two(joblib.delayed(fit_some)(overrides, half, 1) for half in halves)  # warm-up
        for _ in range(ROUNDS):
            for arrangement, work in {
                "two processes, each seed alone": lambda: two(
                    joblib.delayed(fit_some)(overrides, [seed], 1) for seed in range(count)
                ),
                "two processes, half of the seeds together in each": lambda: two(
                    joblib.delayed(fit_some)(overrides, half, 1) for half in halves
                ),
                "one process of two threads, all seeds together": lambda: fit_some(
                    overrides, range(count), 2
                ),
            }.items():
                started = time.perf_counter()
                work()
                clock.setdefault(arrangement, []).append(time.perf_counter() - started)
    torch.set_num_threads(1)
    print(f"\n{count} seeds of joint, MI, 20 epochs, by the clock:")
    for arrangement, taken in clock.items():
        print(f"- {arrangement}: {min(taken):.2f} s")
