"""Make every table, interval, verdict and claim of README and docs anew from docs/results/archive.

python scripts/tables.py           renews pages and figure, and writes all tables to outputs/tables
python scripts/tables.py --check   changes nothing; fails where a page and the archive disagree

Nothing is trained, and no data file is read. Tables in a page: calib/report/docs/blocks.py.
"""

import argparse
from pathlib import Path

from calib.errors import CalibError
from calib.failures import command
from calib.report.docs.archived import Archived
from calib.report.docs.averages import draw_averages
from calib.report.docs.blocks import renewed
from calib.report.docs.words import with_numbers
from calib.report.exhibits import write_table
from calib.runs.archive import Archive
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT / "docs" / "results" / "archive"
FIGURE = ROOT / "docs" / "figures" / "averages.png"
README = ROOT / "README.md"
PAGES: tuple[Path, ...] = tuple(
    ROOT / "docs" / f"{name}.md" for name in ("answer", "best", "class-mix", "zoo")
)
"""Pages that quote the archive; the others still quote docs/results/*.csv (scripts/notes.py)."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=ROOT / "outputs" / "tables", help="folder of all tables")
    made.add_argument("--archive", type=Path, default=ARCHIVE, help="folder of the archive")
    made.add_argument("--check", action="store_true", help="only compare the pages with the archive")
    return made


def main(options: argparse.Namespace) -> None:
    """Renew or check the pages.

    Raises:
        CalibError: a page differs, or asks for a table that does not exist.
    """
    archived = Archived(ROOT / "conf", Archive(options.archive))
    say(f"{len(archived.finished)} of {len(archived.jobs)} planned runs on archived studies are archived")
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = with_numbers(renewed(before, archived), archived)
        if options.check and after != before:
            raise CalibError(f"The tables in {page.name} are not those of the archive; run make tables.")
        if not options.check:
            page.write_text(after, encoding="utf-8")
    if not options.check:
        if README in PAGES:
            draw_averages(archived.results, FIGURE)
        for table in archived.tables():
            write_table(table, options.out)
        say(options.out)


if __name__ == "__main__":
    with command():
        main(parser().parse_args())
