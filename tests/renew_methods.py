"""Renew ``calib/runs/methods.csv`` and its table in the docs: ``python -m tests.renew_methods``."""

import csv
import re

from calib.runs.abilities import markdown, rows
from calib.runs.method_table import TABLE
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "methods.md"
BLOCK = re.compile(r"(?<=<!-- abilities -->\n).*?(?=<!-- end of abilities -->)", re.DOTALL)
"""The table in the page, between two marks."""


def renewed() -> str:
    """Return the page with the table of now."""
    return BLOCK.sub(lambda _: markdown() + "\n", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows())
    PAGE.write_text(renewed(), encoding="utf-8")
