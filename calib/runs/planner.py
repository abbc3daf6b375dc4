"""Planning the runs of series: every run once, with its names in the plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.split import Split, all_splits
from calib.data.study import Study
from calib.errors import CalibError, UnreachableError
from calib.files import short_hash
from calib.records.corrections import description
from calib.records.record import Finished
from calib.runs.compositions import compositions
from calib.runs.kept import has_all
from calib.runs.run import Run, load, make_runs, mix_of, of_split
from calib.runs.series import PLAN, Place, Series, expand, read_variants


@dataclass(frozen=True)
class Job:
    """A planned run and its names in the plan.

    Attributes:
        overrides: overrides that make the run.
        variant: words of the plan that say what is set beside the published values; "" for nothing.
        run: the run and its key.
        series: names of the lists in conf/reproduce.yaml that have the run.
        places: steps of walks that use the run.
    """

    overrides: tuple[str, ...]
    variant: str
    run: Run
    series: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        return f"{self.run} {self.variant}".strip()

    @property
    def correction(self) -> tuple[object, ...] | None:
        """Return the values that runs with the same stored correction share; None without a correction."""
        corrector: Any = getattr(self.run.method, "corrector", None)
        if not getattr(corrector, "stored", False):  # a correction with source labels is never stored
            return None
        seed = self.run.config.seed if corrector.uses_seed else None
        return self.run.study.name, short_hash(description(corrector)), tuple(self.run.data.values()), seed

    @property
    def finished(self) -> Finished | None:
        """Return the record, or None if there is none."""
        result = self.run.record.result()
        return None if result is None or not has_all(result, self.run) else self.named(result)

    def named(self, result: Mapping[str, Any]) -> Finished:
        """Return a result of the run with its names in the plan."""
        walks = tuple(dict.fromkeys(place.walk for place in self.places))
        return Finished(self.variant, result, self.run.record.path, walks, self.series)


Loaded = tuple[Study, dict[str, str]]
Drawn = tuple[Study, dict[str, str], Split]
"""A study, scaled as the protocol says, and ``Run.data``."""


class Planner:
    """Plans the runs of series.

    Attributes:
        refused: study or run that cannot be planned -> the reason.
        unreachable: study whose files are neither here nor can be downloaded -> the reason.
        datasets: the settings of every study that was to be loaded.

    Args:
        conf: folder of the configuration.
        out: folder of the records.
        device: device of the runs.
        load: returns a configured study and ``Run.data``, from the study's files or from an archive.
    """

    def __init__(
        self,
        conf: Path,
        out: Path,
        device: str = "cpu",
        load: Callable[[DictConfig], tuple[Study, dict[str, str]]] = load,
    ) -> None:
        self.conf, self.out, self.device, self.load = conf, out, device, load
        self.names = read_variants(conf / PLAN)
        self._compositions = compositions(conf)
        self.refused: dict[str, str] = {}
        self.unreachable: dict[str, str] = {}
        self._loaded: dict[str, Loaded | None] = {}
        self._drawn: dict[str, Drawn] = {}
        self._studies: dict[str, None] = {}
        self.datasets: list[DictConfig] = []

    def as_loaded(self) -> dict[str, Study]:
        """Return every study that could be loaded, by name, with its values as in the file, not scaled."""
        composed = (self._compositions.compose(f"dataset={name}") for name in self._studies)
        studies = [build(config.dataset) for config in composed]
        return {study.name: study for study in studies}

    def jobs(self, series: Sequence[Series]) -> list[Job]:
        """Return every run of the series once, with all its places in walks."""
        planned: dict[Path, Job] = {}
        for entry in series:
            for job in self._of_series(entry):
                known = planned.setdefault(job.run.record.path, job)
                names = tuple(dict.fromkeys((*known.series, *job.series)))
                places = tuple(dict.fromkeys((*known.places, *job.places)))
                planned[job.run.record.path] = replace(known, series=names, places=places)
        return list(planned.values())

    def _of_series(self, series: Series) -> Iterator[Job]:
        """Yield the runs of one series."""
        options = series.options or series.variants
        steps = list(enumerate(zip(series.variants, options, strict=True)))
        for study, method, (step, (variant, option)), protocol in product(
            series.studies, series.methods, steps, series.protocols
        ):
            place = (Place(series.walk, step, option),) if series.walk else ()
            yield from self._splits(study, method, variant, protocol, series, place)
        for study, method in product(series.studies, series.methods) if series.end else ():
            place = (Place(series.walk, len(steps), ""),)
            yield from self._splits(study, method, series.variants[0], series.end, series, place)

    def _splits(
        self, study: str, method: str, variant: str, protocol: str, series: Series, places: tuple[Place, ...]
    ) -> Iterator[Job]:
        """Yield the runs of every seed and split; nothing if they cannot be planned."""
        given = (f"dataset={study}", f"method={method}", f"protocol={protocol}")
        where = (f"out={self.out}", f"device={self.device}", *expand(variant, self.names))
        try:
            config = self._compositions.compose(*given, *where)
            loaded = self._load(study, config)
            if loaded is None:
                return
            splits = all_splits(loaded[0])
            for run in self._runs(config, loaded, series.seeds, splits):
                overrides = (*given, f"seed={run.config.seed}", *where, run.split.override)
                yield Job(overrides, variant, run, (series.name,), places)
        except CalibError as error:
            self.refused[" ".join((study, method, protocol, variant)).strip()] = str(error)

    def _runs(
        self, config: DictConfig, loaded: Loaded, seeds: Sequence[int], splits: Sequence[Split]
    ) -> Iterator[Run]:
        """Yield the runs of these seeds and splits, each split on its own draw where ``mix`` asks for one."""
        if not mix_of(config).draws:
            yield from make_runs(config, *loaded, seeds, splits)
            return
        for split in splits:
            settings = (config.dataset, config.mix, config.protocol.transform, config.protocol.batch_scale)
            wanted = f"{settings}{config.dtype}{split.label}"
            if wanted not in self._drawn:
                self._drawn[wanted] = of_split(config, *loaded, split)
            study, data, parts = self._drawn[wanted]
            yield from make_runs(config, study, data, seeds, [parts])

    def _load(self, name: str, config: DictConfig) -> Loaded | None:
        """Return a study, scaled as the protocol says, and its checksums; None if it cannot be loaded."""
        scaling = (config.protocol.transform, config.protocol.batch_scale, config.dtype)
        wanted = f"{OmegaConf.to_yaml(config.dataset, resolve=True)}{scaling}"
        if wanted not in self._loaded:
            self.datasets.append(config.dataset)
            try:
                self._loaded[wanted] = self.load(config)
                self._studies[name] = None
            except CalibError as error:
                self._loaded[wanted] = None
                reasons = self.unreachable if isinstance(error, UnreachableError) else self.refused
                reasons[name] = str(error)
        return self._loaded[wanted]
