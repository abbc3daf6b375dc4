"""Whether the seed can change what a part of a method computes."""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

STOCHASTIC = ("sag", "saga", "liblinear")
"""Solvers of logistic regression that draw random numbers."""

DRAWS: Mapping[type[BaseEstimator], Callable[[Any], bool]] = {
    LogisticRegression: lambda model: model.solver in STOCHASTIC,
    SVC: lambda model: model.probability is True,
    HistGradientBoostingClassifier: lambda model: model.early_stopping is not False or model.max_features < 1,
}
"""Estimators of scikit-learn that use their ``random_state`` with some settings only -> whether they do."""


def uses_seed(part: object) -> bool:
    """Return whether the seed can change what a corrector, mapper or classifier computes.

    A part says so by an attribute ``uses_seed``; one that has none is taken to use the seed, so that nobody
    draws a conclusion from one of its trainings.
    """
    return bool(getattr(part, "uses_seed", True))


def estimator_uses_seed(estimator: BaseEstimator) -> bool:
    """Return whether an estimator of scikit-learn, or one inside it, draws random numbers in its fit."""
    settings = estimator.get_params(deep=False)
    inside = [value for value in settings.values() if isinstance(value, BaseEstimator)]
    own = "random_state" in settings and DRAWS.get(type(estimator), lambda _: True)(estimator)
    return own or any(map(estimator_uses_seed, inside))
