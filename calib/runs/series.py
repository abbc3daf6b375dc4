"""Many runs at once: the series of conf/reproduce.yaml, planned run by run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from calib.config import build, compose
from calib.data.split import all_splits
from calib.data.study import Study
from calib.errors import CalibError, check_choice
from calib.records.record import Finished
from calib.runs.run import Run, load, plan

OF_METHOD = ("method.", "corrector@method.", "classifier@method.", "~tuned")
"""How overrides begin that set a method or exchange a part of it, and leave the study alone."""


@dataclass(frozen=True)
class Series:
    """Every combination of studies, methods, protocols, seeds and variants, on all splits of a study.

    ``variants`` are overrides besides the published values, "" for none.
    """

    studies: Sequence[str]
    methods: Sequence[str]
    protocols: Sequence[str]
    seeds: Sequence[int]
    variants: Sequence[str] = ("",)

    @property
    def commands(self) -> list[str]:
        """The command lines that make the runs, one a variant."""
        lists = {
            "dataset": self.studies,
            "method": self.methods,
            "protocol": self.protocols,
            "seed": self.seeds,
        }
        chosen = " ".join(f"{key}={','.join(map(str, values))}" for key, values in lists.items())
        return [f"python run.py -m split=all {chosen} {variant}".strip() for variant in self.variants]

    def narrowed(
        self,
        studies: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        protocols: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> "Series":
        """The part of it that is asked for; ``seeds`` takes the place of its own."""
        return replace(
            self,
            studies=[s for s in self.studies if studies is None or s in studies],
            methods=[m for m in self.methods if methods is None or m in methods],
            protocols=[p for p in self.protocols if protocols is None or p in protocols],
            seeds=self.seeds if seeds is None else seeds,
        )

    def __bool__(self) -> bool:
        return all((self.studies, self.methods, self.protocols, self.seeds, self.variants))


@dataclass(frozen=True)
class Job:
    """One run, the overrides that make it, and what it varies."""

    overrides: tuple[str, ...]
    variant: str
    run: Run

    @property
    def correction(self) -> tuple[object, ...] | None:
        """What runs that use the same stored correction have in common; None without one."""
        corrector: Any = getattr(self.run.method, "corrector", None)
        if not getattr(corrector, "stored", False):  # as one that sees source labels never is
            return None
        seed = self.run.config.seed if corrector.uses_seed else None
        return (
            self.run.study.name,
            self.run.config.method.name,
            self.run.data["scaling"],
            self.variant,
            seed,
        )

    @property
    def finished(self) -> Finished | None:
        """Its record, if it is there."""
        result = self.run.record.result()
        return None if result is None else Finished(self.variant, result, self.run.record.path)


def read_series(file: Path, name: str) -> list[Series]:
    """The series that ``conf/reproduce.yaml`` lists under a name, or under several joined by commas.

    Raises:
        CalibError: there is no such name.
    """
    lists = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(lists, dict)
    del lists["seconds"]  # which are no series
    chosen = name.split(",")
    for one in chosen:
        check_choice("series", one, lists)
    return [Series(**entry) for one in chosen for entry in lists[one]]


def guessed_seconds(file: Path) -> Mapping[str, Mapping[str, float]]:
    """Seconds of ``runs`` and ``corrections`` by method, and the factors of ``studies``."""
    return {kind: dict(values) for kind, values in OmegaConf.load(file).seconds.items()}


class Planner:
    """Plans runs; what it cannot plan is in ``refused``, study or run -> why."""

    def __init__(self, conf: Path, out: Path, device: str = "cpu") -> None:
        self.conf, self.out, self.device = conf, out, device
        self.refused: dict[str, str] = {}
        self._loaded: dict[tuple[str, ...], tuple[Study, dict[str, str]] | None] = {}

    def as_loaded(self) -> dict[str, Study]:
        """Every study that could be loaded, with its values as in the file, not scaled."""
        names = dict.fromkeys(key[0] for key, loaded in self._loaded.items() if loaded is not None)
        studies = [build(compose(self.conf, name).dataset) for name in names]
        return {study.name: study for study in studies}

    def jobs(self, series: Sequence[Series]) -> Iterator[Job]:
        """Every run of the series, each once, those of one method and seed together."""
        seen = set()
        for one in series:
            for study, method, variant, protocol, seed in product(
                one.studies, one.methods, one.variants, one.protocols, one.seeds
            ):
                for job in self._splits(study, method, variant, protocol, seed):
                    if job.run.record.path not in seen:
                        seen.add(job.run.record.path)
                        yield job

    def _splits(self, study: str, method: str, variant: str, protocol: str, seed: int) -> Iterator[Job]:
        chosen = (f"dataset={study}", f"method={method}", f"protocol={protocol}", f"seed={seed}")
        given = (*chosen, f"out={self.out}", f"device={self.device}", *variant.split())
        loaded = self._load(f"dataset={study}", f"protocol={protocol}", *variant.split())
        if loaded is None:
            return
        try:
            config = compose(self.conf, *given)
            for split in all_splits(loaded[0]):
                yield Job((*given, split.override), variant, plan(config, *loaded, split))
        except CalibError as error:
            self.refused[" ".join((study, method, protocol, variant)).strip()] = str(error)

    def _load(self, *overrides: str) -> tuple[Study, dict[str, str]] | None:
        """A study as the overrides prepare it, which those of a method do not touch; None if it cannot be."""
        wanted = tuple(o for o in overrides if not o.startswith(OF_METHOD))
        if wanted not in self._loaded:
            try:
                self._loaded[wanted] = load(compose(self.conf, *wanted))
            except CalibError as error:
                self._loaded[wanted] = None
                self.refused[wanted[0].removeprefix("dataset=")] = str(error)
        return self._loaded[wanted]


@dataclass(frozen=True)
class Scheduled:
    """A run that is to be made, and the seconds that it will take on one core."""

    job: Job
    seconds: float


def schedule(jobs: Sequence[Job], guesses: Mapping[str, Mapping[str, float]]) -> list[Scheduled]:
    """The runs that have no record, the longest first, makers of stored corrections before all others.

    So no worker waits for a correction that another one makes, and no long run is left for the end.
    Seconds are the mean of finished runs of the same method and study, of the same variant if there are
    any; else what ``guesses`` says for the method in ``runs`` and ``corrections``, times the study's share.
    """
    runs: dict[tuple[str, ...], list[float]] = {}
    corrections: dict[tuple[str, ...], list[float]] = {}
    missing, made = [], set()
    for job in jobs:
        done = job.finished
        if done is None:
            missing.append(job)
            continue
        made.add(job.correction)
        correction = (done.result["correction"] or {}).get("seconds", 0.0)
        total = done.result["seconds"]["total"]
        for key in (_key(job), _key(job)[:2]):
            runs.setdefault(key, []).append(total - correction if total > correction else total)
            corrections.setdefault(key, []).append(correction)
    makers, users = [], []
    for job in missing:
        share = guesses["studies"].get(job.run.study.name, 1.0)
        seconds = _mean(runs, job, guesses["runs"], otherwise=30, share=share)
        if job.correction is None or job.correction in made:
            users.append(Scheduled(job, seconds))
        else:
            made.add(job.correction)
            seconds += _mean(corrections, job, guesses["corrections"], otherwise=0, share=share)
            makers.append(Scheduled(job, seconds))
    return [one for part in (makers, users) for one in sorted(part, key=lambda s: -s.seconds)]


SMALL = 500
"""Most features times batches of a study whose seeds are trained together. In larger ones matrix products
take so much of the time that it gains nothing on a processor (docs/performance.md)."""


def together(scheduled: Sequence[Scheduled]) -> list[list[Scheduled]]:
    """Runs that one training makes: those that differ in their seed only, where it can be done and pays."""
    groups: dict[object, list[Scheduled]] = {}
    for one in scheduled:
        alike = [o for o in one.job.overrides if not o.startswith("seed=")]
        run = one.job.run
        small = len(run.study.features) * len(run.study.batches) <= SMALL
        batched = small and run.method.trains_seeds_together
        groups.setdefault(tuple(alike) if batched else run.record.path, []).append(one)
    return list(groups.values())


def overrides(group: Sequence[Scheduled]) -> list[str]:
    """The overrides that make all runs of a group."""
    first, *others = [one.job for one in group]
    if not others:
        return list(first.overrides)
    seeds = ",".join(str(one.job.run.config.seed) for one in group)
    return [*(o for o in first.overrides if not o.startswith("seed=")), f"seed='{seeds}'", "batch_seeds=true"]


def _key(job: Job) -> tuple[str, str, str]:
    return str(job.run.config.method.name), job.run.study.name, job.variant


def _mean(
    times: Mapping[tuple[str, ...], Sequence[float]],
    job: Job,
    guesses: Mapping[str, float],
    otherwise: float,
    share: float,
) -> float:
    method, study, _ = _key(job)
    for known in (times.get(_key(job)), times.get((method, study))):
        if known:
            return sum(known) / len(known)
    return guesses.get(method, otherwise) * share
