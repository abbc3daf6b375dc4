"""From plates to an answer: calib answer cohort.csv batch=plate label=diagnosis subject=patient.

It looks at the design, judges every labelled plate by a dozen methods that did not know its labels, chooses
one, and answers the plates without labels (where the label is empty). It writes a page and tables, and a
repeated command goes on where it was interrupted.

The files are tables (CSV, TSV, Parquet), h5ad files, or a study by its name (dataset=mi, with
config_dir=<folder> for one of your own). A setting of the study is written without its prefix, as in
batch=plate for dataset.batch=plate: label, subject, sample, positive, features, ignore, exclude, impute, ...

methods=     fast (default: a dozen), all, or names between commas, among which fast may be one
out=         folder of everything that is written; default answers/<name of the file>
error=0.1    share of errors that is allowed among the answers; less sure samples are not answered
miss=0.1     share of the sets of classes that may miss the true class
prevalence=  share of the positive class where calls are used, or several between commas
why=true     false: do not look for the features that carry the answer
jobs=        runs at once; default one a core
seed=0, device=cpu, protocol.transform=none, ...: as in calib run

--strict     a serious finding of the design is an error
--json       print the summary for programs
"""

import json
import logging
import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from calib.errors import CalibError
from calib.failures import command
from calib.shown import say, terminal_handler


def main(words: list[str]) -> None:
    """Answer, write, and print where.

    Raises:
        CalibError: a word, a setting or a file is wrong, or nothing can be learnt.
    """
    if not words or set(words) & {"-h", "--help"}:
        say(*str(__doc__).splitlines())
        return
    from calib.plates.answering import answer
    from calib.plates.files import summary, write_answer
    from calib.plates.options import parse
    from calib.plates.told import answer_lines
    from calib.runs.options import show_progress

    request = parse(words, "calib answer")
    logging.basicConfig(level=logging.WARNING, handlers=[terminal_handler()])
    logging.getLogger("calib.plates").setLevel(logging.INFO)
    show_progress()
    found = answer(request)
    page = write_answer(found, request.folder)
    if request.json:
        say(*json.dumps(summary(found), indent=1, allow_nan=False).split("\n"))
    else:
        say(*answer_lines(found, request.folder), str(page))


def command_line() -> None:
    """Do as the arguments of the command say."""
    from calib.registry import CONF
    from calib.runs.cli import explain

    with command():
        try:
            main(sys.argv[1:])
        except (CalibError, HydraException, OmegaConfBaseException) as error:
            sys.exit(f"Error: {explain(error, sys.argv[1:], CONF)}")
