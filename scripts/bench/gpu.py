"""Check and measure trainings on a GPU, in at most eight minutes; no part of ``make bench``.

The checks come first: numbers of the processor, of the training repeated, of a stack and of a CUDA graph, and
how often the processor waits for the GPU. CUDA graphs are measured only if they have passed. Then trainings
are timed. A part whose time is over is cut off after an epoch, and the rest is extrapolated; a part for which
no time is left is listed as not measured. Studies whose files are not here are simulated in their size.

--small --device cpu shows within seconds, on a tiny study, that the script works.
"""

import argparse
import copy
import faulthandler
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CONF
from scale import ROWS, SPLIT, simulated_study

from calib.config import compose
from calib.data.simulate import simulate
from calib.data.split import all_splits, make_task, parse_split
from calib.data.study import Study, Task
from calib.errors import CalibError, UnreachableError
from calib.methods.joint import Joint
from calib.records.provenance import device_name
from calib.runs.experiment import run
from calib.runs.planner import Planner
from calib.runs.run import load, make_run
from calib.runs.schedule import guessed_seconds, overrides, schedule, together
from calib.runs.series import PLAN, read_series
from calib.runtime import Runtime, repeat_on

WHOLE = 470
"""Seconds after which the script ends itself, wherever it is."""
AIM = 300
"""Seconds for ten seeds and all splits of joint on MI and CHD."""
SIZES = {"mi": ([1330, 1305, 1345], 204), "chd": ([1559, 1478, 1523, 1449], 199)}
"""Rows of each batch and features of the paper's studies."""
TINY = ["dataset.subjects=[8,6,9]", "dataset.replicates=4", "dataset.features=12", "dataset.informative=5"]


class OutOfTimeError(Exception):
    """The time of a training is over."""


@dataclass
class Clocked(Runtime):
    """A runtime whose training ends with the first epoch after ``until`` (``time.perf_counter``)."""

    until: float = inf

    def report(self, bar: Any, epoch: int, losses: Mapping[str, float], training: str) -> None:
        """Record the losses, then end the training if its time is over."""
        super().report(bar, epoch, losses, training)
        if time.perf_counter() > self.until:
            raise OutOfTimeError


@dataclass
class Bench:
    """The device, what is left of the time, and what was found to be wrong.

    Attributes:
        small: whether everything is tiny, to try the script itself.
        graphs: whether CUDA graphs have passed their check.
    """

    device: str
    small: bool
    until: float
    graphs: bool = False
    wrong: list[str] = field(default_factory=list)
    known: dict[str, tuple[str, Joint, list[Task]]] = field(default_factory=dict)

    @property
    def gpu(self) -> bool:
        """Return whether the device is a GPU."""
        return self.device.startswith("cuda")

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.until - time.perf_counter()

    def runtimes(self, seeds: int, device: str = "", dtype: str = "float32", **more: Any) -> list[Clocked]:
        """Return a runtime for each seed."""
        made = [Clocked.from_names(seed, device or self.device, dtype, False) for seed in range(seeds)]
        return [replace(one, last_digits_may_differ=True, **more) for one in made]

    def study(self, name: str) -> tuple[str, Joint, list[Task]]:
        """Return a label, the joint method, and the task of every split of a study."""
        if name in self.known:
            return self.known[name]
        words = ["dataset=demo", *TINY, "method.batch_size=8"] if self.small else [f"dataset={name}"]
        config, label = compose(CONF, *words), "a tiny study" if self.small else name.upper()
        try:
            study = load(config)[0]
        except UnreachableError:
            study, label = _like(*SIZES[name]), f"{label} (simulated)"
        splits = all_splits(study)
        method = make_run(config, study, {}, splits[0]).method
        method = lasting(method, 2) if self.small else method
        self.known[name] = label, method, [make_task(study, split) for split in splits]
        return self.known[name]

    def check(self, what: str, found: str, right: bool) -> None:
        """Print a row of the checks."""
        print(f"| {what} | {found} | {'yes' if right else 'NO'} |", flush=True)
        if not right:
            self.wrong.append(what)


def _like(rows: Sequence[int], features: int) -> Study:
    """Return a simulated study with so many rows in each batch and so many features."""
    return simulate(rows, 1, features, 20, 0.5, 0.3, 0.5, 0.15, seed=0)[0]


def lasting(method: Joint, epochs: int, **changes: Any) -> Joint:
    """Return a method with another number of epochs and other settings."""
    made = copy.copy(method)
    made.schedule = replace(method.schedule, epochs=epochs)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def losses(runtime: Runtime) -> np.ndarray:
    """Return all losses of a history."""
    return np.array([v for row in runtime.history for v in row.values() if isinstance(v, float)])


