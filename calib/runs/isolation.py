"""Jobs in child processes: a killed child is an error of its own job only."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from calib.errors import CalibError

os.environ.setdefault("NUMBA_THREADING_LAYER", "forksafe")
"""Threads of numba (used by scanpy) that survive a fork of a process in which numba has run before."""

Task = Callable[[DictConfig], object]
"""A function that carries out the run of a configuration."""


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
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # loads parts of torch once for all children
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(task, config, sender))
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


def _child(task: Task, config: DictConfig, sender: Connection) -> None:
    """Run the task in the child process and send its error, or None, to the parent."""
    tqdm.set_lock(threading.RLock())  # the copied lock may be held by a thread that only the parent has
    try:
        task(config)
    except Exception as error:
        error.add_note(traceback.format_exc())  # pickling loses the traceback
        _send(sender, error)
    else:
        sender.send(None)


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
