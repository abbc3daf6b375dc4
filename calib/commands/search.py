"""Choose settings, such as the weights of the losses, by leaving a source out, never by a target.

For a split with sources S, every setting of a grid (a file of conf/search) is run once for each source s in
S, with the other sources as sources and s as the only target: the targets of the split take no part, neither
their data nor their labels. With two sources that means training on one. The setting with the highest mean
accuracy is chosen; the split itself is then run with it and with the published values. A table of all
settings goes to <out>/search/.

Repeat the command to go on after an interruption: recorded runs are not made again. A failed run stops no
other; failures are listed at the end, and the exit code is then 1.

  calib search --study mi --split 12_3
  calib search --study chd --split all --search steps_grid --seeds 0,1
"""

import argparse
import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from calib.errors import CalibError
from calib.failures import command
from calib.registry import CONF
from calib.runs.cli import explain
from calib.runs.options import add_run_options, numbers, show_progress


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--study", default="demo", help="as in dataset=: demo, mi, chd, ... (default demo)")
    add("--split", default="12_3", help="12_3, names as in plate_1+plate_2:plate_3, or all (default 12_3)")
    add("--search", default="weights_grid", help="a file of conf/search (default weights_grid)")
    add("--method", default="joint", help="joint or recon_t, which have these settings (default joint)")
    add("--protocol", default="paper", help="paper | released (default paper)")
    add("--seeds", type=numbers, default=[0], help="each setting is run with every one (default 0)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for every run: training=converged, ...")
    add_run_options(made)
    return made


def main(options: argparse.Namespace) -> int:
    """Run the grid, choose a setting, run the splits with it, and return the exit code: 1 if a run failed."""
    from calib.commands.searching import search_for

    return search_for(options, CONF)


def command_line() -> None:
    """Do as the arguments of the command say."""
    show_progress()
    chosen = parser().parse_args()
    with command():
        try:
            sys.exit(main(chosen))
        except (CalibError, HydraException, OmegaConfBaseException) as error:
            given = [
                f"dataset={chosen.study}",
                f"method={chosen.method}",
                f"protocol={chosen.protocol}",
                *chosen.set,
            ]
            sys.exit(f"Error: {explain(error, given, CONF)}")
