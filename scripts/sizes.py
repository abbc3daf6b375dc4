"""The table of sizes of docs/dependencies.md, and which pinned packages have no wheel: see dependencies.py.

Downloads are the wheels that pip would choose, as the package index states their sizes. What is on disk is
the sum of the files of the packages in this environment, without byte code.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distribution
from typing import Any

from lock import pinned
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

from calib.shown import say

PYTHONS = ((3, 11), (3, 12), (3, 13))
SYSTEMS = {
    "Linux": [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)] + ["manylinux2014_x86_64"],
    "macOS": list(mac_platforms((14, 0), "arm64")),
}
"""System -> the platforms of its wheels: x86-64 with glibc 2.28, Apple silicon with macOS 14."""

MB = 1e6


def tags(python: tuple[int, int], platforms: Sequence[str]) -> dict[Tag, int]:
    """Return the tags of wheels that an interpreter takes, with their ranks, best first."""
    interpreter = f"cp{python[0]}{python[1]}"
    both = (cpython_tags(python, platforms=platforms), compatible_tags(python, interpreter, platforms))
    return {tag: rank for rank, tag in enumerate(tag for each in both for tag in each)}


def chosen(package: Mapping[str, Any], ranks: Mapping[Tag, int]) -> int | None:
    """Return the size in bytes of the wheel that pip would choose; None for a package without one."""
    fitting = [
        (min(ranks[tag] for tag in own & ranks.keys()), wheel["size"])
        for wheel in package.get("wheels", [])
        if (own := parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]) & ranks.keys()
    ]
    return min(fitting)[1] if fitting else None


def downloads() -> Iterator[tuple[str, tuple[int, int], dict[str, int]]]:
    """Yield system, Python and the size of every package's download, a source without a wheel."""
    packages = tomllib.loads(pinned("pylock.toml"))["packages"]
    for system, platforms in SYSTEMS.items():
        for python in PYTHONS:
            ranks = tags(python, platforms)
            found = {canonicalize_name(each["name"]): chosen(each, ranks) for each in packages}
            missing = [name for name, size in found.items() if size is None]
            say(f"{system}, Python {python[0]}.{python[1]}: no wheel of {', '.join(missing) or 'none'}")
            sources = {
                canonicalize_name(each["name"]): each["sdist"]["size"] for each in packages if "sdist" in each
            }
            yield (
                system,
                python,
                {name: sources[name] if size is None else size for name, size in found.items()},
            )


def installed(name: str) -> int:
    """Return the size in bytes of an installed package's files, without byte code."""
    return sum(file.size or 0 for file in distribution(name).files or ())


def table(groups: Mapping[str, Sequence[str]], pins: Mapping[str, object]) -> str:
    """Return the table: for calib and each extra, what it adds to download and on disk, torch apart."""
    first = {system: sizes for system, python, sizes in downloads() if python == PYTHONS[0]}
    disk = {name: installed(name) for name in pins}
    lines = [
        "| what | packages | download, Linux | download, macOS | on disk, Linux |",
        "| --- | --- | --- | --- | --- |",
    ]
    for extra, names in groups.items():
        rest = [name for name in names if name != "torch"]
        sums = [
            *(sum(first[system][name] for name in rest) for system in SYSTEMS),
            sum(disk[name] for name in rest),
        ]
        title = f"+ `{extra}`" if extra else "`calib-omics` without torch"
        lines.append(f"| {title} | {len(rest)} | " + " | ".join(map(_written, sums)) + " |")
    return "\n".join(lines)


def _written(size: float) -> str:
    return f"{size / MB:,.0f} MB" if size >= MB else "under 1 MB"
