"""How seconds and memory of every method grow with the samples: ``python scripts/bench/growth.py``.

Every number comes from a process of its own, which trains one method on a simulated sparse study and answers
for its targets. Trainings have one epoch, one round and one random start, which does not change their growth.
A process that needs more than ``--limit`` processor seconds is ended, and its cell says so.

Options: --methods joint mnn ... (all that need no target label), --sizes, --features, --limit.
"""

import argparse
import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from common import CONF
from omegaconf import DictConfig
from scale import BATCHES, SPLIT, simulated_study

from calib.config import compose
from calib.data.split import make_task, parse_split
from calib.errors import CalibError
from calib.records.provenance import peak_memory_mb
from calib.runs.run import make_run
from calib.runtime import Runtime

SIZES = (1_000, 10_000, 100_000)
FEATURES = 100
LIMIT = 180
"""Processor seconds after which a process is ended."""
SHORT = ("epochs", "pretrain_epochs", "adversary_epochs", "warmup_epochs", "rounds", "starts")
"""Settings that repeat the same work, which are set to one here."""
FAST = ("combat", "ratio_g", "harmony", "mnn", "cca", "seurat", "desc", "bermuda", "baseline", "joint")
"""Methods of which ``make bench`` prints the growth, up to the second size."""
REFERENCES = (
    "cross_validation",
    "honest_cross_validation",
    "known_mix_logistic",
    "known_moments_logistic",
    "oracle",
)
"""Methods that need labels of targets."""
Cell = tuple[float, float] | str
"""Seconds and peak memory in MB, or why there are none."""


def shorten(settings: Any) -> None:
    """Set every setting of ``SHORT`` within a method's settings to one, unless it is less."""
    for key, value in settings.items():
        if isinstance(value, DictConfig) and key not in SHORT:
            shorten(value)
        elif key in SHORT and value != 0:
            settings[key] = 1


def measure(answer: Connection, name: str, samples: int, features: int, limit: int) -> None:
    """Send the processor seconds and the peak memory of one method on one study, or the error's sentence."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config = compose(CONF, f"method={name}", f"split='{SPLIT}'", "out=unused")
    shorten(config.method)
    study = simulated_study(samples, features=features)
    split = parse_split(SPLIT, study)
    method, task = make_run(config, study, {}, split).method, make_task(study, split)
    started = time.process_time()
    try:
        fitted = method.fit(task, Runtime(0))
        for target in task.targets:
            fitted.predict_proba(target)
    except CalibError as error:
        answer.send(str(error))
        return
    answer.send((time.process_time() - started, peak_memory_mb()))


def in_process(name: str, samples: int, features: int, limit: int) -> Cell:
    """Return what ``measure`` sends from a new process, or that it was ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["growth", "sklearn.ensemble", "calib.methods.bermuda", "calib.methods.desc"]
    )
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(theirs, name, samples, features, limit))
    process.start()
    theirs.close()
    try:
        return ours.recv()  # type: ignore[no-any-return]
    except EOFError:
        return f"over {limit} s"
    finally:
        process.join()


def exponent(smaller: Cell, larger: Cell, times: float) -> str:
    """Return the power of the samples by which the seconds grow between two sizes, ``times`` apart."""
    if isinstance(smaller, str) or isinstance(larger, str):
        return "–"
    return f"{math.log(larger[0] / max(smaller[0], 1e-3)) / math.log(times):.2f}"


def main(
    methods: Sequence[str] = FAST,
    sizes: Sequence[int] = SIZES[:2],
    features: int = FEATURES,
    limit: int = LIMIT,
) -> None:
    """Print one row for each method: seconds and memory at each size, and the exponent of the last two."""
    print(f"{features} features, {BATCHES} batches; seconds of one processor, peak memory in MB\n")
    print("| method | " + " | ".join(f"{size:,}" for size in sizes) + " | exponent |")
    print("| --- |" + " --- |" * (len(sizes) + 1))
    for name in methods:
        cells: list[Cell] = []
        for size in sizes:
            over = bool(cells) and isinstance(cells[-1], str)
            cells.append("not tried" if over else in_process(name, size, features, limit))
        shown = [cell if isinstance(cell, str) else f"{cell[0]:.1f} s, {cell[1]:.0f}" for cell in cells]
        grown = exponent(*cells[-2:], sizes[-1] / sizes[-2]) if len(cells) > 1 else "–"
        print(f"| {name} | " + " | ".join(shown) + f" | {grown} |", flush=True)


def command_line() -> None:
    """Print the table that the options ask for."""
    known = [path.stem for path in sorted((CONF / "method").glob("*.yaml"))]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    own = [name for name in known if name not in REFERENCES]
    parser.add_argument("--methods", nargs="*", choices=known, default=own, metavar="METHOD")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="samples of the studies")
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--limit", type=int, default=LIMIT, help="processor seconds of a process")
    given = parser.parse_args()
    main(given.methods, given.sizes, given.features, given.limit)


if __name__ == "__main__":
    try:
        command_line()
    except CalibError as error:
        sys.exit(f"Error: {error}")
