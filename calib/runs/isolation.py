"""Jobs in child processes: a killed child is an error of its own job only."""

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from calib.errors import CalibError

os.environ.setdefault("NUMBA_THREADING_LAYER", "forksafe")
"""Threads of numba (used by scanpy) that survive a fork of a process in which numba has run before."""

PR_SET_PDEATHSIG = 1
"""Option of Linux's ``prctl``: the signal that a process gets when its parent ends."""

GRACE = 10.0
"""Seconds that a process has to end in order after SIGTERM."""

Task = Callable[[DictConfig], object]
"""A function that carries out the run of a configuration."""


def _load_once() -> None:
    """Import what computes, parts of torch included, once for all children of this process."""
    import torch

    import calib.runs.experiment

    assert calib.runs.experiment
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def isolated(task: Task, name: Callable[[DictConfig], str]) -> Task:
    """Return a function that runs ``task`` in a child process; ``task`` itself where the system is not Linux.

    When the memory is full, the system kills the largest process without a message. If that is a worker of
    a sweep, joblib gives up all runs; if it is a child, only its run is lost. A child also frees all its
    memory at its end, and its peak memory is that of its run.

    Args:
        task: function that carries out a run.
        name: function that returns the name of the run for messages.

    Returns:
        The function. It raises the child's error, or CalibError if the child was killed.
    """
    if sys.platform != "linux":
        return task

    @functools.wraps(task)
    def job(config: DictConfig) -> None:
        if multiprocessing.parent_process() is not None:  # a worker of a sweep
            end_with_parent(os.getppid())
        _load_once()
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(task, config, sender, os.getpid()))
        with warnings.catch_warnings():  # a forked child has one thread; _child renews the locks
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        sender.close()
        try:
            error = receiver.recv()
        except EOFError:  # the child was killed
            child.join()
            error = _death(name(config), child.exitcode or 0)
        child.join()
        if error is not None:
            raise error

    return job


def _child(task: Task, config: DictConfig, sender: Connection, parent: int) -> None:
    """Run the task in the child process and send its error, or None, to the parent."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent(parent)
    tqdm.set_lock(threading.RLock())  # the copied lock may be held by a thread that only the parent has
    try:
        task(config)
    except Exception as error:
        error.add_note(traceback.format_exc())  # pickling loses the traceback
        _send(sender, error)
    else:
        sender.send(None)


def end_with_parent(parent: int) -> None:
    """Let the system kill this process when the process that started it ends; only on Linux.

    Without it, the trainings of a sweep whose parent was killed would go on, and the next command would wait
    for their records.

    Args:
        parent: id of that process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does: workers are ended, locks and half-written files removed.

    By default the signal would end the process at once, and its workers would not notice. A signal that comes
    in the middle of a call that swallows errors is lost; so after ``GRACE`` seconds the process ends at once.
    A call may also answer the signal with an error of its own, which then stands for the end.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one may set a handler
        yield
        return

    received: list[int] = []

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        received.append(number)
        last = threading.Timer(GRACE, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except Exception:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _send(sender: Connection, error: Exception) -> None:
    """Send an error to the parent, as its text if it cannot be pickled."""
    try:
        sender.send(error)
    except Exception:  # the error, or a value in it, cannot be pickled
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _death(name: str, code: int) -> Exception:
    """Return the error for a child that was killed.

    Args:
        code: exit code of the process, negative for the number of a signal.
    """
    how: Any = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return CalibError(
        f"The process of {name} was killed ({how}), most likely because the memory was full; the other runs "
        "go on: repeat the command for this one, with fewer at once (--jobs, hydra.launcher.n_jobs)."
    )
