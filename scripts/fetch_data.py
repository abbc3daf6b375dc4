"""Download every study's files and verify them; ``make data``. Takes no arguments."""

import sys
from pathlib import Path

from calib.build import build, compose
from calib.errors import CalibError

CONF = Path(__file__).resolve().parent.parent / "conf"
DOWNLOADED = ("mi", "chd")


def main() -> None:
    """Load each downloadable study once and say what it holds."""
    for name in DOWNLOADED:
        study = build(compose(CONF, f"dataset={name}").dataset)
        sizes = ", ".join(f"{b.name}: {len(b.x)}" for b in study.batches.values())
        print(f"{name}: {len(study.features)} features, samples in batch {sizes}; verified.")


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
