"""Series of runs: the lists of conf/reproduce.yaml, and the runs that they stand for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.config import build, compose
from calib.data.split import all_splits
from calib.data.study import Study
from calib.errors import CalibError, check_choice
from calib.records.record import Finished
from calib.runs.run import Run, load, plan

PLAN = "reproduce.yaml"
"""File of the configuration folder that lists the series."""

VARIANTS = "variants"
"""Key of that file for the named variants."""

KEYS = ("dataset", "method", "protocol", "seed")


@dataclass(frozen=True)
class Series:
    """Runs of every combination of studies, methods, protocols, seeds and variants, on all splits.

    Attributes:
        studies, methods, protocols, seeds: as on the command line.
        variants: what each variant sets beside the published values, as words between spaces: names of
            conf/reproduce.yaml or overrides; "" for nothing.
        name: name of the list in conf/reproduce.yaml.
        walk: name of the walk whose steps the variants are; "" if they are no walk.
        options: the option that each step of the walk sets.
        end: protocol of the walk's last step; "" if the walk has no such step.
    """

    studies: Sequence[str]
    methods: Sequence[str]
    protocols: Sequence[str] = ("paper",)
    seeds: Sequence[int] = (0,)
    variants: Sequence[str] = ("",)
    name: str = ""
    walk: str = ""
    options: Sequence[str] = ()
    end: str = ""

    def commands(self, names: Mapping[str, str]) -> list[str]:
        """Return the command lines that make the runs, one for each variant.

        Args:
            names: name of a variant -> its overrides (``read_variants``).
        """
        lists = zip(KEYS, (self.studies, self.methods, self.protocols, self.seeds), strict=True)
        chosen = " ".join(f"{key}={','.join(map(str, values))}" for key, values in lists)
        variants = [" ".join(expand(variant, names)) for variant in self.variants]
        return [f"python run.py -m split=all {chosen} {variant}".strip() for variant in variants]

    def narrowed(
        self,
        studies: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        protocols: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> "Series":
        """Return the series with the chosen studies, methods and protocols only, and with these seeds."""
        return replace(
            self,
            studies=[s for s in self.studies if studies is None or s in studies],
            methods=[m for m in self.methods if methods is None or m in methods],
            protocols=[p for p in self.protocols if protocols is None or p in protocols],
            seeds=self.seeds if seeds is None else seeds,
            end=self.end if protocols is None or self.end in protocols else "",
        )

    def __bool__(self) -> bool:
        """Return whether the series has any run."""
        return all((self.studies, self.methods, self.protocols, self.seeds, self.variants))


@dataclass(frozen=True)
class Place:
    """A step of a walk: the walk's name, the number of the step, and the option that it sets."""

    walk: str
    step: int
    option: str


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

    @property
    def correction(self) -> tuple[object, ...] | None:
        """Return the values that runs with the same stored correction share; None without a correction."""
        corrector: Any = getattr(self.run.method, "corrector", None)
        if not getattr(corrector, "stored", False):  # a correction with source labels is never stored
            return None
        config, scaling = self.run.config, self.run.data["scaling"]
        seed = config.seed if corrector.uses_seed else None
        return self.run.study.name, config.method.name, scaling, self.variant, seed

    @property
    def finished(self) -> Finished | None:
        """Return the record, or None if there is none."""
        walks = tuple(dict.fromkeys(place.walk for place in self.places))
        result = self.run.record.result()
        return None if result is None else Finished(self.variant, result, self.run.record.path, walks)


def read_variants(file: Path) -> dict[str, str]:
    """Return the overrides of every named variant of a plan, by name."""
    return {str(name): str(text) for name, text in _contents(file)[VARIANTS].items()}


def read_series(file: Path, names: str) -> list[Series]:
    """Return the series that a plan lists under a name, or under several joined by commas.

    Raises:
        CalibError: there is no such name.
    """
    lists = _contents(file)
    del lists[VARIANTS]
    chosen = names.split(",")
    for name in chosen:
        check_choice("series", name, lists)
    return [_series(name, entry) for name in chosen for entry in lists[name]]


def _contents(file: Path) -> dict[str, Any]:
    """Return the content of a plan's file."""
    contents = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(contents, dict)
    return {str(key): value for key, value in contents.items()}


def _series(name: str, entry: Mapping[str, Any]) -> Series:
    """Return an entry of the plan as a series, with its variants written out."""
    fields = dict(entry)
    common, adding, single = fields.pop("with", ""), fields.pop("adding", None), fields.pop("single", None)
    if adding is not None:
        fields["options"] = ["", *adding]
        fields["variants"] = list(accumulate(fields["options"], lambda before, option: f"{before} {option}"))
    elif single is not None:
        fields["options"] = fields["variants"] = list(single)
    variants = [f"{common} {variant}".strip() for variant in fields.pop("variants", [""])]
    return Series(**fields, variants=variants, name=name)


def expand(variant: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the overrides that a variant's words stand for.

    Raises:
        CalibError: a word is neither a name nor an override.
    """
    overrides: list[str] = []
    for word in variant.split():
        if word not in names and "=" not in word:
            check_choice("variant", word, names)
        overrides += names.get(word, word).split()
    return tuple(overrides)


class Planner:
    """Plans the runs of series; ``refused`` maps each study or run that cannot be planned to the reason."""

    def __init__(self, conf: Path, out: Path, device: str = "cpu") -> None:
        self.conf, self.out, self.device = conf, out, device
        self.names = read_variants(conf / PLAN)
        self.refused: dict[str, str] = {}
        self._loaded: dict[str, tuple[Study, dict[str, str]] | None] = {}
        self._studies: dict[str, None] = {}

    def as_loaded(self) -> dict[str, Study]:
        """Return every study that could be loaded, by name, with its values as in the file, not scaled."""
        studies = [build(compose(self.conf, f"dataset={name}").dataset) for name in self._studies]
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
            config = compose(self.conf, *given, *where)
            loaded = self._load(study, config)
            if loaded is None:
                return
            for seed, split in product(series.seeds, all_splits(loaded[0])):
                seeded = OmegaConf.merge(
                    config, {"seed": seed}
                )  # to compose it takes a hundred times as long
                assert isinstance(seeded, DictConfig)
                overrides = (*given, f"seed={seed}", *where, split.override)
                yield Job(overrides, variant, plan(seeded, *loaded, split), (series.name,), places)
        except CalibError as error:
            self.refused[" ".join((study, method, protocol, variant)).strip()] = str(error)

    def _load(self, name: str, config: DictConfig) -> tuple[Study, dict[str, str]] | None:
        """Return a study, scaled as the protocol says, and its checksums; None if it cannot be loaded."""
        scaling = (config.protocol.transform, config.protocol.batch_scale, config.dtype)
        wanted = f"{OmegaConf.to_yaml(config.dataset, resolve=True)}{scaling}"
        if wanted not in self._loaded:
            try:
                self._loaded[wanted] = load(config)
                self._studies[name] = None
            except CalibError as error:
                self._loaded[wanted] = None
                self.refused[name] = str(error)
        return self._loaded[wanted]
