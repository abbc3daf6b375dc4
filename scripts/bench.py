"""Time trainings on MI, one core, against their matrix products alone; ``make bench``.

Both are timed in the same process, so their ratio means something on any machine.
"""

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from calib.build import compose
from calib.data.split import make_task, parse_split
from calib.errors import CalibError
from calib.planning import load, plan
from calib.runtime import Runtime

CONF = Path(__file__).resolve().parent.parent / "conf"

Product = tuple[int, int, int, int]
"""Rows, input width, output width, and how many of a linear layer's products are needed: its output (1), the
gradient of its weights or of its input (2), both (3)."""


def joint(batches: int, sources: int, rows: int, features: int) -> list[Product]:
    """The products of one iteration, steps A and B once: C, D, R, Gram matrix and its gradient."""
    z, zs = batches * rows, sources * rows
    d = [(features, 100), (100, features), (features, 50), (50, 16)]
    step = [(z, features, features, 3), (z, features, features, 3), (z, features, z, 1), (z, z, features, 1)]
    return [
        *step,
        *step,
        (zs, features, features, 3),
        (zs, features, features, 3),
        *((zs, a, b, 3) for a, b in d),
    ]


def normae(batches: int, rows: int, features: int) -> list[Product]:
    """The products of one iteration of the phase that trains adversary and coders in turn."""

    def layers(widths: Sequence[int], needed: int) -> list[Product]:
        return [(rows, a, b, needed) for a, b in pairwise(widths)]

    encoder, guess = [features, 1000, 1000, 500], [500, 250, 250, batches]
    first, *others = layers(encoder, 3)
    coders = [(*first[:3], 2), *others, *layers(encoder[::-1], 3), *layers([batches, 500, 500], 3)]
    return [*layers(encoder, 1), *layers(guess, 3), *coders, *layers(guess, 2)]


def timed(products: Sequence[Product], times: int) -> float:
    """Seconds that the products take."""
    tensors = [
        (torch.randn(n, a), torch.randn(a, b), torch.randn(n, b), needed) for n, a, b, needed in products
    ]

    def once() -> None:
        for x, w, y, needed in tensors:
            x @ w
            if needed > 1:
                x.T @ y
            if needed > 2:
                y @ w.T

    once()
    started = time.perf_counter()
    for _ in range(times):
        once()
    return time.perf_counter() - started


def compare(method: str, changes: Sequence[str], products: list[Product], iterations: int) -> None:
    """Print seconds of a shortened training and of its products, and their ratio."""
    config = compose(CONF, "dataset=mi", f"method={method}", *changes)
    study, data = load(config)
    split = parse_split("12_3", study)
    task = make_task(study, split)
    fit: Callable[..., object] = plan(config, study, data, split).method.fit
    fit(task, Runtime(0))  # warm-up
    started = time.perf_counter()
    fit(task, Runtime(0))
    seconds, bound = time.perf_counter() - started, timed(products, iterations)
    print(f"{method:8} {seconds:8.1f} s {bound:8.1f} s {seconds / bound:8.2f}")


def main() -> None:
    """One line a method."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print("method   training   products   ratio   (MI, one thread; shortened trainings)")
    compare("joint", ["method.epochs=20"], joint(3, 2, 128, 204), iterations=20 * 10)
    short = "method.corrector={pretrain_epochs: 0, adversary_epochs: 0, epochs: 4}"
    compare("normae", [short, "method.classifier.epochs=1"], normae(3, 200, 204), iterations=4 * 20)


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
