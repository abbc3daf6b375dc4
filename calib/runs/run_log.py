"""The border of a run: its own log, and what a failure leaves in its record."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pandas as pd
import torch

from calib.errors import CalibError
from calib.records.record import ERROR
from calib.runs.run import Run
from calib.runtime import Runtime

log = logging.getLogger(__name__)


@contextmanager
def kept(run: Run, runtime: Runtime) -> Iterator[None]:
    """Log to the run's own ``run.log``; keep a failure's traceback in ``error.txt``, and the losses so far.

    Raises:
        CalibError: the memory did not suffice; any other failure is passed on.
    """
    handler = LogFile(run.record.path / "run.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("calib")
    root.addHandler(handler)
    try:
        log.info("Running %s", run)
        yield
    except Exception as error:
        log.error("%s failed: %s (details: %s)", run, error, run.record.path / ERROR)
        with suppress(CalibError):  # a full disk is what the error is about already
            run.record.write_text(ERROR, traceback.format_exc())
            run.record.write_table("history.csv", pd.DataFrame(runtime.history), digits=9)
        if out_of_memory(error):
            raise CalibError(
                f"{run} needs more memory than there is; make fewer runs at once (--jobs, "
                "hydra.launcher.n_jobs), or use smaller batches or a larger machine."
            ) from error
        raise
    finally:
        root.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A log file that a full disk cuts off: the run ends on what it cannot write of its results."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing on the terminal."""

    def close(self) -> None:
        """Close the file, even if its last lines find no room."""
        with suppress(OSError):
            super().close()


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch asked for more memory than there is."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
