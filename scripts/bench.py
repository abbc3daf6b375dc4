"""Time one joint MI training on one core against its matrix products alone; ``make bench``.

Both are timed in the same process, so their ratio means something on any machine.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from calib.build import compose
from calib.data.split import make_task, parse_split
from calib.errors import CalibError
from calib.methods.joint import Joint
from calib.planning import load, plan
from calib.runtime import Runtime

CONF = Path(__file__).resolve().parent.parent / "conf"
EPOCHS = 20
"""Trained here; the time is scaled to the configured number of epochs."""


def products(batches: int, sources: int, rows: int, features: int) -> Callable[[], None]:
    """A call that does the matrix products of one iteration (steps A and B once) and nothing else."""
    z = torch.randn(batches * rows, features)
    zs = z[: sources * rows]
    p = torch.randn(features, features)
    gram = torch.randn(len(z), len(z))
    d = [(features, 100), (100, features), (features, 50), (50, 16)]
    layers = [(torch.randn(sources * rows, a), torch.randn(a, b)) for a, b in d]

    def linear(x: torch.Tensor, w: torch.Tensor) -> None:
        y = x @ w  # forward, then the gradients of input and weights
        y @ w.T, x.T @ y

    def iteration() -> None:
        for _ in range(2):  # steps A and B: C's two layers, Gram matrix and its gradient
            linear(z, p), linear(z, p)
            z @ z.T, gram @ z
        linear(zs, p), linear(zs, p)
        for x, w in layers:
            linear(x, w)

    return iteration


def main() -> None:
    """Print seconds of a whole training, of its matrix products, and their ratio."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config = compose(CONF, "dataset=mi", f"method.epochs={EPOCHS}")
    full = 100
    study, data = load(config)
    split = parse_split("12_3", study)
    method: Joint = plan(config, study, data, split).method
    task = make_task(study, split)
    method.fit(task, Runtime(0))  # warm-up

    started = time.perf_counter()
    method.fit(task, Runtime(0, progress=True))
    training = (time.perf_counter() - started) * full / EPOCHS

    iterations = EPOCHS * (max(len(b.x) for b in task.batches) // config.method.batch_size)
    only = products(len(task.batches), len(task.sources), config.method.batch_size, len(study.features))
    only()
    started = time.perf_counter()
    for _ in range(iterations):
        only()
    bound = (time.perf_counter() - started) * full / EPOCHS
    print(f"joint MI, {full} epochs, one thread: {training:.1f} s; its matrix products alone: {bound:.1f} s")
    print(f"ratio: {training / bound:.2f}")


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
