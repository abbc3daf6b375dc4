"""Settings and helpers that the benchmarks share: a method with its task, and the processor's time."""

import time
from collections.abc import Callable
from pathlib import Path

from calib.config import compose
from calib.data.split import all_splits, make_task, parse_split
from calib.data.study import Task
from calib.methods.base import AnyMethod
from calib.runs.run import load, make_run

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
ROUNDS = 3
"""Number of times that each side of a ratio is measured."""
SPLITS = {"mi": "12_3", "chd": "12_34", "pancreas_mini": "12_3", "demo": "12_3"}
"""The split of each study on which trainings are timed."""


def prepared(*overrides: str) -> tuple[AnyMethod, Task]:
    """Return a method and its task, as configured by the overrides."""
    config = compose(CONF, *overrides)
    study, data = load(config)
    split = parse_split("1_2" if study.n_sources == 1 else SPLITS[config.dataset.name], study)
    return make_run(config, study, data, split).method, make_task(study, split)


def prepared_splits(*overrides: str) -> tuple[AnyMethod, list[Task]]:
    """Return a method and the task of every split of its study."""
    config = compose(CONF, *overrides)
    study, data = load(config)
    splits = all_splits(study)
    return make_run(config, study, data, splits[0]).method, [make_task(study, split) for split in splits]


def seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds that ``work`` takes."""
    started = time.process_time()
    work()
    return time.process_time() - started
