"""Time and memory of large sparse studies, on one thread; part of ``make bench``.

Every size runs in its own process, whose peak memory is printed in MB of 2^20 bytes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CONF
from scipy import sparse

from calib.config import compose
from calib.data.split import make_task, parse_split
from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.records.provenance import peak_memory_mb
from calib.runs.experiment import run
from calib.runs.run import make_run
from calib.runtime import Runtime

FEATURES, BATCHES, CLASSES = 500, 10, 4
ROWS = 128
"""Number of rows of each batch in a mini-batch."""
SIZES = (10_000, 100_000, 1_000_000)
DENSITY = 0.08
"""Share of values that are not zero."""
ITERATIONS = 78
"""Smallest number of iterations of a timed training, so that small studies train for several epochs."""
NAMES = [f"batch_{number}" for number in range(BATCHES)]
SPLIT = "+".join(NAMES[: BATCHES // 2]) + ":" + "+".join(NAMES[BATCHES // 2 :])


def simulated(cells: int, seed: int = 0, features: int = FEATURES) -> Iterator[tuple[sparse.csr_array, Any]]:
    """Yield, batch after batch, log counts (CSR, float32) and classes ``(cells / BATCHES,)``.

    A cell has values in random features, which are larger in the features of its class. Batches differ in a
    gain for each feature. Only values that are not zero are ever stored.
    """
    rng = np.random.default_rng(seed)
    level = rng.gamma(2, 1, features).astype(np.float32)
    marked = np.where(rng.random((CLASSES, features)) < 0.1, 3, 1).astype(np.float32)
    rows, each = cells // BATCHES, round(DENSITY * features)
    for _ in range(BATCHES):
        y = rng.integers(0, CLASSES, rows)
        gain = rng.lognormal(0, 0.3, features).astype(np.float32)
        steps = rng.integers(1, 2 * features // each, (rows, each), np.int32)  # to the next value
        columns = np.minimum(steps.cumsum(axis=1, dtype=np.int32) - 1, features - each + np.arange(each))
        values = np.log1p(rng.poisson(level[columns] * gain[columns] * marked[y[:, None], columns]) + 1)
        x = (values.astype(np.float32).ravel(), columns.astype(np.int32).ravel())
        yield sparse.csr_array((*x, np.arange(0, rows * each + 1, each)), (rows, features)), y


def simulated_study(cells: int, features: int = FEATURES) -> Study:
    """Return a simulated sparse study in memory, with labels in all batches."""
    batches = {
        name: Batch(name, x, y.astype(np.int64))
        for name, (x, y) in zip(NAMES, simulated(cells, features=features), strict=True)
    }
    names, classes = ([f"{what}_{i}" for i in range(n)] for what, n in (("g", features), ("c", CLASSES)))
    return Study("simulated", batches, names, classes, BATCHES // 2)


def write_h5ad(file: Path, cells: int) -> None:
    """Write the same cells as an h5ad file with sparse X."""
    import anndata
    import pandas as pd

    parts = list(simulated(cells))
    obs = pd.DataFrame(index=pd.Index([f"cell_{i}" for i in range(cells)], dtype=object))
    for column, code, words in (
        ("batch", np.repeat(np.arange(BATCHES), cells // BATCHES), NAMES),
        ("label", np.concatenate([part[1] for part in parts]), [f"c_{i}" for i in range(CLASSES)]),
    ):
        # anndata 0.12 cannot write the text type of pandas 3, so the categories are plain objects.
        obs[column] = pd.Categorical.from_codes(code, pd.Index(words, dtype=object))
    data = anndata.AnnData(
        sparse.csr_matrix(sparse.vstack([part[0] for part in parts], "csr")),
        obs,
        pd.DataFrame(index=pd.Index([f"g_{i}" for i in range(FEATURES)], dtype=object)),
    )
    data.write_h5ad(file)


def train_once(cells: int, iterations: int = ITERATIONS) -> tuple[int, float, float]:
    """Train the joint method for one epoch, or for as many epochs as fill these iterations.

    Returns:
        The number of epochs, and the processor seconds of an epoch and of a sample of a mini-batch.
    """
    per_epoch = max(cells // BATCHES // ROWS, 1)
    epochs = max(1, iterations // per_epoch)
    config = compose(
        CONF,
        "method=joint",
        f"method.epochs={epochs}",
        f"method.batch_size={ROWS}",
        f"split='{SPLIT}'",
        "out=unused",
    )
    study = simulated_study(cells)
    split = parse_split(SPLIT, study)
    method, task = make_run(config, study, {}, split).method, make_task(study, split)
    started = time.process_time()  # other programs have less effect on it than on the clock
    method.fit(task, Runtime(0))
    seconds = (time.process_time() - started) / epochs
    return epochs, seconds, seconds / (per_epoch * ROWS * BATCHES)


def run_once(file: Path, out: Path) -> float:
    """Return the processor seconds of a whole run of one epoch, from file to record."""
    named = ["dataset=h5ad", f"dataset.path={file}", "dataset.name=simulated", f"split='{SPLIT}'"]
    started = time.process_time()
    run(compose(CONF, *named, "method.epochs=1", f"out={out}", "progress=false"))
    return time.process_time() - started


def in_process(*arguments: object, script: Path = Path(__file__)) -> list[float]:
    """Return the numbers that a script prints when it runs in a new process with these arguments.

    Raises:
        CalibError: the process failed.
    """
    command = [sys.executable, str(script.resolve()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CalibError(f"The process of size {arguments[-1]} failed: {done.stderr.strip()[-500:]}")
    return [float(number) for number in done.stdout.split()]


def measured_training(cells: int) -> tuple[float, float, float]:
    """Return the seconds of an epoch and of a sample, and the peak memory in MB, of one training."""
    _, epoch, sample, peak = in_process("--train", cells)
    return epoch, sample, peak


def measured_run(cells: int) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB of a whole run, from an h5ad file to its record."""
    with tempfile.TemporaryDirectory() as folder:
        in_process("--write", folder, cells)
        seconds, peak = in_process("--run", folder, cells)
    return seconds, peak


