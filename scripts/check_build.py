"""Check the wheel and the sdist of a folder outside the checkout: what they hold, the commands, the tests.

A new environment gets the packages of requirements.lock and the wheel, or the wheel alone beside --packages.
The sdist is unpacked. The tests that read its files run as they are; then the folders of the packages are
taken out of it, so that all other tests import what was installed.

  python scripts/check_build.py dist
  python scripts/check_build.py dist --packages .venv/lib/python3.12/site-packages --tests tests/runs
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import calib
from calib.errors import CalibError
from calib.failures import command
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("calib", "hydra_plugins")
OF_SOURCES = (
    "tests/test_project.py",
    "tests/test_release.py",
    "tests/test_layers.py",
    "tests/test_docs.py",
    "tests/report/test_made_by.py",
    "tests/data/test_cautions.py",
)
"""Tests that look at the files of the checkout, not at what the package does."""

PLATES = """\
import numpy as np
rng = np.random.default_rng(0)
print("plate,diagnosis,patient," + ",".join(f"mz_{i}" for i in range(8)))
for plate in range(4):
    for patient in range(24):
        case = patient % 2
        values = rng.gamma(2, 500, 8) * (1 + plate) * (1 + 2 * case * (np.arange(8) < 4))
        label = "" if plate == 3 else ("control", "case")[case]
        print(f"{plate},{label},{plate}-{patient}," + ",".join(f"{value:.1f}" for value in values))
"""
"""Four made-up plates, the last without labels."""


def single(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder with such a name.

    Raises:
        CalibError: there is none, or more than one.
    """
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise CalibError(
            f"{folder} holds {len(found)} files {pattern}, and one was expected; run make build."
        )
    return found[0]


def called(arguments: Sequence[str | Path], cwd: Path, shown: bool = False) -> str:
    """Return what a program prints, started outside the checkout; or show it as it comes, and return nothing.

    Raises:
        CalibError: it fails; the message has what it said.
    """
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(arguments, cwd=cwd, env=inherited, capture_output=not shown, text=True, check=False)
    if done.returncode:
        said = "" if shown else f":\n{done.stdout}{done.stderr}"
        raise CalibError(f"{shlex.join(map(str, arguments))} failed{said}")
    return done.stdout or ""


def check_contents(wheel: Path, unpacked: Path) -> None:
    """Check that the sdist holds every file of the repository, and the wheel every file of the packages.

    Raises:
        CalibError: a file is missing.
    """
    inside = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*") if file.is_file()}
    if (ROOT / ".git").exists():
        tracked = set(called(["git", "ls-files"], ROOT).splitlines())
        if missing := sorted(tracked - inside):
            raise CalibError(
                f"The sdist lacks {len(missing)} files of the repository: {', '.join(missing[:5])}."
            )
    wanted = {name for name in inside if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    wanted |= {f"calib/{name}" for name in inside if name.startswith("conf/")}
    if missing := sorted(wanted - set(ZipFile(wheel).namelist())):
        raise CalibError(f"The wheel lacks {len(missing)} files: {', '.join(missing[:5])}.")
    say(f"contents: {len(inside)} files in the sdist, {len(wanted)} of them in the wheel")


def environment(folder: Path, wheel: Path, unpacked: Path, packages: Path | None, torch: str | None) -> Path:
    """Make an environment with the wheel and return the folder of its programs.

    Args:
        folder: where to make it.
        wheel: the wheel.
        unpacked: the sdist, which has the lock.
        packages: a folder of installed packages to use; None installs them by hash.
        torch: the index to install torch from before; None takes that of the lock.
    """
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if packages is None and torch:
        pins = unpacked / "constraints.txt"
        called([*pip, "--no-deps", "-c", pins, "--index-url", torch, "torch"], folder)
    if packages is None:
        called([*pip, "--require-hashes", "-r", unpacked / "requirements.lock"], folder)
    called([*pip, "--no-deps", wheel], folder)
    own = Path(
        called(
            [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
        ).strip()
    )
    if packages is not None:
        (own / "packages.pth").write_text(f"{packages.resolve()}\n", encoding="utf-8")
    called([programs / "python", "-m", "pip", "check"], folder)  # the requirements are met
    place = called([programs / "python", "-c", "import calib; print(calib.__file__)"], folder).strip()
    if not Path(place).is_relative_to(own):
        raise CalibError(f"calib is imported from {place}, not from the wheel in {own}.")
    return programs


def check_commands(programs: Path, folder: Path) -> None:
    """Run the commands on a small file, as a reader would.

    Raises:
        CalibError: one fails or says something else.
    """
    calib_ = programs / "calib"
    columns = ("batch=plate", "label=diagnosis", "subject=patient")
    method = "methods=standardise_logistic"
    (folder / "cohort.csv").write_text(called([programs / "python", "-c", PLATES], folder), encoding="utf-8")
    told = {
        "--version": called([calib_, "--version"], folder),
        "--help": called([calib_, "--help"], folder),
        "methods": called([calib_, "methods"], folder),
        "check": called([calib_, "check", "cohort.csv", *columns], folder),
        "answer": called([calib_, "answer", "cohort.csv", *columns, method, "jobs=1"], folder),
        "run": called([calib_, "run", "method=standardise_logistic", "out=out"], folder),
    }
    expected = {"--version": f"calib {calib.__version__}", "--help": "calib answer", "methods": "joint_plus"}
    for name, words in expected.items():
        if words not in told[name]:
            raise CalibError(f"calib {name} does not say '{words}':\n{told[name]}")
    for file in ("answers/cohort/index.html", "answers/cohort/calls.csv"):
        if not (folder / file).is_file():
            raise CalibError(f"calib answer did not write {file}:\n{told['answer']}")
    say(f"commands: calib {', '.join(told)}")


def check_tests(programs: Path, unpacked: Path, tests: str) -> None:
    """Run the tests of sources on the sdist, and the others on the installed package.

    Raises:
        CalibError: one fails.
    """
    pytest = [programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    say("tests of the sdist")
    called([*pytest, *OF_SOURCES], unpacked, shown=True)
    for package in PACKAGES:
        shutil.rmtree(unpacked / package)
    skipped = [f"--ignore={file}" for file in OF_SOURCES]
    say("tests of the wheel")
    called([*pytest, *skipped, *shlex.split(tests)], unpacked, shown=True)


def main(options: argparse.Namespace) -> None:
    """Check a wheel and an sdist.

    Raises:
        CalibError: something is missing or fails.
    """
    wheel, sdist = single(options.folder, "*.whl"), single(options.folder, "*.tar.gz")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        called(["tar", "-xzf", sdist.resolve()], folder)
        unpacked = folder / sdist.name.removesuffix(".tar.gz")
        check_contents(wheel, unpacked)
        programs = environment(
            folder / "environment", wheel.resolve(), unpacked, options.packages, options.torch_index
        )
        (folder / "work").mkdir()
        check_commands(programs, folder / "work")
        if options.tests != "none":
            check_tests(programs, unpacked, options.tests)
    say(f"{wheel.name} and {sdist.name} pass with Python {sys.version.split()[0]}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path, help="the folder with the wheel and the sdist")
    made.add_argument(
        "--packages", type=Path, help="a folder of installed packages to use instead of installing"
    )
    made.add_argument("--torch-index", help="the index of a torch without CUDA, as TORCH_INDEX of make setup")
    made.add_argument("--tests", default="tests", help="arguments of pytest; none for no tests")
    return made


if __name__ == "__main__":
    with command():
        main(parser().parse_args())
