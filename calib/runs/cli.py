"""The command line of ``run.py``: help, spellings of splits and seeds, and errors in one sentence."""

import functools
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from calib.config import build, compose
from calib.errors import CalibError, nearest, not_installed
from calib.failures import command, interrupted
from calib.overrides import flags_first, how_to_keep_a_comma, how_to_write, readable
from calib.runs.help import HELP, help_text
from calib.runs.isolation import ending_in_order, isolated
from calib.shown import one_line, say

log = logging.getLogger(__name__)

MULTIRUN = ("-m", "--multirun")
PRINTING = ("-c", "--cfg", "-i", "--info")
"""Flags for which Hydra prints the configuration and ends."""

ELEMENT = re.compile(r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,])+|,""")
"""A part of a value between commas that are not in quotes, or a comma."""
BARE_SPLIT = re.compile(r"^(\s*)(\d+_\d+)(\s*)$")
WHOLE_REFERENCE = re.compile(r"\$\{[^{}]*\}")


def main(task: Callable[[DictConfig], object], conf: Path) -> None:
    """Run ``task`` on the command line's overrides, or print help; exit with 1 on a user's error."""
    arguments = flags_first([readable(argument) for argument in sys.argv[1:]])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come up to this function instead of being printed
    with command():
        _main(task, conf, arguments)


def _main(task: Callable[[DictConfig], object], conf: Path, arguments: Sequence[str]) -> None:
    """Run ``task``, or print help; see ``main``."""
    try:
        if set(HELP) & set(arguments):
            overrides = [argument for argument in quote_splits(arguments) if not argument.startswith("-")]
            say(*help_text(conf, overrides).split("\n"))
            return
        sys.argv[1:] = expand_all(join(quote_splits(choose_launch(arguments))), conf)
        with ending_in_order(), shown_safely(arguments):
            hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(one_job(task))()
    except (CalibError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"Error: {explain(error, arguments, conf)}")
    except BrokenProcessPool:
        sys.exit("Error: a worker process was killed, and its runs with it; repeat the command to go on.")
    except BrokenPipeError:
        raise
    except OSError as error:  # Hydra makes the output folder before any run
        sys.exit(
            f"Error: {one_line(error.filename)}: {error.strerror}; choose another folder with out=<folder>."
        )


def one_job(task: Callable[[DictConfig], object]) -> Callable[[DictConfig], None]:
    """Return ``task`` with a user's error printed when it happens.

    A single run ends with the error. A sweep goes on and fails at its end, when Hydra raises the first error.
    """

    @functools.wraps(task)
    def job(config: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        sweep = hydra_config.mode == RunMode.MULTIRUN
        if sweep and "Basic" not in hydra_config.launcher._target_:
            config.progress = False  # the bars of several runs at once would overwrite each other
        pooled = sweep and "joblib" in hydra_config.launcher._target_
        try:
            (isolated(task, _job_name) if pooled else task)(config)
        except CalibError as error:
            if not sweep:
                sys.exit(f"Error: {error}")
            log.error("#%d failed: %s", hydra_config.job.num, error)
            raise
        except Exception as error:
            if interrupted(error):
                raise KeyboardInterrupt from error
            raise
        if sweep:
            log.info("#%d done", hydra_config.job.num)

    return job


@contextmanager
def shown_safely(arguments: Sequence[str]) -> Iterator[None]:
    """Let what Hydra prints for ``--cfg`` and ``--info``, the whole configuration, be what may be shown."""
    if not any(argument.partition("=")[0] in PRINTING for argument in arguments):
        yield
        return
    with redirect_stdout(io.StringIO()) as printed:
        yield
    say(*printed.getvalue().splitlines())


def choose_launch(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``+launch=slurm`` as ``launch=slurm``; ``+search=`` needs the plus."""
    return [re.sub(r"^\++launch=", "launch=", argument) for argument in arguments]


def _job_name(config: DictConfig) -> str:
    """Return the number and overrides of a sweep's job."""
    job = HydraConfig.get().job
    return f"job #{job.num} ({job.override_dirname})"


