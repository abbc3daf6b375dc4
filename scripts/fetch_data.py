"""Download studies and verify their files; ``make data``.

Without arguments this downloads the MI and CHD files. With names it downloads those studies: mi, chd,
pancreas (large), pancreas_mini.
"""

import argparse
import sys
from pathlib import Path

from calib.config import build, compose
from calib.data.downloads import data_folders, find, locate
from calib.errors import CalibError
from calib.failures import command
from calib.shown import say

CONF = Path(__file__).resolve().parent.parent / "conf"
STUDIES = ("mi", "chd", "pancreas", "pancreas_mini")
"""The studies that can be downloaded; without arguments the first two are."""
MINI = (
    "pancreas/panc8_small.rda",
    "https://raw.githubusercontent.com/cran/bbknnR/4b692bcc89a6ae14dabf4ea70220cdb3038e4019/data/panc8_small.rda",
    "6e5dcfe87c8c0daf8b2944994aff409a7d22eeeab6a9f09116ba1ee7e40acf41",
)
"""Path, address and SHA-256 of the R data file from which pancreas_mini is made."""


def main() -> None:
    """Load each study once, which downloads and verifies it, and print its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join(STUDIES))
    for name in parser.parse_args().studies or STUDIES[:2]:
        if name not in STUDIES:
            parser.error(f"{name} is none of the studies that can be fetched: {', '.join(STUDIES)}")
        config = compose(CONF, f"dataset={name}").dataset
        if name == "pancreas_mini" and find(config.path) is None:
            from pancreas_mini import convert  # only this conversion needs the package that reads R's file

            convert(locate(*MINI), data_folders()[-1] / config.path)
        study = build(config)
        sizes = ", ".join(f"{b.name}: {len(b)}" for b in study.batches.values())
        say(f"{name}: {len(study.features)} features, samples in batch {sizes}; verified.")


if __name__ == "__main__":
    with command():
        try:
            main()
        except CalibError as error:
            sys.exit(f"Error: {error}")
