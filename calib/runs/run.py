"""A run: study, split, method and seed, and the key that stands for everything that decides its result."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.mix import Mix, mixed, whole_name
from calib.data.settings import as_text
from calib.data.split import Split
from calib.data.study import Study
from calib.data.transform import prepare, unit_of
from calib.errors import CalibError, DataError, check_choice, check_flag, check_number
from calib.failures import in_one_sentence
from calib.files import short_hash
from calib.methods.base import AnyMethod
from calib.protocol import Protocol
from calib.records.record import Record, run_record
from calib.registry import LOADER, METHOD, PROTOCOL
from calib.runs.loading import read
from calib.runtime import DTYPES, named_device
from calib.units import PAPERS_UNIT

RECORD_VERSION = 2
"""Raised when a change to code that all methods share (training, metrics, distances) gives other numbers."""

MANY_THREADS = 64
"""Threads that a run may have on any machine; more only where the machine has as many CPUs."""

MAX_SEED = 2**32 - 1

AS_PRINTED = "as_printed"
"""The choice of ``training`` that takes what the paper prints."""

KEPT = ("all", "predictions")
"""What a record keeps: everything, or no calibrated data and no distances, which take most of a short run."""

UNITS = "units"
"""Key of ``Run.data`` for the values by which arcsinh divides (``data.transform.own_unit``)."""

DESCRIPTION = ("name", "card")
"""Keys of a method's YAML that cannot change a result."""


@dataclass(frozen=True)
class Run:
    """One study, split, method and seed, with the place of its record.

    ``data`` holds what decides the numbers that the method is given: checksum, scaling and number type.
    """

    config: DictConfig
    study: Study
    data: dict[str, str]
    split: Split
    method: AnyMethod[Any]
    key: str
    record: Record

    def __str__(self) -> str:
        config = self.config
        names = f"{self.study.name} {self.split.label} {config.method.name}"
        return f"{names}, protocol {config.protocol.name}, seed {config.seed}"


def load(config: DictConfig) -> tuple[Study, dict[str, str]]:
    """Return the configured study, scaled as the protocol says, and what decides its numbers (``Run.data``).

    Raises:
        CalibError: a setting or a data file is wrong.
    """
    check_settings(config)
    with in_one_sentence(f"Reading study '{config.dataset.name}'"):
        study = read(config.dataset, LOADER)
    return scaled(study, config)


def check_settings(config: DictConfig) -> None:
    """Check the settings of the root and of the protocol, before any file is read.

    Raises:
        CalibError: one is wrong.
    """
    check_number("threads", config.threads, least=1, whole=True, most=max(MANY_THREADS, os.cpu_count() or 1))
    seeds_of(config)
    check_choice("dtype", config.dtype, DTYPES)
    check_choice("keep", config.keep, KEPT)
    named_device(config.device)
    as_text("out", config.out)
    for flag in ("force", "progress", "save_model", "batch_seeds"):
        check_flag(flag, config[flag])
    mix_of(config)
    build(config.protocol, PROTOCOL)


def of_split(
    config: DictConfig, study: Study, data: dict[str, str], split: Split
) -> tuple[Study, dict[str, str], Split]:
    """Return what ``load`` returns, and the split: with drawn targets where the configuration asks for it.

    What is scaled by itself is drawn first, so that it is scaled as a plate of that mix would be.

    Raises:
        CalibError: a setting of the mix is wrong, or a batch has too few subjects for it.
    """
    mix = mix_of(config)
    if not mix.draws:
        return study, data, split
    drawn, parts = mixed(read(config.dataset, LOADER), split, mix)
    return *scaled(drawn, config), parts


def as_loaded(run: Run) -> Study:
    """Return a run's study with its values as in the file, and its targets drawn as the run's are."""
    study, mix = read(run.config.dataset, LOADER), mix_of(run.config)
    if not mix.draws:
        return study
    cut = mix.size is not None
    whole = dict.fromkeys(whole_name(name) if cut else name for name in run.split.targets)
    return mixed(study, replace(run.split, targets=tuple(whole)), mix)[0]


def mix_of(config: DictConfig) -> Mix:
    """Return the class mix that a configuration asks for.

    Raises:
        CalibError: a setting is of the wrong kind.
    """
    return Mix(**{str(key): value for key, value in config.mix.items()})


def scaled(study: Study, config: DictConfig) -> tuple[Study, dict[str, str]]:
    """Return a study scaled as the protocol says, and what decides its numbers (``Run.data``).

    Raises:
        CalibError: an option of the protocol is wrong, or the data cannot be scaled so.
    """
    protocol: Protocol = build(config.protocol, PROTOCOL)
    with in_one_sentence(f"Reading study '{study.name}'"):
        sha256 = study.sha256()
    scaling = f"{protocol.transform} {protocol.batch_scale}"
    data = {"data_sha256": sha256, "scaling": scaling, "dtype": config.dtype}
    with in_one_sentence(f"Scaling study '{study.name}'"):
        unit = unit_of(study)
        prepared = prepare(study, protocol.transform, protocol.batch_scale, config.dtype, unit)
    if {unit, prepared.unit} != {PAPERS_UNIT}:  # left out of the paper's studies, which so keep their keys
        data[UNITS] = f"{unit!r} {prepared.unit!r}"
    return prepared, data


