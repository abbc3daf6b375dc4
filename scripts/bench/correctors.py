"""Time and memory of the methods that correct features, on studies of growing size; part of ``make bench``.

Every method and size runs in its own process, whose peak memory is printed in MB of 2^20 bytes. MMD-ResNet
trains one map for each source and target; only one map is timed, between two of the ten batches.

Options: --methods mnn seurat ..., --sizes 1000 10000 100000 (large ones take up to an hour in all).
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from common import CONF
from scale import SPLIT, in_process, simulated_study

from calib.config import build, compose
from calib.data.split import make_task, parse_split
from calib.data.study import Samples
from calib.errors import CalibError
from calib.methods.corrected import correct
from calib.records.provenance import peak_memory_mb
from calib.report.beyond.named import NAMED
from calib.runtime import Runtime

METHODS = ("combat", *NAMED)
SIZES = (1_000, 10_000)


def correct_once(method: str, cells: int) -> float:
    """Return the processor seconds of one correction of the simulated study."""
    config = compose(CONF, f"method={method}", f"split='{SPLIT}'", "out=unused").method
    study = simulated_study(cells)
    task = make_task(study, parse_split(SPLIT, study))
    started = time.process_time()
    if "mapper" in config:
        source, target = task.sources[0], task.targets[0]
        build(config.mapper).map(
            Samples(source.name, source.dense), Samples(target.name, target.dense), Runtime(0)
        )
    else:
        correct(build(config.corrector), task, Runtime(0))
    return time.process_time() - started


def main(methods: Sequence[str] = METHODS, sizes: Sequence[int] = SIZES) -> None:
    """Print one line for each method and size."""
    print("method      samples    seconds     memory")
    for method in methods:
        for cells in sizes:
            seconds, peak = in_process("--correct", method, cells, script=Path(__file__))
            print(f"{method:<11} {cells:<9} {seconds:8.1f} s {peak:7.0f} MB", flush=True)


def command_line() -> None:
    """Print the table; with ``--correct`` measure one method and size in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="samples of the studies")
    parser.add_argument("--correct", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.correct:
        main(given.methods, given.sizes)
        return
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    method, cells = given.correct
    print(correct_once(method, int(cells)), peak_memory_mb())


if __name__ == "__main__":
    try:
        command_line()
    except CalibError as error:
        sys.exit(f"Error: {error}")
