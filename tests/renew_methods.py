"""Renew ``calib/commands/methods.csv``: ``python -m tests.renew_methods``."""

import csv

from calib.commands.methods import TABLE
from calib.runs.abilities import rows

if __name__ == "__main__":
    found = rows()
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(found)
