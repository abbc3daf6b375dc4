"""Advice for ``scripts/predict.py``: the readers' errors speak of settings of ``run.py``, which it lacks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from calib.data.cautions import logged, noting
from calib.errors import CalibError

ADVICE = (
    (
        r"; set dataset\.normalise=10000, .*",
        "; give the values that the model was trained on, or name their layer with layer=.",
    ),
    (
        r"; set dataset\.normalise=null if .*",
        "; give raw counts, or name their layer with layer=.",
    ),
    (
        r"; repair the file or set dataset\.impute=.*",
        "; fill them in the file (the model's study fills none).",
    ),
    (r"; remove it from all batches or set dataset\.impute=zero\.", "; fill it in the file."),
    (r" Name the classes in the dataset's settings\.", " Correct it, or read no labels with label= (empty)."),
    (r"; leave it out with dataset\.ignore=.*", "; the model needs numbers in it."),
    (r", or leave it out with dataset\.ignore=.*", "."),
    (r" \(dataset\.impute fills it\)", ""),
    (r", or name the batches to take in dataset\.batches, .*", "."),
    (r"; (.*) or name another layer with dataset\.layer\.", r"; \1 or name another layer with layer=."),
    (r"dataset\.path", "data="),
    (r"dataset\.(batch|label|subject|sample|layer)\b(=null|=)?", r"\1="),
)
"""Pattern of an advice for ``run.py`` -> the advice for ``scripts/predict.py``."""


@contextmanager
def advice_for_predictions() -> Iterator[None]:
    """Turn the advice of errors and warnings that arise within into advice for ``scripts/predict.py``.

    Raises:
        CalibError: the error with its advice reworded.
    """
    try:
        with noting() as found:
            yield
    except CalibError as error:
        raise type(error)(_reworded(str(error))) from error
    logged([replace(caution, text=_reworded(caution.text)) for caution in found])


def _reworded(text: str) -> str:
    """Return a sentence with its advice for ``scripts/predict.py``."""
    for pattern, advice in ADVICE:
        text = re.sub(pattern, advice, text)
    return text
