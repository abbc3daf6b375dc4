"""Choosing settings by leaving a source out: no target takes part, neither its data nor its labels."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf

from calib.config import compose
from calib.data.split import Split, leave_one_source_out, make_task, parse_splits
from calib.errors import check_number
from calib.runs.grid import Setting, read_grid
from calib.runs.run import load, plan
from calib.runs.series import Job

RULE = (
    "the highest mean accuracy over sources left out and seeds; among equal ones the setting that changes "
    "fewest published values, then the first of the grid; a setting that lacks a run is not eligible; no "
    "target is in any of these runs, neither its data nor its labels"
)
"""How a setting is chosen."""


@dataclass(frozen=True)
class Trial:
    """What a setting reaches: source left out -> accuracy for each seed, None where it is missing."""

    setting: Setting
    accuracy: Mapping[str, Sequence[float | None]]

    @property
    def known(self) -> list[float]:
        """The accuracies that are there."""
        return [value for values in self.accuracy.values() for value in values if value is not None]

    @property
    def missing(self) -> int:
        """How many are not."""
        return sum(value is None for values in self.accuracy.values() for value in values)

    @property
    def score(self) -> float | None:
        """Their mean, which decides; None where one is missing."""
        return None if self.missing else round(mean(self.known), 9)  # or the order of a sum would break ties

    @property
    def spread(self) -> float | None:
        """Their standard deviation, over sources left out and seeds."""
        return stdev(self.known) if len(self.known) > 1 and not self.missing else None


def choose(trials: Sequence[Trial], published: Setting) -> Trial | None:
    """The trial that ``RULE`` chooses; None where no setting has all its runs."""
    scored = [
        (one.score, -len(one.setting.changes(published)), one) for one in trials if one.score is not None
    ]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None  # max takes the first


class Search:
    """The runs of a search, planned; see ``RULE``.

    Args:
        conf: the configuration folder.
        out: folder of the records.
        study, method, protocol: as on the command line.
        name: the grid, a file of ``conf/search``.
        seeds: each setting is run with every one.
        also: overrides besides, which hold for every run; they count among the published values.

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
        """The splits that are chosen for: one, or every one for ``all``.

        Raises:
            CalibError: a split does not fit the study, has one source, or one that cannot be trained on.
        """
        splits = parse_splits(text, self.study)
        for split in splits:
            leave_one_source_out(split, self.study)
            make_task(self.study, split)
        return splits

    def jobs(self, setting: Setting, split: Split) -> list[Job]:
        """The runs of a setting on a split, one a seed."""
        jobs = self._jobs.setdefault((setting.overrides, split.label), [])
        for seed in self.seeds[len(jobs) :]:
            config = self._config.copy()  # composing takes a hundred times as long
            for key, value in {"seed": seed, **setting.values}.items():
                OmegaConf.update(config, key, value)
            overrides = (*self._given, f"seed={seed}", *setting.overrides, split.override)
            run = plan(config, self.study, self._data, split)
            jobs.append(Job(overrides, " ".join(setting.overrides), run))
        return jobs

    def command(self, setting: Setting, split: Split) -> str:
        """The command line that runs a setting on a split."""
        known = [one for one in self._given if one not in ("out=outputs", "device=cpu")]
        where = split.override if ":" in split.label else f"split={split.label}"
        seeds = f"seed={','.join(map(str, self.seeds))}"
        changes = setting.changes(self.published)
        several = ["-m"] if len(self.seeds) > 1 else []
        return shlex.join(["python", "run.py", *several, *known, where, seeds, *changes])

    def inner_jobs(self, splits: Sequence[Split]) -> list[Job]:
        """The runs that choose, each once: every setting on every source left out."""
        inner = [one for split in splits for one in leave_one_source_out(split, self.study)]
        jobs = [job for split in inner for setting in self.settings for job in self.jobs(setting, split)]
        return list({job.run.record.path: job for job in jobs}.values())

    def trials(self, split: Split) -> list[Trial]:
        """What is recorded of every setting on the sources left out of a split."""
        inner = leave_one_source_out(split, self.study)
        return [
            Trial(setting, {one.targets[0]: self.accuracy(setting, one)[one.targets[0]] for one in inner})
            for setting in self.settings
        ]

    def accuracy(self, setting: Setting, split: Split) -> dict[str, list[float | None]]:
        """The recorded accuracy on each target of a split, one a seed; None where it is missing."""
        found = [job.finished for job in self.jobs(setting, split)]
        return {
            target: [None if one is None else one.result["targets"][target].get("accuracy") for one in found]
            for target in split.targets
        }
