"""A look at the design of plates before any training: calib check cohort.csv batch=plate label=diagnosis.

The files are tables (CSV, TSV, Parquet), h5ad files, or a study by its name (dataset=mi). A setting of the
study is written without its prefix, as in batch=plate for dataset.batch=plate; see docs/your-data.md.

--strict    a serious finding is an error: exit code 1
--json      print the findings for programs
out=        folder for plates.csv and findings.csv; without it nothing is written
"""

import json
import logging
import sys

from calib.failures import command
from calib.shown import say, terminal_handler


def main(words: list[str]) -> None:
    """Look at the plates and print what is found.

    Raises:
        CalibError: a word, a setting or a file is wrong; or, with --strict, a finding is serious.
    """
    if not words or set(words) & {"-h", "--help"}:
        say(*str(__doc__).splitlines())
        return
    from calib.plates.checking import check
    from calib.plates.design_files import write_design
    from calib.plates.options import parse
    from calib.plates.told import design_lines

    request = parse(words, "calib check")
    logging.basicConfig(level=logging.WARNING, handlers=[terminal_handler()])
    design = check(request)
    if request.json:
        from dataclasses import asdict

        say(*json.dumps([asdict(one) for one in design.findings], indent=1).split("\n"))
    else:
        say(*design_lines(design))
    if request.out is not None:
        write_design(design, request.out)


def command_line() -> None:
    """Do as the arguments of the command say."""
    with command():
        main(sys.argv[1:])