def units_in(data: Mapping[str, str]) -> tuple[float, float]:
    """Return the unit of a study's values as loaded, and of those that methods get, from ``Run.data``."""
    loaded, given = data.get(UNITS, f"{PAPERS_UNIT} {PAPERS_UNIT}").split()
    return float(loaded), float(given)


def seeds_of(config: DictConfig) -> list[int]:
    """Return the seed, or the seeds that are trained together.

    Raises:
        CalibError: a value is no seed, or there are several seeds without ``batch_seeds``.
    """
    several = isinstance(config.seed, str) and config.batch_seeds
    seeds = (
        [int(s) if s.strip().isdigit() else s for s in config.seed.split(",")] if several else [config.seed]
    )
    for seed in seeds:
        check_number("seed", seed, least=0, whole=True)
        if seed > MAX_SEED:
            raise CalibError(f"seed={seed} must be at most {MAX_SEED}.")
    return list(dict.fromkeys(seeds))


def each_seed(config: DictConfig) -> list[DictConfig]:
    """Return one configuration a seed: that of the run with this seed alone."""
    made = [OmegaConf.merge(config, {"seed": s, "batch_seeds": False}) for s in seeds_of(config)]
    return [one for one in made if isinstance(one, DictConfig)]


def check_training(config: DictConfig) -> None:
    """Refuse a choice of ``training`` for which the study's file has no value that the method uses.

    Raises:
        CalibError: the choice changes nothing.
    """
    if config.training == AS_PRINTED:
        return
    parts = OmegaConf.select(config, f"tuned.{config.training}") or {}
    method = OmegaConf.to_yaml(config.method, resolve=False)
    if not any(f"${{tuned:{part}." in method for part in parts):
        raise CalibError(
            f"training={config.training} changes nothing for dataset={config.dataset.name} with "
            f"method={config.method.name}; leave training={AS_PRINTED}, or write values in the block "
            f"{config.training} of conf/tuned/<dataset>.yaml."
        )


def make_run(config: DictConfig, study: Study, data: dict[str, str], split: Split) -> Run:
    """Return the configured run, with its method built and its key computed; nothing is written.

    Raises:
        CalibError: a setting of the method is wrong, or the chosen training changes nothing; or the method
            joins the samples of a subject, and a subject has samples of several classes.
    """
    return next(make_runs(config, study, data, [config.seed], [split]))


def make_runs(
    config: DictConfig, study: Study, data: dict[str, str], seeds: Iterable[Any], splits: Sequence[Split]
) -> Iterator[Run]:
    """Yield the configured run with each seed and split, as ``make_run``; they share their method.

    Raises:
        CalibError: as ``make_run``.
    """
    check_training(config)
    settings = method_settings(config)
    method = build(OmegaConf.create(settings), METHOD)
    if config.save_model and method.why_not_saved:
        raise CalibError(
            f"method={config.method.name} {method.why_not_saved}, so there is no model to save; use one of "
            "those that calib methods lists as saved, such as joint_plus, or save_model=false."
        )
    if study.refusal and method.joins_replicates:
        raise DataError(study.refusal)
    if study.refusal:  # what was read, and so how the model reads later files
        config = config.copy()
        config.dataset.subject_labels = "split"
    identity = {
        "study": study.name,
        "method": _canonical(settings),
        "protocol": config.protocol.name,
        "versions": [RECORD_VERSION, *method.versions],
        **data,
    }
    for seed in seeds:
        seeded = config.copy()  # to compose it anew takes a hundred times as long
        seeded.seed = seed
        for split in splits:
            key = short_hash({**identity, "seed": seed, "split": split.label})
            out = Path(str(config.out))
            record = run_record(out, study.name, split.label, config.method.name, key)
            yield Run(seeded, study, data, split, method, key, record)


def method_settings(config: DictConfig) -> dict[str, Any]:
    """Return a method's settings, every value resolved, without names and cards, which only describe."""
    settings = OmegaConf.to_container(config.method, resolve=True)
    assert isinstance(settings, dict)
    return {str(key): _undescribed(value) for key, value in settings.items() if key not in DESCRIPTION}


def _undescribed(node: Any) -> Any:
    """Return settings without cards, and without the names of methods; a protocol's name is a setting."""
    if isinstance(node, list):
        return [_undescribed(value) for value in node]
    if not isinstance(node, dict):
        return node
    left_out = DESCRIPTION if "label" in node.get("card", {}) else ("card",)
    return {key: _undescribed(value) for key, value in node.items() if key not in left_out}


def _canonical(node: Any) -> Any:
    """Return settings in one spelling (10 for 10.0), without the protocol's options that no method uses."""
    if isinstance(node, dict):
        unused = Protocol.NOT_USED_BY_METHODS
        return {key: _canonical(value) for key, value in node.items() if key not in unused}
    if isinstance(node, list):
        return [_canonical(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node
