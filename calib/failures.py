"""Failures of the machine and of numerical libraries, as one sentence each."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calib.errors import CalibError
from calib.shown import lines, show_traceback


def no_solution() -> tuple[type[Exception], ...]:
    """Return what the libraries raise when eigenvalues do not converge or a matrix has no inverse.

    Libraries are imported here, when something is computed: a command that only shows help needs none.
    """
    import numpy as np
    import torch
    from scipy.sparse.linalg import ArpackError

    return np.linalg.LinAlgError, torch.linalg.LinAlgError, ArpackError


def out_of_memory(error: BaseException) -> bool:
    """Return whether Python, NumPy or torch asked for more memory than there is."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def in_one_sentence(doing: str) -> Iterator[None]:
    """Turn a lack of memory and a decomposition without a solution into one sentence.

    Args:
        doing: start of the sentence, such as ``Reading study 'mi'``.

    Raises:
        CalibError: such an error was raised within; any other error is raised as it is.
    """
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise CalibError(
                f"{doing} needs more memory than there is; make fewer runs at once (--jobs, "
                "hydra.launcher.n_jobs), or use fewer features or samples or a larger machine."
            ) from error
        if isinstance(error, no_solution()):
            raise CalibError(
                f"{doing} failed: a matrix of the data has no decomposition ({str(error).rstrip('.')}); look "
                "for features that are constant, equal or of very different scales, or take another method."
            ) from error
        raise


def interrupted(error: BaseException | None) -> bool:
    """Return whether an error came up while an interrupt was being handled, and so took its place.

    Libraries that tidy up in a ``finally`` can fail there, as the interrupt came in the middle of something.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def command() -> Iterator[None]:
    """End a command in one sentence: that of a ``CalibError``, or where it is interrupted or nobody reads it.

    A log line that nobody reads is dropped, and the work goes on, so a run behind ``| head`` is recorded. The
    sentence of an error, and the traceback of one that nobody caught, are written as they may be shown.
    """
    logging.raiseExceptions = False  # a log line that cannot be written ends no run
    sys.excepthook = show_traceback
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except CalibError as error:
        raise SystemExit(lines(f"Error: {error}")) from error
    except SystemExit as end:
        if isinstance(end.code, str):
            raise SystemExit(lines(end.code)) from end
        raise
    except KeyboardInterrupt:
        sys.exit("Interrupted; what is recorded is kept: repeat the command to go on.")
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - Python flushes it at its end
        sys.exit(
            "Error: the program that reads this output has ended (as head does); what is recorded is kept."
        )
