"""Advice for ``scripts/predict.py``: the readers' errors speak of settings of ``run.py``, which it lacks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from calib.errors import CalibError

ADVICE = (
    (
        r"; repair the file or set dataset\.impute=.*",
        "; fill them in the file (the model's study fills none).",
    ),
    (r"; remove it from all batches or set dataset\.impute=zero\.", "; fill it in the file."),
    (r" Name the classes in the dataset's settings\.", " Correct it, or read no labels with label= (empty)."),
    (r"; leave it out with dataset\.ignore=.*", "; the model needs numbers in it."),
    (r", or leave it out with dataset\.ignore=.*", "."),
    (r", or name the batches to take in dataset\.batches, .*", "."),
    (r"; (.*) or name another layer with dataset\.layer\.", r"; \1 or name another layer with layer=."),
    (r"dataset\.path", "data="),
    (r"dataset\.(batch|label|subject|sample|layer)\b(=null|=)?", r"\1="),
)
"""Pattern of an advice for ``run.py`` -> the advice for ``scripts/predict.py``."""


@contextmanager
def advice_for_predictions() -> Iterator[None]:
    """Turn the advice of errors that are raised within into advice for ``scripts/predict.py``.

    Raises:
        CalibError: the error with its advice reworded.
    """
    try:
        yield
    except CalibError as error:
        message = str(error)
        for pattern, advice in ADVICE:
            message = re.sub(pattern, advice, message)
        raise type(error)(message) from error
