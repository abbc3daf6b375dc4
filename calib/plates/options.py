"""What ``calib answer`` and ``calib check`` are asked: files, columns, settings and choices.

A word with ``=`` is a setting. ``batch=plate`` stands for ``dataset.batch=plate``, and so each setting of a
study. A setting with a dot (``protocol.transform=log2``) or of the root (``device=cuda``) is as in
``calib run``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from calib.data.settings import literal
from calib.errors import CalibError, nearest
from calib.files import safe_name
from calib.registry import CONF

OWN = {
    "methods": "fast (thirteen), all, or names between commas",
    "out": "folder of everything that is written; default answers/<name of the study>",
    "error": "share of errors that is allowed among the answers; 0.1 unless set",
    "miss": "share of sets of classes that may miss the true one; 0.1 unless set",
    "prevalence": "share of the positive class where calls are used, or several between commas",
    "features": "names or patterns of the feature columns",
    "why": "whether to find the features that carry the answer: true or false",
    "jobs": "runs at once; default one a core",
    "config_dir": "folder with dataset/<name>.yaml, for dataset=<name>",
}
"""Option -> what it does, of those that are no settings of a study."""

ROOT = ("dataset", "device", "dtype", "seed", "threads", "progress", "protocol", "training", "force")
"""Settings of the root of the configuration that may be given."""

TABLE, H5AD, ARRAYS = "table", "h5ad", "arrays"
KINDS = {".h5ad": H5AD, ".rda": H5AD, ".rdata": H5AD, ".npz": ARRAYS}
"""Ending of a file -> the file of ``conf/dataset`` that reads it; all others are tables."""

FLAGS = ("--strict", "--json")

CHECK = "calib check"
LOOKING = {"out", "features", "config_dir", "dataset"}
"""Options that have an effect on ``calib check``."""

NEEDED = {"batch": "plate (batch=null: every file is one)", "label": "diagnosis"}
"""Settings of a table that have to be given -> what their columns hold."""


@dataclass(frozen=True)
class Request:
    """What a person asks of plates.

    Attributes:
        overrides: overrides of the configuration that say how the study is read.
        settings: overrides that say how runs are made: of the root, the protocol or a method.
        name: name of the study.
        methods: ``fast``, ``all`` or names between commas.
        out: folder of everything that is written; None: ``answers/<name>``.
        error, miss: shares of errors among answers, and of sets without the true class, that are allowed.
        prevalences: shares of the positive class where calls are used; empty: that of the labelled plates.
        why: whether to find the features that carry the answer.
        jobs: runs at once; None: one a core.
        strict: whether a serious finding of the design is an error.
        json: whether to print for programs.
        command: the command line that asks for the same.
    """

    overrides: tuple[str, ...]
    name: str
    settings: tuple[str, ...] = ()
    methods: str = "fast"
    out: Path | None = None
    error: float = 0.1
    miss: float = 0.1
    prevalences: tuple[float, ...] = ()
    why: bool = True
    jobs: int | None = None
    strict: bool = False
    json: bool = False
    command: str = ""

    @property
    def folder(self) -> Path:
        """Return the folder of everything that is written."""
        return self.out or Path("answers") / safe_name(self.name)

    @property
    def seed(self) -> int:
        """Return the seed."""
        given = [word.partition("=")[2] for word in self.settings if word.startswith("seed=")]
        return int(given[-1]) if given else 0


@dataclass
class _Words:
    """The words of a command line by their kind."""

    files: list[str] = field(default_factory=list)
    study: dict[str, str] = field(default_factory=dict)
    settings: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)


def parse(words: Sequence[str], command: str) -> Request:
    """Return what the words of a command line ask for.

    Raises:
        CalibError: a word is no file and no setting, or has a value that cannot be.
    """
    flags = [word for word in words if word.startswith("-")]
    for flag in flags:
        if flag not in FLAGS:
            raise CalibError(f"There is no flag {flag}{nearest(flag, FLAGS)} See {command} --help.")
    found = _sorted([word for word in words if not word.startswith("-")], command)
    if command == CHECK and (useless := sorted(set(found.own) - LOOKING)):
        raise CalibError(
            f"{useless[0]}= has no effect on {command}, which trains nothing; calib answer does."
        )
    named = found.study.pop("name", None)
    kind, overrides, name = _study(found, named, command)
    known = study_settings(kind)
    for key, value in found.study.items():
        if key not in known:
            raise CalibError(
                f"{key}={value} is no setting of {command}{nearest(key, [*known, *OWN, *ROOT])} "
                f"See {command} --help."
            )
        overrides.append(f"dataset.{key}={_readable(value)}")
    own = found.own
    request = Request(
        overrides=tuple(overrides),
        name=name,
        settings=tuple(found.settings),
        methods=own.get("methods", "fast"),
        out=Path(own["out"]) if "out" in own else None,
        error=_share("error", own.get("error", "0.1")),
        miss=_share("miss", own.get("miss", "0.1")),
        prevalences=tuple(_share("prevalence", p) for p in own.get("prevalence", "").split(",") if p),
        why=_flag("why", own.get("why", "true")),
        jobs=_number("jobs", own["jobs"]) if "jobs" in own else None,
        strict="--strict" in flags,
        json="--json" in flags,
        command=" ".join([command, *map(for_shell, words)]),
    )
    if found.files and kind != ARRAYS and (lacking := [key for key in NEEDED if key not in found.study]):
        raise CalibError(
            f"Say which column holds the {' and which the '.join(NEEDED[key] for key in lacking)}: "
            f"{' '.join(f'{key}=<column>' for key in lacking)}."
        )
    return request


def _sorted(words: Sequence[str], command: str) -> _Words:
    """Return words by their kind.

    Raises:
        CalibError: a word is an option twice.
    """
    found = _Words()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[+~]*[\w.@/]+", key) or Path(word).is_file():
            found.files.append(word)
        elif key == "features" or (key not in OWN and key not in ROOT and not re.search(r"[.@]", key)):
            _once(found.study, key, value, command)
        elif key.startswith("dataset."):
            _once(found.study, key.removeprefix("dataset."), value, command)
        elif key in OWN or key == "dataset":
            _once(found.own, key, value, command)
        else:
            found.settings.append(word)
    return found


def _once(held: dict[str, str], key: str, value: str, command: str) -> None:
    if key in held:
        raise CalibError(f"{command}: {key}= is given twice, '{held[key]}' and '{value}'; give it once.")
    held[key] = value


def _study(found: _Words, named: str | None, command: str) -> tuple[str, list[str], str]:
    """Return the kind of the study, the overrides that name it and its files, and its name.

    Raises:
        CalibError: there is neither a file nor a study, or both, or files of several kinds.
    """
    dataset = found.own.pop("dataset", None)
    folder = found.own.pop("config_dir", None)
    search = [f"hydra.searchpath=['file://{_quoted(str(Path(folder).resolve()))}']"] if folder else []
    if dataset is not None and found.files:
        raise CalibError(f"{command} got dataset={dataset} and the file {found.files[0]}; give one of them.")
    if dataset is not None:
        return dataset, [*search, f"dataset={dataset}"], named or dataset
    if not found.files:
        raise CalibError(
            f"{command} needs a file, such as: {command} cohort.csv batch=plate label=diagnosis. See "
            f"{command} --help."
        )
    for file in found.files:
        if not Path(file).expanduser().is_file():
            beside = [one.name for one in Path(file).expanduser().parent.glob("*") if one.is_file()]
            raise CalibError(
                f"There is no file {file}{nearest(Path(file).name, beside)} A setting is written key=value."
            )
    kinds = {KINDS.get(Path(file.removesuffix(".gz")).suffix.lower(), TABLE) for file in found.files}
    if len(kinds) > 1:
        raise CalibError(f"Files of several kinds cannot be one study: {', '.join(found.files)}.")
    kind = kinds.pop()
    name = named or Path(found.files[0].removesuffix(".gz")).stem
    paths = [f"'{_quoted(literal(str(Path(file).expanduser().resolve())))}'" for file in found.files]
    path = paths[0] if len(paths) == 1 else f"[{','.join(paths)}]"
    return kind, [f"dataset={kind}", f"dataset.name='{_quoted(literal(name))}'", f"dataset.path={path}"], name


def study_settings(kind: str) -> list[str]:
    """Return the settings of a kind of study."""
    file = CONF / "dataset" / f"{kind}.yaml"
    if not file.is_file():  # of the user's own folder, which says itself what it reads
        kind = TABLE
    keys = [str(key) for key in OmegaConf.load(CONF / "dataset" / f"{kind}.yaml")]
    return [key for key in keys if not key.startswith("_") and key not in ("defaults", "path")]


def _readable(value: str) -> str:
    """Return a value of a study's setting as Hydra reads it: names get quotes, lists and numbers stay."""
    if re.fullmatch(r"\[.*\]|\{.*\}|null|true|false|-?\d+(\.\d+)?|'.*'|\".*\"", value):
        return value
    if "," in value:
        return f"[{','.join(_readable(part.strip()) for part in value.split(','))}]"
    return f"'{_quoted(literal(value))}'"


def _quoted(text: str) -> str:
    """Return a text as it stands between single quotes for Hydra."""
    return re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), text)


def for_shell(word: str) -> str:
    """Return a word as a shell takes it."""
    return word if re.fullmatch(r"[\w./=:,+@%-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _share(key: str, text: str) -> float:
    """Return a share between 0 and 1.

    Raises:
        CalibError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1:
        raise CalibError(f"{key}={text} is no share between 0 and 1, such as 0.1.")
    return value


def _number(key: str, text: str) -> int:
    """Return a whole number above 0.

    Raises:
        CalibError: the text is none.
    """
    if not (text.isdigit() and int(text)):
        raise CalibError(f"{key}={text} is no whole number above 0.")
    return int(text)


def _flag(key: str, text: str) -> bool:
    """Return what true or false stands for.

    Raises:
        CalibError: the text is neither.
    """
    known: Mapping[str, bool] = {"true": True, "false": False}
    if text.lower() not in known:
        raise CalibError(f"{key}={text} is neither true nor false.")
    return known[text.lower()]
