"""Renew the questions and the counts of ``docs/reforms.md``: ``python -m tests.renew_reforms``."""

import re

from calib.plates.checklist import items
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "reforms.md"
VERDICTS = ("Met", "In part", "Not met")
ITEM = re.compile(rf"^- \*\*(\w+)\. .*?\*\* \*({'|'.join(VERDICTS)})\.\*\n((?:  .+\n)+)", re.MULTILINE)
"""An item of the page: its number, its verdict, and the answer below it."""
COUNTS = re.compile(r"^Of \d+ items .*$", re.MULTILINE)


def renewed() -> str:
    """Return the page with the questions and the counts of now."""
    asked = {item["item"]: item["asks"] for item in items("reforms.csv")}
    page = PAGE.read_text(encoding="utf-8")
    given = [verdict for _, verdict, _ in ITEM.findall(page)]
    met, part, unmet = map(given.count, VERDICTS)
    page = COUNTS.sub(f"Of {len(given)} items {met} are met, {part} in part and {unmet} not.", page)
    return ITEM.sub(lambda one: f"- **{one[1]}. {asked[one[1]]}.** *{one[2]}.*\n{one[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(), encoding="utf-8")
