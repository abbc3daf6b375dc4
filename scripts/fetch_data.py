"""Download every study's files and verify them; ``make data``. Takes no arguments."""

import sys
from pathlib import Path

import hydra

from calib.build import build
from calib.errors import CalibError

CONF = Path(__file__).resolve().parent.parent / "conf"
DOWNLOADED = ("mi", "chd")


def main() -> None:
    """Load each downloadable study once and say what it holds."""
    for name in DOWNLOADED:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("config", [f"dataset={name}"])
        study = build(config.dataset)
        sizes = ", ".join(f"{b.name}: {len(b.x)}" for b in study.batches.values())
        print(f"{name}: {len(study.features)} features, samples in batch {sizes}; verified.")


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
