"""Download studies and verify their files; ``make data``.

Without arguments this downloads the MI and CHD files. With names it downloads those studies, each of which
has an address in conf/dataset: mi, chd, pancreas (large), pancreas_mini, crc, ...; zoo stands for the ten
public studies of conf/zoo.yaml.
"""

import argparse
from collections.abc import Sequence

from omegaconf import OmegaConf

from calib.config import build, compose
from calib.failures import command
from calib.registry import CONF
from calib.runs.series import public_studies
from calib.shown import say

USUAL = ("mi", "chd")
"""The studies that are downloaded without arguments."""

ZOO = "zoo"
"""Name that stands for the public studies of conf/zoo.yaml."""

ADDRESSES = ("url", "figshare")
"""Settings of a study that say where its files come from."""


def published() -> list[str]:
    """Return the names of the studies whose files have an address."""
    files = sorted((CONF / "dataset").glob("*.yaml"))
    return [file.stem for file in files if any(key in OmegaConf.load(file) for key in ADDRESSES)]


def _asked(names: Sequence[str]) -> list[str]:
    """Return the studies that the arguments name."""
    return [one for name in names for one in (public_studies(CONF) if name == ZOO else [name])]


def main() -> None:
    """Load each study once, which downloads and verifies it, and print its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    known = published()
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join([*known, ZOO]))
    for name in _asked(parser.parse_args().studies or USUAL):
        if name not in known:
            parser.error(f"{name} is none of the studies that can be fetched: {', '.join([*known, ZOO])}")
        study = build(compose(CONF, f"dataset={name}").dataset)
        sizes = ", ".join(f"{b.name}: {len(b)}" for b in study.batches.values())
        say(f"{name}: {len(study.features)} features, samples in batch {sizes}; verified.")


def command_line() -> None:
    """Do as the arguments of the command say."""
    with command():
        main()
