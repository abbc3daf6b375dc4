"""``calib methods``: a table of all methods, from a file that a test compares with the code."""

import argparse
import json
import sys

from calib.runs.method_table import read
from calib.shown import say

SHOWN = ("name", "label", "needs", "later_batches", "saved", "doi")


def command_line() -> None:
    """Print the table, the lines of one kind, or one method."""
    parser = argparse.ArgumentParser(description=__doc__)
    methods = read()
    parser.add_argument("names", nargs="*", metavar="method", help="only these, each with what it does")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    known = [row["name"] for row in methods]
    for name in options.names:
        if name not in known:
            from calib.errors import nearest

            sys.exit(f"Error: There is no method '{name}'{nearest(name, known)} See calib methods.")
    chosen = [row for row in methods if row["name"] in (options.names or known)]
    if options.json:
        say(json.dumps(chosen))
        return
    widths = {key: max(len(key), *(len(row[key]) for row in chosen)) for key in SHOWN}
    for row in ({key: key.replace("_", " ") for key in SHOWN}, *chosen):
        say("  ".join(row[key].ljust(widths[key]) for key in SHOWN).rstrip())
        if options.names and row in chosen:
            say(f"    {row['summary']}")
