"""Time of seeds and splits trained together, compared with each alone; part of ``make bench``."""

import time
from collections.abc import Sequence

import joblib
import torch
from common import ROUNDS, prepared, prepared_splits, seconds

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


def over_splits(count: int = 2) -> None:
    """Print the time of all splits in one training, compared with the seeds of each split in one."""
    print("| training | runs | a training a split, s a run | one training, s a run | ratio |")
    print("| --- | --- | --- | --- | --- |")
    runtimes = [Runtime(seed) for seed in range(count)]

    def measured(method: AnyMethod, tasks: Sequence[Task]) -> tuple[float, float]:
        """Return the seconds of a run, with a training for each split and with one for all."""
        pairs = [(task, runtime) for task in tasks for runtime in runtimes]
        method.fit(tasks[0], runtimes[0])
        rounds = [
            (
                seconds(lambda: [method.fit_seeds(task, runtimes) for task in tasks]),
                seconds(lambda: method.fit_together(*map(list, zip(*pairs, strict=True)))),
            )
            for _ in range(ROUNDS)
        ]
        one, other = (min(column) / len(pairs) for column in zip(*rounds, strict=True))
        return one, other

    for name, overrides in {
        "joint, demo": ["dataset=demo", "method.epochs=50"],
        "Joint+, demo": ["dataset=demo", "method=joint_plus", "method.joint.epochs=20"],
        "joint, MI": ["dataset=mi", "method.epochs=20"],
        "joint, CHD": ["dataset=chd", "method.epochs=3"],
        "Joint+, MI": ["dataset=mi", "method=joint_plus", "method.joint.epochs=5"],
    }.items():
        method, tasks = prepared_splits(*overrides)
        one, other = measured(method, tasks)
        print(f"| {name} | {count * len(tasks)} | {one:.3f} | {other:.3f} | {one / other:.2f} |", flush=True)


def main(count: int = 6) -> None:
    """Print the time of seeds together and alone, on one thread; of splits; by the clock, on two cores."""
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
    print()
    over_splits()
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