def apart(ours: Sequence[Runtime], theirs: Sequence[Runtime]) -> float:
    """Return the largest relative difference of two trainings' losses."""
    pairs = [(losses(one), losses(other)) for one, other in zip(ours, theirs, strict=True)]
    return max(float(np.max(np.abs(a - b) / np.abs(b))) for a, b in pairs)


def checks(bench: Bench) -> None:
    """Print the table of checks."""
    label, method, tasks = bench.study("mi")
    print(f"\n| check (joint, {label}) | found | right |\n| --- | --- | --- |")
    still, target = lasting(method, 3, dropout=0.0), tasks[0].targets[0]
    ours, theirs = (
        still.fit(tasks[0], bench.runtimes(1, device, "float64")[0]).predict_proba(target)
        for device in (bench.device, "cpu")
    )
    far = float(np.abs(ours - theirs).max())
    bench.check("probabilities are the processor's (float64, 3 epochs)", f"{far:.1e} apart", far < 1e-6)
    short = lasting(method, 3)
    twice = [short.fit(tasks[0], bench.runtimes(1)[0]).predict_proba(target) for _ in range(2)]
    same = np.array_equal(*twice)
    bench.check("repeated, the same bytes", "the same" if same else "others", same)
    stack = [bench.runtimes(2) for _ in tasks]
    flat = [one for part in stack for one in part]
    short.fit_together([task for task in tasks for _ in range(2)], flat)
    alone = [bench.runtimes(2) for _ in tasks]
    for task, part in zip(tasks, alone, strict=True):
        for one in part:
            short.fit(task, one)
    far = apart(flat, [one for part in alone for one in part])
    kept = not any(one.unlike_alone for one in flat)
    found = "the bytes of each alone" if kept else f"other last digits (losses {far:.1e} apart)"
    bench.check("two seeds of all splits as one", found, far < 1e-2)
    if not bench.gpu:
        return
    with_graph, without = (bench.runtimes(2, "", "float64", cuda_graphs=graphs) for graphs in (True, False))
    try:
        for runtimes in (with_graph, without):
            short.fit_seeds(tasks[0], runtimes)
        far = apart(with_graph, without)
        bench.graphs = far < 1e-5
        bench.check("a CUDA graph gives the same losses", f"{far:.1e} apart", bench.graphs)
    except (CalibError, RuntimeError) as error:
        bench.check("a CUDA graph gives the same losses", " ".join(str(error).split())[:200], False)
    rows = method.schedule.batch_size
    half = lasting(method, 2)
    half.schedule = replace(half.schedule, batch_size=rows // 2)
    counts = [waits(lambda m=m: m.fit(tasks[0], bench.runtimes(1)[0])) for m in (lasting(method, 2), half)]
    found = f"{counts[0]} in two epochs, {counts[1]} with twice the iterations"
    bench.check("no iteration waits for the GPU", found, counts[0] == counts[1])


def waits(work: Callable[[], object]) -> int:
    """Return how often the processor waits for the GPU during ``work``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(one.message) for one in caught)


def timed(
    bench: Bench, method: Joint, tasks: Sequence[Task], seeds: int, limit: float, **more: Any
) -> tuple[float, str]:
    """Return the seconds of a training of every seed and task as one, and the words for the table.

    Where the limit ends it after some epochs, the seconds of all epochs are extrapolated.
    """
    started = time.perf_counter()
    until = started + min(limit, bench.left())
    runtimes = [one for _ in tasks for one in bench.runtimes(seeds, until=until, **more)]
    epochs = method.schedule.epochs_for([len(batch) for batch in tasks[0].batches])
    try:
        method.fit_together([task for task in tasks for _ in range(seeds)], runtimes)
    except OutOfTimeError:
        taken = time.perf_counter() - started
        share = sum(len(one.history) for one in runtimes) / (epochs * len(runtimes))
        return taken / share, f"about {taken / share:.1f} ({share:.0%} of the epochs measured)"
    return time.perf_counter() - started, f"{time.perf_counter() - started:.1f}"


def times(bench: Bench) -> None:
    """Print the table of times."""
    print("\n| training | runs | CUDA graph | seconds |\n| --- | --- | --- | --- |")
    seeds = 2 if bench.small else 10

    def row(what: str, runs: int, graphs: bool, method: Joint, tasks: Sequence[Task], limit: float) -> float:
        """Time a training, print its row, and return its seconds."""
        if bench.left() < 5:
            print(f"| {what} | {runs} | | not measured: no time left |", flush=True)
            return inf
        taken, words = timed(bench, method, tasks, runs // len(tasks), limit, cuda_graphs=graphs)
        print(f"| {what} | {runs} | {'yes' if graphs else 'no'} | {words} |", flush=True)
        return taken

    label, method, tasks = bench.study("mi")
    for graphs in [False, True] if bench.graphs else [False]:
        row(f"joint, {label}, one seed", 1, graphs, method, tasks[:1], 45)
    whole = 0.0
    for name, limit in (("mi", 80.0), ("chd", 110.0)):
        if bench.small and name != "mi":
            continue
        label, method, tasks = bench.study(name)
        runs = seeds * len(tasks)
        what = f"joint, {label}, {seeds} seeds of {len(tasks)} splits as one"
        whole += row(what, runs, bench.graphs, method, tasks, limit)
    if not bench.small:
        print(f"| both, aim {AIM} | | | {whole:.1f}: {'reached' if whole < AIM else 'missed'} |", flush=True)
    each = 0.0
    for cells in [200] if bench.small else [100_000, 1_000_000]:
        if 2 * each * cells > bench.left():
            print(f"| joint, {cells} cells | 1 | | not measured: no time left |", flush=True)
            continue
        study = simulated_study(cells)
        config = compose(CONF, f"method.batch_size={ROWS}", f"split='{SPLIT}'", "out=unused")
        split = parse_split(SPLIT, study)
        epoch = lasting(make_run(config, study, {}, split).method, 1)
        what = f"joint, {cells} simulated sparse cells, one epoch"
        each = row(what, 1, bench.graphs, epoch, [make_task(study, split)], inf) / cells


def series(bench: Bench) -> None:
    """Make the runs of the paper's tables on MI, stacks first, until the time is over."""
    print("\n| runs of the list `paper` on MI, predictions kept | runs | seconds |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as out:
        planner = Planner(CONF, Path(out), bench.device)
        plan = [part for s in read_series(CONF / PLAN, "paper") if (part := s.narrowed(studies=["mi"]))]
        groups = sorted(together(schedule(planner.jobs(plan), guessed_seconds(CONF))), key=lambda g: -len(g))
        if not groups:
            print("| the files of MI are not here | 0 | not measured |")
            return
        started, done, total = time.perf_counter(), 0, sum(map(len, groups))
        by_line: dict[str, tuple[int, float]] = {}
        for group in groups:
            if bench.left() < 2 * max(item.seconds for item in group) / 10 + 5:  # a rough guess of a GPU
                continue
            name, began = str(group[0].job.run.config.method.name), time.perf_counter()
            words = [*overrides(group), "keep=predictions", "progress=false", f"cuda_graphs={bench.graphs}"]
            try:
                run(compose(CONF, *words))
            except CalibError as error:
                bench.wrong.append(f"{name}: {error}")
                continue
            count, taken = by_line.get(name, (0, 0.0))
            by_line[name] = count + len(group), taken + time.perf_counter() - began
            done += len(group)
        for name, (count, taken) in by_line.items():
            print(f"| {name} | {count} | {taken:.1f} |")
        print(f"| all | {done} of {total} | {time.perf_counter() - started:.1f} |", flush=True)


def main(device: str, small: bool = False, seconds: float = WHOLE) -> list[str]:
    """Print all tables, and return the names of the checks that have failed."""
    started = time.perf_counter()
    bench = Bench(device, small, started + seconds - 15)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    repeat_on(torch.device(device))
    card = device_name(device)
    _, method, tasks = bench.study("mi")
    lasting(method, 1).fit(tasks[0], bench.runtimes(1)[0])  # sets up CUDA and its libraries
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}; start-up and the first "
          f"epoch {time.perf_counter() - started:.1f} s")  # fmt: skip
    checks(bench)
    times(bench)
    if not small:
        series(bench)
    return bench.wrong


def command_line() -> None:
    """Do as the options say; the exit code is 1 if a check has failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda | cuda:1 | cpu (default cuda)")
    parser.add_argument("--small", action="store_true", help="tiny, to try the script")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise CalibError("There is no GPU here; try the script with --small --device cpu.")
    faulthandler.dump_traceback_later(WHOLE, exit=True)
    if wrong := main(given.device, given.small):
        sys.exit(f"Not right: {'; '.join(wrong)}")


if __name__ == "__main__":
    try:
        command_line()
    except CalibError as error:
        sys.exit(f"Error: {error}")
