"""The command ``calib``: one word for what to do, then the arguments of that command.

This module imports nothing that takes time, so that ``calib --help`` answers at once.
"""

import sys
from importlib import import_module

from calib import __version__
from calib.shown import say

COMMANDS = {
    "answer": "from plates to an answer, with a page: calib answer cohort.csv batch=plate label=diagnosis",
    "check": "a look at the design of plates, in seconds: calib check cohort.csv batch=plate label=diagnosis",
    "run": "one experiment, or a sweep of them with -m: calib run dataset=mi split=12_3",
    "predict": "class probabilities for a file, by a saved model: calib predict run=<folder> data=<file>",
    "methods": "every method: what it is, what it needs, whether it judges later batches",
    "reproduce": "many runs and their report: calib reproduce --studies mi,chd",
    "search": "settings chosen by leaving a source out: calib search --study mi --split 12_3",
    "fetch": "studies downloaded and verified: calib fetch mi chd",
}
"""Name of a command -> what it does. Each is a module of this package with a function ``command_line``."""


def usage() -> str:
    """Return the help of the command itself."""
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        ["usage: calib <command> ...", "", *lines, "", "calib <command> --help says more; calib --version."]
    )


def main() -> None:
    """Do what the first argument says, with the arguments after it."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        say(*usage().split("\n"))
    elif name in ("-V", "--version"):
        say(f"calib {__version__}")
    elif name in COMMANDS:
        sys.argv[:2] = [f"calib {name}"]
        import_module(f"calib.commands.{name}").command_line()
    else:
        from calib.errors import nearest

        sys.exit(f"Error: calib has no command '{name}'{nearest(name, COMMANDS)} See calib --help.")
