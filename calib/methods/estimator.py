"""A wrapper that trains any classifier of scikit-learn on all sources together."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from calib.data.matrix import blocks, dense
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples
from calib.errors import CalibError
from calib.methods.base import State
from calib.methods.corrected import UNSAVABLE
from calib.methods.randomness import estimator_uses_seed
from calib.runtime import Runtime

log = logging.getLogger(__name__)


class SklearnClassifier:
    """A classifier of scikit-learn, fitted to the rows of all sources.

    The run's seed becomes its ``random_state``, if it has one. If it has a parameter ``cv`` that is a number
    of folds, this becomes so many stratified folds in the order of the rows: replicates, which are mostly
    neighbouring rows, then mostly stay in one fold.

    Args:
        estimator: a classifier with ``predict_proba``; wrap one without it in ``CalibratedClassifierCV``.

    Raises:
        CalibError: the estimator has no ``predict_proba``.
    """

    version = 1
    restorable = False

    def __init__(self, estimator: BaseEstimator) -> None:
        if not hasattr(estimator, "predict_proba"):
            raise CalibError(
                f"{type(estimator).__name__} gives no probabilities; put "
                "sklearn.calibration.CalibratedClassifierCV around it, as conf/classifier/svm.yaml does."
            )
        self.estimator = estimator

    @property
    def uses_seed(self) -> bool:
        """Return whether the estimator draws random numbers when it is fitted."""
        return estimator_uses_seed(self.estimator)

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "FittedEstimator":
        """Fit a copy of the estimator to the sources.

        Raises:
            CalibError: scikit-learn refuses the sources or a setting.
        """
        x = np.concatenate([source.dense for source in sources]).astype(np.float64)
        y = np.concatenate([source.y for source in sources])
        model = clone(self.estimator)
        parameters = model.get_params()
        seeds = [name for name in parameters if name.rpartition("__")[2] == "random_state"]
        model.set_params(**dict.fromkeys(seeds, runtime.seed))
        try:
            if type(folds := parameters.get("cv")) is int:
                model.set_params(cv=_folds(y, folds))
            with _as_configured():
                model.fit(x, y)
        except ValueError as error:
            raise CalibError(f"{type(model).__name__} cannot be fitted to the sources: {error}") from error
        return FittedEstimator(model, n_classes, runtime.numpy_dtype)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedEstimator":
        """Raise CalibError, because no state of the estimator is kept.

        Raises:
            CalibError: always.
        """
        raise CalibError(f"This method {UNSAVABLE}.")


class FittedEstimator:
    """A fitted estimator whose probabilities have one column for each class of the study."""

    def __init__(self, model: Any, n_classes: int, dtype: str) -> None:
        self._model = model
        self._n_classes = n_classes
        self._dtype = dtype

    def state(self) -> State:
        """Raise CalibError, because no state of the estimator could be kept safely.

        Raises:
            CalibError: always.
        """
        raise CalibError(f"This method {UNSAVABLE}.")

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch, 0 for classes that no source has."""
        probability = np.zeros((len(samples), self._n_classes), self._dtype)
        with _as_configured():
            for rows in blocks(samples.x):
                x = dense(samples.x[rows]).astype(np.float64)
                probability[rows, self._model.classes_] = self._model.predict_proba(x)
        return probability


@contextmanager
def _as_configured() -> Iterator[None]:
    """Give scikit-learn as many threads as the run has, and write its warnings to the run's log."""
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("scikit-learn: %s", text.splitlines()[0])


def _folds(y: IntArray, count: int) -> list[tuple[IntArray, IntArray]]:
    """Return stratified folds of rows; each fold trains on rows that are the only one of their class."""
    classes, sizes = np.unique(y, return_counts=True)
    single = np.flatnonzero(np.isin(y, classes[sizes == 1]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        folds = list(StratifiedKFold(min(count, int(sizes.max()))).split(y, y))
    return [(np.union1d(train, single), test) for train, test in folds]
