"""A grid search for settings: each source is left out in turn, and no target takes part."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from json import dumps
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from calib.config import compose
from calib.data.split import Split, leave_one_source_out, make_task, parse_splits
from calib.errors import CalibError, check_choice, check_number
from calib.runs.planner import Job
from calib.runs.run import load, make_run

RULE = (
    "the highest mean accuracy over sources left out and seeds; among equal ones the setting that changes "
    "fewest published values, then the first of the grid; a setting that lacks a run is not eligible; no "
    "target is in any of these runs, neither its data nor its labels"
)
"""The rule that chooses a setting, as a sentence for reports."""

ABSENT = "absent"


@dataclass(frozen=True)
class Setting:
    """Values of some of a method's settings, by key, such as ``method.beta``."""

    values: Mapping[str, Any]

    @property
    def overrides(self) -> tuple[str, ...]:
        """Return the overrides that set all the values."""
        return tuple(f"{key}={_text(value)}" for key, value in self.values.items())

    def changes(self, published: "Setting") -> list[str]:
        """Return the overrides of the values that differ from the published ones."""
        pairs = zip(self.values.items(), self.overrides, strict=True)
        return [override for (key, value), override in pairs if value != published.values[key]]


@dataclass(frozen=True)
class Trial:
    """A setting and its accuracies: source left out -> accuracy for each seed, None for a missing run."""

    setting: Setting
    accuracy: Mapping[str, Sequence[float | None]]

    @property
    def known(self) -> list[float]:
        """Return the accuracies of the finished runs."""
        return [value for values in self.accuracy.values() for value in values if value is not None]

    @property
    def missing(self) -> int:
        """Return the number of runs without a record."""
        return sum(value is None for values in self.accuracy.values() for value in values)

    @property
    def score(self) -> float | None:
        """Return the mean accuracy, which decides; None if a run is missing."""
        return None if self.missing else round(mean(self.known), 9)  # the order of a sum must not break ties

    @property
    def spread(self) -> float | None:
        """Return the standard deviation over sources left out and seeds; None if a run is missing."""
        return stdev(self.known) if len(self.known) > 1 and not self.missing else None


