"""Renew docs/dependencies.md: what calib installs, by extra, under which licences, and how large it is.

python scripts/dependencies.py           renews the tables of licences, from the installed packages
python scripts/dependencies.py --check   changes nothing; fails where the page and the packages disagree
python scripts/dependencies.py --sizes   renews the table of sizes too; asks the package index for them

The packages are those that pyproject.toml leads to at the versions of constraints.txt, on Linux and macOS
with Python 3.11 to 3.13. Run it where all of them are installed (make setup), for their licences and needs.
"""

import argparse
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import Distribution, distribution
from itertools import product
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calib.errors import CalibError
from calib.failures import command
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "dependencies.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: Mapping[str, Sequence[str]] = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
"""Extra -> its requirements as written; the empty name is calib without an extra."""

PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
)
SPDX = {
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "mit license": "MIT",
    "mit license (mit)": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
"""How packages write a licence, in small letters -> its SPDX name."""


def pins() -> dict[str, tuple[str, str]]:
    """Return the pinned packages by normal name: the name as written, and the version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): (name, version) for name, version in pairs}


@cache
def needed(package: str, extra: str) -> frozenset[tuple[str, str]]:
    """Return what a pinned package needs with an extra of its own: pairs of a package and its extra."""
    lines = distribution(package).requires or []
    return frozenset(_wanted(lines, extra, pins()))


def _wanted(lines: Sequence[str], extra: str, pinned: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if name in pinned and _holds(requirement.marker, extra):
            yield from ((name, each) for each in ("", *requirement.extras))


def _holds(marker: Marker | None, extra: str) -> bool:
    """Return whether a marker holds on any system and Python that the lock serves."""
    environments = (
        {**system, "python_version": python, "python_full_version": f"{python}.9", "extra": extra}
        for system, python in product(SYSTEMS, PYTHONS)
    )
    return marker is None or any(map(marker.evaluate, environments))


@cache
def reached(extra: str) -> frozenset[tuple[str, str]]:
    """Return all pinned packages that an extra of calib names or leads to, each with its extra."""
    own = canonicalize_name(PROJECT["name"])
    waiting, extras, seen = [extra], {extra}, set[tuple[str, str]]()
    found: list[tuple[str, str]] = []
    while waiting:
        lines = [Requirement(line) for line in EXTRAS[waiting.pop()]]
        for line in lines:
            if canonicalize_name(line.name) == own:
                waiting += line.extras - extras
                extras |= line.extras
        found += _wanted([str(line) for line in lines], "", pins())
    while found:
        if (one := found.pop()) not in seen:
            seen.add(one)
            found += needed(*one)
    return frozenset(seen)


def closure(extra: str) -> set[str]:
    """Return all pinned packages that an extra of calib brings, by normal name; "" is calib alone."""
    return {name for name, _ in reached(extra)}


@cache
def groups() -> dict[str, list[str]]:
    """Return by extra, core first, the packages that it adds to the core, in order."""
    core = closure("")
    return {extra: sorted(closure(extra) - (core if extra else set())) for extra in EXTRAS}


def comes_with(name: str) -> str:
    """Return with what of calib a package comes: ``calib``, or extras between commas."""
    found = [extra or "calib" for extra, names in groups().items() if name in names and extra != "dev"]
    return ", ".join(found) or "dev"


def licence(package: Distribution) -> str:
    """Return a package's licence by its metadata, as an SPDX expression where it can be told."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return str(expression)
    field = (told.get("License") or "").strip().split("\n")[0].strip()
    kinds = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License")]
    named = [one for one in kinds if one != "OSI Approved"]
    short = field if len(field) <= 40 and not re.match(r"UNKNOWN|Copyright|=|$", field) else ""
    texts = [file.read_text() for file in package.files or () if re.search(r"LICEN[SC]E", file.name)]
    first = (
        short or (named[0] if named else "") or (texts[0].strip().split("\n")[0] if texts else "not stated")
    )
    name = SPDX.get(first.lower(), first)
    whole = " ".join([*texts, told.get("License") or ""]).lower()
    if name == "BSD" and "redistributions in binary form" in whole:
        return "BSD-3-Clause" if "neither the name" in whole else "BSD-2-Clause"
    return name


@cache
def licences() -> dict[str, str]:
    """Return the licence of every pinned package by its normal name.

    Raises:
        CalibError: a package is not installed, or not at its pinned version.
    """
    found = {}
    for name, (shown, version) in pins().items():
        try:
            package = distribution(name)
        except ModuleNotFoundError as error:
            raise CalibError(f"{shown} is pinned and not installed; run make setup.") from error
        if package.version.partition("+")[0] != version:
            raise CalibError(f"{shown} {package.version} is installed, {version} is pinned; run make setup.")
        found[name] = licence(package)
    return found


def tables() -> dict[str, str]:
    """Return the tables of the page that need no network, by name."""
    known, pinned, by_extra = licences(), pins(), groups()
    short = ["| extra | packages | licences |", "| --- | --- | --- |"]
    for extra, names in by_extra.items():
        counted = Counter(known[name] for name in names)
        words = ", ".join(
            f"{kind} ({n})" for kind, n in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
        )
        short.append(f"| {f'`{extra}`' if extra else 'none'} | {len(names)} | {words} |")
    full = ["| package | version | licence | comes with |", "| --- | --- | --- | --- |"]
    for name in sorted(pinned):
        shown, version = pinned[name]
        full.append(f"| {shown} | {version} | {known[name]} | {comes_with(name)} |")
    return {"licences by extra": "\n".join(short), "licences": "\n".join(full)}


def renewed(page: str, made: Mapping[str, str]) -> str:
    """Return a page with these tables between its marks ``<!-- table: name -->`` and ``<!-- end -->``."""
    for name, table in made.items():
        block = re.compile(rf"(<!-- table: {name} -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
        page = block.sub(lambda mark, table=table: mark[1] + table, page)
    return page


def main(options: argparse.Namespace) -> None:
    """Renew or check the page.

    Raises:
        CalibError: the page is not that of the installed packages, or these are not the pinned ones.
    """
    made = tables()
    if options.sizes:
        from sizes import table

        made["sizes"] = table(groups(), pins())
    before = PAGE.read_text(encoding="utf-8")
    after = renewed(before, made)
    if options.check and after != before:
        raise CalibError(f"{PAGE.name} is not that of the installed packages; run make dependencies.")
    PAGE.write_text(after, encoding="utf-8")
    say(f"{PAGE.name}: {len(pins())} packages")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--check", action="store_true", help="only compare")
    made.add_argument(
        "--sizes", action="store_true", help="ask the package index for the sizes of the wheels"
    )
    return made


if __name__ == "__main__":
    with command():
        main(parser().parse_args())
