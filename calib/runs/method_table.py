"""The table of all methods in a file, since building every method takes seconds."""

import csv
from pathlib import Path

TABLE = Path(__file__).with_name("methods.csv")
"""``calib.runs.abilities.rows`` as a file, which a test compares with the code."""


def read() -> list[dict[str, str]]:
    """Return the rows of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