def quote_splits(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with splits such as ``12_3`` in quotes; Hydra would read the integer 123.

    ``choice(...)`` becomes a plain list, because Hydra strips the quotes of a function's arguments. A ``${``
    in the name of a batch stays as it is, and only ``split=${...}`` as a whole stands for another value.
    """

    def quoted(argument: str) -> str:
        key, equals, value = argument.partition("=")
        if key.lstrip("+") != "split":
            return argument
        value = re.sub(r"^choice\((.*)\)$", lambda found: found[1].replace(" ", ""), value)
        if not WHOLE_REFERENCE.fullmatch(value):
            value = re.sub(r"(?<!\\)\$\{", r"\${", value)
        return key + equals + "".join(BARE_SPLIT.sub(r"\1'\2'\3", part) for part in ELEMENT.findall(value))

    return [quoted(argument) for argument in arguments]


def join(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the values of runs that are trained together as one value, not as a sweep.

    With ``batch_seeds=true`` these are the values of ``seed=0,1,2`` and, unless there is a sweep besides, of
    ``split=12_3,13_2``.
    """
    if not any(re.fullmatch("batch_seeds=(true|close)", argument.lower()) for argument in arguments):
        return list(arguments)
    swept = any(argument in MULTIRUN for argument in arguments)

    def joined(argument: str) -> str:
        key, _, value = argument.partition("=")
        if key == "split" and not swept and value[:1] != "[" and "," in ELEMENT.findall(value):
            return f"split=[{value}]"
        return re.sub(r"^seed=(\d+(,\d+)+)$", r"seed='\1'", argument)

    return [joined(argument) for argument in arguments]


def expand_all(arguments: Sequence[str], conf: Path) -> list[str]:
    """Return the arguments with a multirun's ``split=all`` written out, so that a launcher can spread it.

    In a single run, and in sweeps over several studies, ``all`` stays and the run itself goes through
    the splits one after another.
    """
    arguments = list(arguments)
    swept = [a for a in arguments if re.match(r"dataset(\.\w+)*=[^\[{]*(,|\()", a)]
    every = [a for a in arguments if re.fullmatch(r"split=['\"]?all['\"]?", a)]
    if not any(a in MULTIRUN for a in arguments) or not every or swept:
        return arguments
    overrides = [a for a in arguments if re.match(r"(\+|~)*dataset[=.]", a)]
    study = build(compose(conf, *overrides).dataset)
    from calib.data.split import all_splits

    splits = ",".join(split.override.removeprefix("split=") for split in all_splits(study))
    return [f"split={splits}" if a in every else a for a in arguments]


def explain(error: Exception, arguments: Sequence[str], conf: Path) -> str:
    """Return one sentence for an error, with the nearest known name where a name is unknown."""
    if isinstance(error, CalibError):
        return str(error)
    text = str(error)
    overrides = [argument for argument in quote_splits(arguments) if not argument.startswith("-")]
    for sentence in filter(None, map(how_to_write, overrides)):
        return sentence
    if isinstance(error, MissingConfigException) and error.options:
        group, _, wrong = str(error.missing_cfg_file).rpartition("/")
        if wrong.startswith("submitit"):
            return str(not_installed("launch=slurm", "hydra-submitit-launcher", "slurm"))
        hint = nearest(wrong, error.options)
        return f"{group}={wrong} is unknown{hint} There is: {', '.join(error.options)}."
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found[1], arguments, conf) or f"{found[1]} does not take this value."
    if found := re.search(r"Could not find '([^']+)'|Key '([^']+)' is not in struct", text):
        key = found[1] or found[2]
        return _unknown_key(key, arguments, conf) or f"{key} does not take this value."
    if found := re.fullmatch(r"Error merging override (([^=]+)=.*)", text, re.DOTALL):
        return (
            f"{found[1]} is of another kind than {found[2].lstrip('+~')} takes; see python run.py --help. A "
            "mapping with a name such as null or true has to stand in a file conf/dataset/<study>.yaml, with "
            "the name in quotes."
        )
    if "Ambiguous value for argument" in text:
        kept = next(filter(None, map(how_to_keep_a_comma, overrides)), None)
        advice = (
            f"write {kept} for one value with a comma" if kept else "add -m to run several values in turn"
        )
        return f"{text.splitlines()[0].split('Ambiguous value for ')[-1]}: {advice}."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__


def _unknown_key(key: str, arguments: Sequence[str], conf: Path) -> str:
    """Return the sentence for a key that the configuration does not have, or "" if it has the key."""
    GlobalHydra.instance().clear()
    groups = [a for a in arguments if re.match(r"(dataset|method|protocol)=[\w.]+$", a)]
    try:
        known = _keys(OmegaConf.to_container(compose(conf, *groups)))
    except ConfigCompositionException:
        known = []
    if key in known:
        return ""
    return f"The configuration has no key '{key}'{nearest(key, known)} See python run.py --help."


def _keys(node: object, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    names = [f"{prefix}{key}" for key in node]
    return names + [k for key, v in node.items() for k in _keys(v, f"{prefix}{key}.")]
