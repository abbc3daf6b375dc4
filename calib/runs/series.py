"""Series of runs: the lists of conf/reproduce.yaml, and the runs that they stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from calib.errors import CalibError, check_choice

PLAN = "reproduce.yaml"
"""File of the configuration folder that lists the series."""

ZOO = "zoo.yaml"
"""File of the configuration folder that divides the public studies."""

LISTS = ("studies", "methods", "protocols", "seeds", "variants", "adding", "single")
WORDS = ("with", "walk", "end")
"""Keys of an entry that hold a list, and those that hold a text."""

STEPS = ("adding", "single", "end")
"""Keys of an entry that make steps of a walk."""

ARCHIVED = "paper,readings,notes,attribution,choice,ablation,beyond,named,growth,trust,zoo,zoo_slow"
"""The lists whose runs are archived: not the demo's, nor those that draw targets, as that takes the data."""

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


def public_studies(conf: Path) -> dict[str, str]:
    """Return the public studies of conf/zoo.yaml: name -> ``development`` or ``confirmation``."""
    parts = OmegaConf.load(conf / ZOO)
    return {str(name): str(part) for part, names in parts.items() for name in names}


def _contents(file: Path) -> dict[str, Any]:
    """Return the content of a plan's file."""
    return dict(_parsed(file.read_text(encoding="utf-8")))


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Return what the text of a plan says; it is long, and asked for twice."""
    contents = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(contents, dict)
    return {str(key): value for key, value in contents.items()}


def _series(name: str, entry: Mapping[str, Any]) -> Series:
    """Return an entry of the plan as a series, with its variants written out.

    Raises:
        CalibError: the entry has an unknown key, a value of another kind, or steps without the walk's name.
    """
    _check_entry(name, entry)
    fields = dict(entry)
    common, adding, single = fields.pop("with", ""), fields.pop("adding", None), fields.pop("single", None)
    if adding is not None:
        fields["options"] = ["", *adding]
        fields["variants"] = list(accumulate(fields["options"], lambda before, option: f"{before} {option}"))
    elif single is not None:
        fields["options"] = fields["variants"] = list(single)
    variants = [f"{common} {variant}".strip() for variant in fields.pop("variants", [""])]
    return Series(**fields, variants=variants, name=name)


def _check_entry(name: str, entry: object) -> None:
    """Raise CalibError unless an entry of the plan can be read."""
    if not isinstance(entry, Mapping):
        raise CalibError(f"An entry of '{name}' in conf/{PLAN} is no table of keys: {entry}.")
    for key, value in entry.items():
        check_choice(f"Key of an entry of '{name}' in conf/{PLAN}", key, (*LISTS, *WORDS))
        if key in LISTS and not isinstance(value, list):
            raise CalibError(f"{key}: {value} of '{name}' in conf/{PLAN} must be a list, as in [{value}].")
    if steps := [key for key in STEPS if key in entry]:
        if "walk" not in entry:
            raise CalibError(f"{steps[0]}: of '{name}' in conf/{PLAN} needs the walk's name, walk: <name>.")
        if "variants" in entry:
            raise CalibError(f"An entry of '{name}' in conf/{PLAN} has variants: and {steps[0]}:; keep one.")


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
