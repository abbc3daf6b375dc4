"""The commands of the page: each is read by make and by the parser of options, and plans runs; none is run."""

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from calib.commands.reproduce import parser
from calib.report.assemble import write_report
from calib.report.made_by import as_run
from calib.runs.experiment import run
from calib.runs.planner import Job, Planner
from calib.runs.series import PLAN, Series, read_series
from tests.conftest import CONF, ROOT, SMALL, compose

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

NAMES = {"study": "mi", "name": "mi"}
"""Variables of a command in the sources -> a value."""


def dry(command: str) -> list[str]:
    """Return the last command line that ``make`` would carry out, as words, without carrying it out."""
    words = shlex.split(command)
    assert words[0] == "make"
    # The make that runs the tests leaves its options in the environment: with them, this one would name its folder.
    env = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "-n", *words[1:]], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    return shlex.split(done.stdout.strip().splitlines()[-1])


def options(command: str) -> Namespace:
    """Return the options that a command gives to ``scripts/reproduce.py``."""
    words = dry(command)
    assert words[1] == "scripts/reproduce.py"
    return parser().parse_args(words[2:])


def chosen(found: Namespace) -> list[Series]:
    """Return the lists that the options choose from conf/reproduce.yaml, as ``calib reproduce`` does."""
    narrowing = {key: getattr(found, key) for key in ("studies", "methods", "protocols", "seeds")}
    return [part for one in read_series(CONF / PLAN, found.series) if (part := one.narrowed(**narrowing))]


def written() -> Iterator[tuple[str, str]]:
    """Yield the module and each command that its source writes out."""
    for file in sorted((ROOT / "calib" / "report").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        known: dict[str, Any] = vars(importlib.import_module(module)) | NAMES
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts:
                source = ast.unparse(node)
                if re.match(r"f?['\"]make \w", source):
                    yield module, str(eval(compile(source, str(file), "eval"), known))


COMMANDS = sorted(set(written()))


def test_the_sources_have_commands() -> None:
    assert len(COMMANDS) > 10
    assert ("calib.report.printed", "make reproduce-all STUDIES=mi") in COMMANDS


@pytest.mark.parametrize(("module", "command"), COMMANDS)
def test_every_written_command_chooses_runs(module: str, command: str) -> None:
    if command.startswith("make data"):
        words = dry(command)
        assert words[1:] == ["scripts/fetch_data.py", "zoo"]
        return
    found = options(command)
    assert chosen(found), f"{command} of {module} chooses no run"
    assert found.report_only == command.startswith("make report")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Return the recorded runs of two methods on the simulated study, whose list is not that of the paper."""
    out = tmp_path_factory.mktemp("a folder")
    small = " ".join(word.replace(" ", "") for word in SMALL)
    series = Series(["demo"], ["combat", "baseline"], variants=[small], name="demo")
    made = Planner(CONF, out).jobs([series])
    for job in made:
        run(compose(*job.overrides, f"out={out}"))
    return [Job(job.overrides, "", job.run, job.series) for job in made]


@pytest.mark.slow
def test_the_commands_of_a_page_plan_its_runs(jobs: list[Job]) -> None:
    out = Path(str(jobs[0].run.config.out))
    page = write_report(jobs, {"demo": jobs[0].run.study}, out, 1, {}).read_text(encoding="utf-8")
    commands = {unescape(command) for command in re.findall(r"Made by <code>(.*?)</code>", page)}
    assert len(commands) > 1
    for command in commands:
        found = options(command)
        assert found.out == out  # although there is a space in it
        planned = Planner(CONF, found.out).jobs(chosen(found))
        assert {job.run.config.method.name for job in planned} & {"combat", "baseline"}, command
        assert {job.run.study.name for job in planned} == {"demo"}


def test_a_command_names_the_lists_that_have_the_runs(jobs: list[Job]) -> None:
    assert as_run("make report STUDIES=demo", jobs, Path("outputs")) == "make report STUDIES=demo SERIES=demo"
    kept = [Job(job.overrides, "", job.run, ("paper", "notes")) for job in jobs]
    assert as_run("make report STUDIES=demo", kept, Path("outputs")) == "make report STUDIES=demo"
    named = "make reproduce-all STUDIES=demo,pancreas SERIES=paper,beyond"
    assert as_run(named, kept, Path("outputs")) == "make reproduce-all STUDIES=demo SERIES=paper,beyond"
    assert as_run(named, jobs, Path("a b")) == "make reproduce-all STUDIES=demo SERIES=demo 'OUT=a b'"
    for other in ("make data STUDY=zoo", "make zoo", "draw maps", ""):
        assert as_run(other, jobs, Path("elsewhere")) == other
