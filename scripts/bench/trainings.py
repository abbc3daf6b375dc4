"""Time of trainings, of their matrix products, of a plain version and of t-SNE; part of ``make bench``."""

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from common import ROOT, ROUNDS, prepared, seconds
from torch.profiler import ProfilerActivity, profile

from calib.data.study import Task
from calib.methods.base import AnyMethod
from calib.methods.joint import Joint
from calib.methods.joint_plus import JointPlus
from calib.report.figures.tsne import project
from calib.runtime import Runtime

Product = tuple[tuple[int, ...], tuple[int, ...], float]
"""The shapes of both factors of a matrix product, and how often it is computed."""

TRAININGS = {
    "joint, MI": ["dataset=mi", "method=joint", "method.epochs=20"],
    "joint, CHD": ["dataset=chd", "method=joint", "method.epochs=4"],
    "Recon_T, MI": ["dataset=mi", "method=recon_t", "method.epochs=20"],
    "pairwise, MI": ["dataset=mi", "method=pairwise", "dataset.n_sources=1", "method.epochs=40"],
    "D, MI": ["dataset=mi", "method=baseline", "method.classifier.epochs=60"],
    "Joint+, MI": ["dataset=mi", "method=joint_plus", "method.joint.epochs=5"],
    "plain network, MI": ["dataset=mi", "method=standardise_network", "method.classifier.epochs=5"],
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
"""The timed trainings, shortened to some seconds each; work done once per training weighs more than usual."""


def joint_products(method: AnyMethod, task: Task) -> list[Product]:
    """Return the products that one joint training needs: C, D, R, the whole Gram matrix and its derivative.

    Each linear layer has three products: its output, and the derivatives by its weights and by its input.
    """
    rows, features = method.schedule.batch_size, task.sources[0].x.shape[1]
    batches, sources = len(task.batches), len(task.sources)
    z, zs = batches * rows, sources * rows
    rs = z if method.reconstruct_targets else zs
    iterations = method.schedule.epochs_for([len(b.x) for b in task.batches]) * (
        max(len(b.x) for b in task.batches) // rows
    )
    a, b = method.lambda1 * iterations, method.lambda2 * iterations

    def linear(rows: int, fan_in: int, fan_out: int, times: int) -> list[Product]:
        """Return the three products of a linear layer."""
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
    """Return the matrix products that PyTorch's profiler records in a training."""
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
    """Return the processor seconds that the products take; at most 200 of each are computed."""
    total = 0.0
    for left, right, times in products:
        x, y = torch.randn(left), torch.randn(right)
        x @ y
        tries = int(min(times, 200))
        total += seconds(lambda x=x, y=y, n=tries: [x @ y for _ in range(n)]) * times / tries
    return total


def over_products() -> None:
    """Print the time of each training, of its matrix products alone, and their ratio."""
    print("| training | seconds | its products | ratio |\n| --- | --- | --- | --- |")
    for name, overrides in TRAININGS.items():
        method, task = prepared(*overrides)

        def fit(method: AnyMethod = method, task: Task = task) -> object:
            return method.fit(task, Runtime(0))

        if isinstance(method, JointPlus):
            products = joint_products(method.joint, task) * method.members
        else:
            products = joint_products(method, task) if isinstance(method, Joint) else recorded_products(fit)
        fit()
        rounds = [(seconds(fit), seconds_of(products)) for _ in range(ROUNDS)]
        ours, bound = (min(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {ours:.2f} | {bound:.2f} | {ours / bound:.2f} |", flush=True)


def against_plain() -> None:
    """Print the time of a joint training and of the same training written plainly in tests/plain.py."""
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


def tsne() -> None:
    """Print the time of the t-SNE map of a study and of a training on it."""
    method, task = prepared("dataset=mi", "method.epochs=20")
    fitted = None

    def fit() -> None:
        nonlocal fitted
        fitted = method.fit(task, Runtime(0))

    whole = seconds(fit) * 5  # a training has 100 epochs
    z = np.concatenate([fitted.transform(batch) for batch in task.batches])
    drawn = seconds(lambda: project(z, seed=0))
    print(f"t-SNE of {len(z)} samples (MI): {drawn:.1f} s; a training {whole:.1f} s.", flush=True)