def choose(trials: Sequence[Trial], published: Setting) -> Trial | None:
    """Return the trial that ``RULE`` chooses; None if every setting lacks a run."""
    scored = [(t.score, -len(t.setting.changes(published)), t) for t in trials if t.score is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None  # max returns the first of equals


class Search:
    """All runs of a search, planned; ``RULE`` chooses among them.

    Args:
        conf: the configuration folder.
        out: folder of the records.
        study, method, protocol: names, as on the command line.
        name: name of the grid, a file of ``conf/search``.
        seeds: seeds that each setting is run with.
        device: where the runs compute.
        also: further overrides of every run; they count among the published values.

    Raises:
        CalibError, HydraException: a name is unknown, or a setting or file is wrong.
    """

    def __init__(
        self,
        conf: Path,
        out: Path,
        study: str,
        method: str,
        protocol: str,
        name: str,
        seeds: Sequence[int] = (0,),
        device: str = "cpu",
        also: Sequence[str] = (),
    ) -> None:
        for seed in seeds:
            check_number("seed", seed, least=0, whole=True)
        self.name, self.method, self.protocol = name, method, protocol
        self.seeds = tuple(dict.fromkeys(seeds))
        places = (f"out={out}", f"device={device}")
        self._given = (f"dataset={study}", f"method={method}", f"protocol={protocol}", *also, *places)
        self._jobs: dict[tuple[object, ...], list[Job]] = {}
        self._config = compose(conf, *self._given)
        self.study, self._data = load(self._config)
        by_genes = "genes" in self._config.dataset
        self.note = " The study's genes were chosen before, on all its batches, without labels." * by_genes
        self.settings, self.published = read_grid(conf, name, self._given)

    def splits(self, text: str) -> list[Split]:
        """Return the splits that settings are chosen for: the named one, or every one for ``all``.

        Raises:
            CalibError: a split does not fit the study, has one source, or cannot be trained on.
        """
        splits = parse_splits(text, self.study)
        for split in splits:
            leave_one_source_out(split, self.study)
            make_task(self.study, split)
        return splits

    def jobs(self, setting: Setting, split: Split) -> list[Job]:
        """Return the runs of a setting on a split, one for each seed."""
        jobs = self._jobs.setdefault((setting.overrides, split.label), [])
        for seed in self.seeds[len(jobs) :]:
            config = self._config.copy()  # to compose it anew takes a hundred times as long
            for key, value in {"seed": seed, **setting.values}.items():
                OmegaConf.update(config, key, value)
            overrides = (*self._given, f"seed={seed}", *setting.overrides, split.override)
            run = make_run(config, self.study, self._data, split)
            jobs.append(Job(overrides, " ".join(setting.overrides), run))
        return jobs

    def command(self, setting: Setting, split: Split) -> str:
        """Return the command line that runs a setting on a split."""
        given = [override for override in self._given if override not in ("out=outputs", "device=cpu")]
        where = split.override if ":" in split.label else f"split={split.label}"
        seeds = f"seed={','.join(map(str, self.seeds))}"
        changes = setting.changes(self.published)
        multirun = ["-m"] if len(self.seeds) > 1 else []
        return shlex.join(["python", "run.py", *multirun, *given, where, seeds, *changes])

    def inner_jobs(self, splits: Sequence[Split]) -> list[Job]:
        """Return the runs that decide, each once: every setting on every source left out."""
        inner = [part for split in splits for part in leave_one_source_out(split, self.study)]
        jobs = [job for split in inner for setting in self.settings for job in self.jobs(setting, split)]
        return list({job.run.record.path: job for job in jobs}.values())

    def trials(self, split: Split) -> list[Trial]:
        """Return the recorded accuracy of every setting on the sources left out of a split."""
        inner = leave_one_source_out(split, self.study)
        return [
            Trial(
                setting, {name: values for i in inner for name, values in self.accuracy(setting, i).items()}
            )
            for setting in self.settings
        ]

    def accuracy(self, setting: Setting, split: Split) -> dict[str, list[float | None]]:
        """Return the recorded accuracy on each target of a split, for each seed; None for a missing run."""
        records = [job.finished for job in self.jobs(setting, split)]
        return {
            target: [None if r is None else r.result["targets"][target].get("accuracy") for r in records]
            for target in split.targets
        }


def read_grid(conf: Path, name: str, given: Sequence[str]) -> tuple[list[Setting], Setting]:
    """Return the settings that ``conf/search/<name>.yaml`` lists, in Hydra's order, and the published one.

    The published setting is added at the end of the list if the grid lacks it.

    Args:
        conf: the configuration folder.
        name: name of the grid.
        given: overrides of all runs: study, method, protocol and others.

    Raises:
        CalibError: there is no such file, or it varies a setting that the method does not have.
    """
    check_choice("search", name, sorted(file.stem for file in (conf / "search").glob("*.yaml")))
    file = OmegaConf.to_container(OmegaConf.load(conf / "search" / f"{name}.yaml"))
    assert isinstance(file, dict)
    params = file.pop("hydra", {}).get("sweeper", {}).get("params", {})
    if not params:
        raise CalibError(f"conf/search/{name}.yaml lists no values below hydra.sweeper.params.")
    keys = sorted({*params, *_leaves(file)})  # the file's own keys follow a varied one
    config = compose(conf, *given)
    for key in keys:
        if not key.startswith("method."):
            raise CalibError(
                f"conf/search/{name}.yaml varies {key}; only settings of a method can be chosen."
            )
        if OmegaConf.select(config, key, default=ABSENT) == ABSENT:
            raise CalibError(
                f"search={name} varies {key}, which method={config.method.name} does not have; "
                "choose another method, or write a grid for it in conf/search/."
            )
    published = _values(config, keys)
    tied = compose(conf, *given, f"+search={name}")
    settings = [
        _values(OmegaConf.merge(tied, OmegaConf.from_dotlist(list(chosen))), keys)
        for chosen in _products(params)
    ]
    return [*settings, *([] if published in settings else [published])], published


def _products(params: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Return every combination of the lists as overrides, in the order of Hydra's own sweeper."""
    lists = []
    parsed = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()])
    for override in parsed:
        key = override.get_key_element()
        sweeps = override.is_sweep_override()
        values = override.sweep_string_iterator() if sweeps else [override.get_value_element_as_str()]
        lists.append([f"{key}={value}" for value in values])
    return product(*lists)


def _values(config: DictConfig | ListConfig, keys: Sequence[str]) -> Setting:
    """Return the values that a configuration has for the keys."""
    return Setting({key: OmegaConf.select(config, key) for key in keys})


def _leaves(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value in nested dictionaries."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _text(value: Any) -> str:
    """Return a value as an override spells it."""
    return value if isinstance(value, str) else dumps(value)
