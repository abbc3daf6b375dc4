"""Time trainings, seeds, large studies, the growth of methods and the start of commands; ``make bench``.

Everything runs on one thread and is measured in processor seconds, on which other programs have less effect
than on the clock. Both sides of a ratio are measured in the same process, in turns; the best of each counts.

Options: --parts trainings plain seeds tsne scale growth startup (all of them unless some are named).
"""

import argparse
import platform
import sys

import growth
import joblib
import scale
import seeds
import startup
import torch
import trainings

from calib.errors import CalibError

PARTS = {
    "trainings": trainings.over_products,
    "plain": trainings.against_plain,
    "seeds": seeds.main,
    "tsne": trainings.tsne,
    "scale": scale.main,
    "growth": growth.main,
    "startup": startup.main,
}
"""The function that measures and prints each part, by the part's name."""


def main() -> None:
    """Measure and print the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python scripts/bench"
    )
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART")
    chosen = parser.parse_args().parts
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    machine = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {joblib.cpu_count()} cores"
    print(f"{machine}, torch {torch.__version__}; processor seconds of one thread\n")
    for part in chosen:
        PARTS[part]()
        print()


if __name__ == "__main__":
    try:
        main()
    except CalibError as error:
        sys.exit(f"Error: {error}")
