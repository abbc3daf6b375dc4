"""A job in a process of its own: what kills the process is then an error of that job alone."""

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
"""Else numba, which scanpy uses, ends every child of a process in which it has run before."""

Task = Callable[[DictConfig], object]


def isolated(task: Task, name: Callable[[DictConfig], str]) -> Task:
    """``task`` in a child process, for the workers of a sweep, where the system can fork (Linux).

    When the memory is full the system kills the largest process without a word. If that is the worker
    itself, joblib gives up all runs; a child is lost alone. A child also frees all its memory at its end,
    and its peak memory is that of its run.

    Args:
        name: of the run, for the message.

    Returns:
        The task, which raises what the child raises, and CalibError where the child was killed.
    """
    if sys.platform != "linux":
        return task

    @functools.wraps(task)
    def job(config: DictConfig) -> None:
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # loads a part of torch, for all children
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(task, config, sender))
        with warnings.catch_warnings():  # a forked child has one thread; see what _child does about locks
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        sender.close()
        try:
            error = receiver.recv()
        except EOFError:  # it ended without a word
            child.join()
            error = _death(name(config), child.exitcode or 0)
        child.join()
        if error is not None:
            raise error

    return job


def _child(task: Task, config: DictConfig, sender: Connection) -> None:
    tqdm.set_lock(threading.RLock())  # a thread of the parent's may just hold the one that was copied
    try:
        task(config)
    except Exception as error:
        error.add_note(traceback.format_exc())  # which is lost on the way
        _send(sender, error)
    else:
        sender.send(None)


def _send(sender: Connection, error: Exception) -> None:
    try:
        sender.send(error)
    except Exception:  # an error that cannot be sent, or holds something that cannot
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _death(name: str, code: int) -> Exception:
    how: Any = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return CalibError(
        f"The process of {name} was killed ({how}), most likely because the memory was full; the other runs "
        "go on: repeat the command for this one, with fewer at once (--jobs, hydra.launcher.n_jobs)."
    )
