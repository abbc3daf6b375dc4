"""The log file of a run, and the files that a run leaves in its record when it fails."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pandas as pd

from calib.errors import CalibError
from calib.failures import in_one_sentence
from calib.records.record import ERROR
from calib.runs.run import Run
from calib.runtime import Runtime
from calib.shown import ShownFormatter, lines

log = logging.getLogger(__name__)


@contextmanager
def logged_to_record(run: Run, runtime: Runtime) -> Iterator[None]:
    """Copy the log to the run's ``run.log``; on a failure write the traceback and the losses so far.

    The warnings of the reading, which were logged before the run began, come first.

    The traceback goes to ``error.txt``, the losses to ``history.csv``.

    Raises:
        CalibError: as ``in_one_sentence``; any other error is raised as it is.
    """
    handler = LogFile(run.record.folder / "run.log", encoding="utf-8", delay=True)
    handler.setFormatter(ShownFormatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("calib")
    root.addHandler(handler)
    try:
        batches = (", ".join(side) for side in (run.split.sources, run.split.targets))
        for caution in run.study.cautions:
            handler.handle(log.makeRecord(log.name, logging.WARNING, __file__, 0, caution.text, (), None))
        log.info("Running %s: sources %s; targets %s", run, *batches)
        yield
    except Exception as error:
        log.error("%s failed: %s (details: %s)", run, error, run.record.folder / ERROR)
        with suppress(CalibError):  # on a full disk, the first error says so already
            run.record.write_text(ERROR, lines(traceback.format_exc()))
            run.record.write_table("history.csv", pd.DataFrame(runtime.history), digits=9)
        with in_one_sentence(str(run)):
            raise
    finally:
        root.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A log file that ignores a full disk: the run fails later, when it cannot write its results."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore the error."""

    def close(self) -> None:
        """Close the file, even if there is no room for its last lines."""
        with suppress(OSError):
            super().close()
