"""Seconds and accuracy of this project beside other programs, on MI 12_3; ``python scripts/bench/world.py``.

It takes ten minutes, and so is no part of ``make bench``. Every program gets the same three plates, the
labels of the two sources alone, one seed and one thread. Nothing is tuned: this project's methods have their
published settings, those of others (``peers.py``) the defaults of their packages. Those of skada train too
little here, so it has a second line, with input, optimiser and epochs of this project's ``deep_coral``. A
program whose package is not installed is left out, with a sentence.

Seconds are those of the processor, from the loaded plates to the probabilities of the target's samples,
without the imports of packages. Each program runs once. Scores are this project's.

Options: --programs joint scanvi ... (all of them unless some are named), --seed 0, --quick (the shortest
trainings, to try the script; their numbers mean nothing).
"""

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import peers
import torch
from common import CONF, ROOT, SPLITS, prepared, seconds
from peers import Case, Work
from threadpoolctl import threadpool_limits

from calib.config import compose
from calib.data.split import make_task, parse_split
from calib.data.study import Batch, FloatArray
from calib.errors import CalibError
from calib.evaluation.metrics import by_subject, score
from calib.runs.run import load
from calib.runtime import Runtime

STUDY = ("dataset=mi",)
EPOCHS = 100
"""Epochs of the joint model on MI, as in ``conf/tuned/mi.yaml``."""


def ours(*overrides: str, quick: str) -> Callable[[Case], Work]:
    """Return a program that trains a method of this project; ``quick`` is an override that makes it short."""

    def program(case: Case) -> Work:
        method, task = prepared(*case.study, *overrides, *([quick] if case.quick else []))
        return lambda: method.fit(task, Runtime(case.seed)).predict_proba(task.targets[0])

    return program


def plain(case: Case) -> Work:
    """Return the joint training of the text, written as the released code is (``tests/plain.py``)."""
    sys.path.insert(0, str(ROOT))
    from tests.plain import train

    x = [torch.as_tensor(batch.dense) for batch in case.task.batches]
    y = [torch.as_tensor(source.y).float() for source in case.task.sources]

    def work() -> FloatArray:
        c, d = train(x, y, epochs=1 if case.quick else EPOCHS, batch_size=min(128, *map(len, x)))
        with torch.no_grad():
            positive = d(c(x[-1])).numpy()
        return np.stack([1 - positive, positive], axis=1)

    return work


@dataclass(frozen=True)
class Program:
    """A program of the comparison: its name, what it is given, and the package that it needs ("": none)."""

    label: str
    given: str
    start: Callable[[Case], Work]
    package: str = ""


RAW = "intensities as they are"
SCALED, BY_PLATE = "arcsinh, z-scores over all plates", "arcsinh, z-scores by plate"
ONE = "method.epochs=1"
PROGRAMS = {
    "joint": Program("joint, rules of the text", RAW, ours("method=joint", quick=ONE)),
    "plain": Program("the same, written plainly (`tests/plain.py`)", RAW, plain),
    "released": Program(
        "joint, rules of the released code", RAW, ours("method=joint", "protocol=released", quick=ONE)
    ),
    "joint_plus": Program("Joint+", BY_PLATE, ours("method=joint_plus", quick="method.joint.epochs=1")),
    "best": Program("`best`", "each member its own", ours("method=best", quick="method.size=small")),
    "scanvi": Program("scANVI (scvi-tools)", "intensities, those below 0 as 0", peers.scanvi, "scvi"),
    "harmony": Program(
        "Harmony (harmonypy), logistic regression",
        f"{SCALED}; {peers.COMPONENTS} components",
        peers.harmony,
        "harmonypy",
    ),
    "skada": Program("DeepCORAL (skada)", SCALED, peers.skada, "skada"),
    "skada_longer": Program(
        "DeepCORAL (skada), set as `deep_coral`",
        BY_PLATE,
        partial(peers.skada, by_plate=True, optimizer=torch.optim.AdamW, lr=1e-3, max_epochs=30),
        "skada",
    ),
}


def main(programs: Sequence[str], seed: int = 0, quick: bool = False, study: Sequence[str] = STUDY) -> None:
    """Print a line for each program, with ratios to the first one."""
    loaded, _ = load(compose(CONF, *study))
    task = make_task(loaded, parse_split(SPLITS["mi"], loaded))
    case, target = Case(study, task, seed, quick), loaded.batches[task.targets[0].name]
    print("| program | given | seconds | ratio | accuracy | ratio | accuracy, patients |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first, missing = None, []
    for name in programs:
        program = PROGRAMS[name]
        if program.package and importlib.util.find_spec(program.package) is None:
            missing.append(f"{program.label} is left out: the package {program.package} is not installed.")
            continue
        spent, accuracy, of_patients = measured(program, case, target)
        first = first or (spent, accuracy)
        print(
            f"| {program.label} | {program.given} | {spent:.1f} | {spent / first[0]:.2f} | {accuracy:.3f} | "
            f"{accuracy / first[1]:.2f} | {of_patients:.3f} |",
            flush=True,
        )
    print("", *missing, sep="\n")


def measured(program: Program, case: Case, target: Batch) -> tuple[float, float, float]:
    """Return the seconds of a program, and its accuracy on the target's samples and on its patients."""
    found = []
    with torch.random.fork_rng([]), warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # advice of other programs on their own use
        torch.manual_seed(case.seed)
        work = program.start(case)
        spent = seconds(lambda: found.append(work()))
    patients = score(*by_subject(found[0], target.y, target.subject))
    return spent, score(found[0], target.y)["accuracy"], patients["accuracy"]


def command_line() -> None:
    """Print the table for the programs that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", nargs="*", choices=PROGRAMS, default=list(PROGRAMS), metavar="PROGRAM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    main(given.programs, given.seed, given.quick)


if __name__ == "__main__":
    try:
        command_line()
    except CalibError as error:
        sys.exit(f"Error: {error}")
