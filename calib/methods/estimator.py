"""A wrapper that trains any classifier of scikit-learn on all sources together."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from threadpoolctl import threadpool_limits

from calib.data.matrix import blocks, dense
from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.errors import CalibError, check_flag
from calib.methods.base import State
from calib.methods.corrected import UNSAVABLE
from calib.methods.estimator_state import estimator_state, is_kept, restored_estimator
from calib.methods.randomness import estimator_uses_seed
from calib.methods.source_folds import source_folds, source_groups
from calib.methods.source_scale import SourceScale
from calib.runtime import Runtime

log = logging.getLogger(__name__)

Scaling = Callable[[FloatArray], FloatArray]
"""A function of rows ``(samples, features)`` that returns them on another scale."""


class SklearnClassifier:
    """A classifier of scikit-learn, fitted to the rows of all sources.

    The run's seed becomes its ``random_state``, if it has one. A parameter ``cv`` of it that is a number of
    folds becomes so many stratified folds of the sources, with all rows of a subject in one fold where
    subjects are known (``source_folds``).

    Args:
        estimator: a classifier with ``predict_proba``; wrap one without it in ``CalibratedClassifierCV``.
        standardise: whether every feature gets mean 0 and standard deviation 1 over all sources first
            (``SourceScale``), for estimators that depend on the scale of features.

    Raises:
        CalibError: the estimator has no ``predict_proba``, or ``standardise`` is neither true nor false.
    """

    version = 2

    def __init__(self, estimator: BaseEstimator, standardise: bool) -> None:
        check_flag("standardise", standardise)
        if not hasattr(estimator, "predict_proba"):
            raise CalibError(
                f"{type(estimator).__name__} gives no probabilities; put "
                "sklearn.calibration.CalibratedClassifierCV around it, as conf/classifier/svm.yaml does."
            )
        self.estimator = estimator
        self.standardise = standardise

    @property
    def restorable(self) -> bool:
        """Return whether a fitted estimator of this kind can be kept without a pickle."""
        return is_kept(self.estimator)

    @property
    def uses_seed(self) -> bool:
        """Return whether the estimator draws random numbers when it is fitted."""
        return estimator_uses_seed(self.estimator)

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "FittedEstimator":
        """Fit a copy of the estimator to the sources.

        Raises:
            CalibError: scikit-learn refuses the sources or a setting.
        """
        scaled = SourceScale.of(sources) if self.standardise else _as_they_are
        x = np.concatenate([source.dense for source in sources]).astype(np.float64)
        y = np.concatenate([source.y for source in sources])
        model = clone(self.estimator)
        settings = model.get_params()
        places = {name: name.rpartition("__")[2] for name in settings}
        seeds = [name for name, key in places.items() if key == "random_state"]
        counts = {n: settings[n] for n, key in places.items() if key == "cv" and type(settings[n]) is int}
        groups = source_groups(sources) if counts else None
        with _as_configured(model):
            folds = {name: source_folds(y, groups, count) for name, count in counts.items()}
            model.set_params(**dict.fromkeys(seeds, runtime.seed), **folds)
            model.fit(scaled(x), y, **({} if groups is None else {"groups": groups}))
        return FittedEstimator(model, scaled, n_classes, runtime.numpy_dtype)

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedEstimator":
        """Return the fitted estimator whose ``state()`` was ``state``.

        Raises:
            CalibError: an estimator of this kind cannot be kept.
            ValueError: the state is not that of such an estimator.
        """
        if not self.restorable:
            raise CalibError(f"This method {UNSAVABLE}.")
        scaled: Scaling = _as_they_are
        if self.standardise:
            mean, factor = (np.asarray(state[name], np.float64) for name in ("mean", "factor"))
            if mean.shape != (features,) or factor.shape != (features,):
                raise ValueError("its scale has another number of features")
            scaled = SourceScale(mean, factor)
        model = restored_estimator(state, self.estimator, features, n_classes)
        return FittedEstimator(model, scaled, n_classes, runtime.numpy_dtype)


class FittedEstimator:
    """A fitted estimator whose probabilities have one column for each class of the study."""

    def __init__(self, model: Any, scaled: Scaling, n_classes: int, dtype: str) -> None:
        self._model = model
        self._scaled = scaled
        self._n_classes = n_classes
        self._dtype = dtype

    def state(self) -> State:
        """Return the estimator's state, and the scale of the sources where it learnt on that."""
        scale = self._scaled
        kept = {"mean": scale.mean, "factor": scale.factor} if isinstance(scale, SourceScale) else {}
        return {**estimator_state(self._model), **kept}

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch, 0 for classes that no source has."""
        probability = np.zeros((len(samples), self._n_classes), self._dtype)
        with _as_configured(self._model):
            for rows in blocks(samples.x):
                x = self._scaled(dense(samples.x[rows]).astype(np.float64))
                probability[rows, self._model.classes_] = self._model.predict_proba(x)
        return probability


def _as_they_are(x: FloatArray) -> FloatArray:
    """Return rows unchanged."""
    return x


@contextmanager
def _as_configured(model: BaseEstimator) -> Iterator[None]:
    """Give scikit-learn as many threads as the run has, and write its warnings to the run's log.

    Groups of rows reach the folds of every estimator inside another one by scikit-learn's metadata routing.

    Raises:
        CalibError: scikit-learn raises a ValueError within.
    """
    with (
        threadpool_limits(torch.get_num_threads()),
        config_context(enable_metadata_routing=True),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        try:
            yield
        except ValueError as error:
            raise CalibError(f"{type(model).__name__} cannot be fitted to the sources: {error}") from error
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("scikit-learn: %s", text.splitlines()[0])
