"""Time the trainings against their matrix products alone; ``make bench``.

All on one thread and in seconds of the processor, which work beside it disturbs less than the clock. Both
sides of a ratio are measured in the same process, in turns, and the best of each is taken.

Options: --parts trainings plain seeds tsne scale correctors (all of them unless some are named).
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import torch
from bench_timing import ROUNDS, prepared, seconds
from torch.profiler import ProfilerActivity, profile

from calib.data.study import Task
from calib.errors import CalibError
from calib.methods.base import AnyMethod
from calib.report.figures.tsne import project
from calib.runtime import Runtime

ROOT = Path(__file__).resolve().parent.parent

Product = tuple[tuple[int, ...], tuple[int, ...], float]
"""Shapes of the two sides, and how often the product occurs."""

TRAININGS = {
    "joint, MI": ["dataset=mi", "method=joint", "method.epochs=20"],
    "joint, CHD": ["dataset=chd", "method=joint", "method.epochs=4"],
    "Recon_T, MI": ["dataset=mi", "method=recon_t", "method.epochs=20"],
    "pairwise, MI": ["dataset=mi", "method=pairwise", "dataset.n_sources=1", "method.epochs=40"],
    "D, MI": ["dataset=mi", "method=baseline", "method.classifier.epochs=60"],
    "NormAE and D, MI": [
        "dataset=mi",
        "method=normae",
        "method.classifier.epochs=1",
        "method.corrector={pretrain_epochs: 2, adversary_epochs: 1, epochs: 4}",
    ],
    "BERMUDA and D, MI": [
        "dataset=mi",
        "method=bermuda",
        "method.classifier.epochs=1",
        "method.corrector={epochs: 60, starts: 1}",
    ],
    "DESC and D, MI": [
        "dataset=mi",
        "method=desc",
        "method.classifier.epochs=1",
        "method.corrector={pretrain_epochs: 60, rounds: 20}",
    ],
}
"""Shortened so that each takes some seconds; the share of what is done once is larger than in earnest."""


def joint_products(method: AnyMethod, task: Task) -> list[Product]:
    """What one joint training cannot do without: C, D, R, the whole Gram matrix and its derivative.

    Each linear layer has three products: its output, and the derivatives by its weights and its input.
    """
    rows, features = method.schedule.batch_size, task.sources[0].x.shape[1]
    batches, sources = len(task.batches), len(task.sources)
    z, zs = batches * rows, sources * rows
    rs = z if method.reconstruct_targets else zs
    iterations = method.schedule.epochs * (max(len(b.x) for b in task.batches) // rows)
    a, b = method.lambda1 * iterations, method.lambda2 * iterations

    def linear(rows: int, fan_in: int, fan_out: int, times: int) -> list[Product]:
        x, w, y = (rows, fan_in), (fan_in, fan_out), (rows, fan_out)
        return [(x, w, times), (x[::-1], y, times), (y, w[::-1], times)]

    products = [((z, features), (features, z), a + b), ((z, z), (z, features), a + b)]
    widths = [features, 100, features, 50, 16, 1]
    for layer in (
        *[linear(z, features, features, a + b)] * 2,
        *[linear(rs, features, features, b)] * 2,
        *(linear(zs, fan_in, fan_out, a) for fan_in, fan_out in pairwise(widths)),
    ):
        products += layer
    return products


def recorded_products(fit: Callable[[], object]) -> list[Product]:
    """The matrix products that a training asks for."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as recorded:
        fit()
    found: list[Product] = []
    for event in recorded.key_averages(group_by_input_shape=True):
        name = event.key.removeprefix("aten::").removesuffix("_")
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            first = 0 if name.endswith("mm") and not name.startswith(("add", "badd")) else 1
            left, right = event.input_shapes[first : first + 2]
            found.append((tuple(left), tuple(right), event.count))
    return found


def seconds_of(products: Sequence[Product]) -> float:
    """Seconds that the products take, each tried a few times."""
    total = 0.0
    for left, right, times in products:
        x, y = torch.randn(left), torch.randn(right)
        x @ y
        tries = int(min(times, 200))
        total += seconds(lambda x=x, y=y, n=tries: [x @ y for _ in range(n)]) * times / tries
    return total


def trainings() -> None:
    """Each training over its products."""
    print("| training | seconds | its products | ratio |\n| --- | --- | --- | --- |")
    for name, overrides in TRAININGS.items():
        method, task = prepared(*overrides)
        joint = name.startswith(("joint", "Recon_T"))

        def fit(method: AnyMethod = method, task: Task = task) -> object:
            return method.fit(task, Runtime(0))

        products = joint_products(method, task) if joint else recorded_products(fit)
        fit()
        rounds = [(seconds(fit), seconds_of(products)) for _ in range(ROUNDS)]
        ours, bound = (min(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {ours:.2f} | {bound:.2f} | {ours / bound:.2f} |", flush=True)


def plainly() -> None:
    """The engine against the same training written plainly."""
    sys.path.insert(0, str(ROOT))
    from tests.plain import train

    method, task = prepared("dataset=mi", "method=joint", "method.epochs=5")
    x = [torch.as_tensor(batch.x) for batch in task.batches]
    y = [torch.as_tensor(source.y).float() for source in task.sources]
    rounds = [
        (seconds(lambda: method.fit(task, Runtime(0))), seconds(lambda: train(x, y, epochs=5)))
        for _ in range(ROUNDS)
    ]
    ours, plain = (min(column) for column in zip(*rounds, strict=True))
    print(f"Joint, MI, 5 epochs: {ours:.2f} s; written plainly (tests/plain.py) {plain:.2f} s, ratio "
          f"{plain / ours:.1f}.", flush=True)  # fmt: skip


def seeds() -> None:
    """Seeds trained together against each alone."""
    import bench_seeds

    bench_seeds.main()


def tsne() -> None:
    """The share of the map in a run that is drawn."""
    method, task = prepared("dataset=mi", "method.epochs=20")
    fitted = None

    def fit() -> None:
        nonlocal fitted
        fitted = method.fit(task, Runtime(0))

    whole = seconds(fit) * 5  # of 100 epochs
    z = np.concatenate([fitted.transform(batch) for batch in task.batches])
    drawn = seconds(lambda: project(z, seed=0))
    print(f"t-SNE of {len(z)} samples (MI): {drawn:.1f} s; a training {whole:.1f} s.", flush=True)


def scale() -> None:
    """Cost per sample and memory of large sparse studies."""
    import bench_scale

    bench_scale.main()


def correctors() -> None:
    """Cost and memory of the methods that correct features, as studies grow."""
    import bench_correctors

    bench_correctors.main()


PARTS = {
    "trainings": trainings,
    "plain": plainly,
    "seeds": seeds,
    "tsne": tsne,
    "scale": scale,
    "correctors": correctors,
}


def main() -> None:
    """The parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART")
    chosen = parser.parse_args().parts
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    machine = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {joblib.cpu_count()} cores"
    print(f"{machine}, torch {torch.__version__}; processor seconds of one thread\n")
    for part in chosen:
        PARTS[part]()
        print()


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