def main(sizes: Sequence[int] = SIZES, whole: Sequence[int] = SIZES[1:2]) -> None:
    """Print one line for each size, then one for each whole run."""
    print("samples       epoch   per sample   ratio     memory")
    first = None
    for cells in sizes:
        seconds, each, peak = measured_training(cells)
        first = first or each
        print(
            f"{cells:<9} {seconds:7.1f} s {1e6 * each:9.1f} µs {each / first:7.2f} {peak:7.0f} MB", flush=True
        )
    for cells in whole:
        seconds, peak = measured_run(cells)
        print(f"{cells:<9} {seconds:7.1f} s {'h5ad to record':>20} {peak:7.0f} MB", flush=True)
    print(
        f"(joint, {FEATURES} features, {DENSITY:.0%} of the values not zero, {BATCHES} batches; processor "
        "seconds of one thread, peak memory of the process)"
    )


def command_line() -> None:
    """Print the table; with a hidden option measure one training or run in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="samples of the trainings")
    parser.add_argument("--whole", nargs="*", type=int, default=SIZES[1:2], help="samples of the whole runs")
    for option in ("--train", "--write", "--run"):
        parser.add_argument(option, nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not (given.train or given.write or given.run):
        main(given.sizes, given.whole)
        return
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if given.train:
        print(*train_once(*map(int, given.train)), peak_memory_mb())
        return
    folder, cells = given.write or given.run
    file = Path(folder) / "simulated.h5ad"
    if given.write:
        write_h5ad(file, int(cells))
    else:
        print(run_once(file, Path(folder) / "out"), peak_memory_mb())


if __name__ == "__main__":
    try:
        command_line()
    except CalibError as error:
        sys.exit(f"Error: {error}")
