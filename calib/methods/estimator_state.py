"""Fitted estimators of scikit-learn as an array of bytes that can be read again without running code.

skops writes an estimator as JSON and arrays, without pickles, and builds nothing but types that are trusted:
those of scikit-learn, NumPy and SciPy that it lists, and ``TRUSTED``. What is read is used only if it is the
kind of estimator that the settings name.
"""

import copy
import io
import zipfile
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from skops.io import dumps, loads

from calib.methods.base import State

KEPT = (LogisticRegression, SVC, HistGradientBoostingClassifier)
"""Estimators that can be kept."""

TRUSTED = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
"""Types within them that skops does not trust by itself; they hold numbers and other estimators."""

ESTIMATOR, VERSION = "estimator", "scikit-learn"
"""Keys of the state."""

Bytes = NDArray[np.uint8]


def is_kept(estimator: BaseEstimator) -> bool:
    """Return whether a fitted estimator of this kind can be kept; a search or calibration wraps another."""
    if isinstance(estimator, GridSearchCV | CalibratedClassifierCV):
        return is_kept(estimator.estimator)
    return isinstance(estimator, KEPT)


def estimator_state(model: Any) -> State:
    """Return the state of a fitted estimator; of a search that of the estimator that it has chosen."""
    kept = copy.copy(model.best_estimator_ if isinstance(model, GridSearchCV) else model)
    if isinstance(kept, CalibratedClassifierCV):
        kept.cv = None  # the folds of the fit, which nothing needs afterwards
    return {ESTIMATOR: _bytes(dumps(kept)), VERSION: _bytes(sklearn.__version__.encode())}


def restored_estimator(state: State, configured: BaseEstimator, features: int, n_classes: int) -> Any:
    """Return the fitted estimator whose ``estimator_state`` was ``state``.

    Args:
        state: the state, which somebody else may have written.
        configured: the estimator that the settings name.
        features: number of features that it has to take.
        n_classes: number of classes of the study.

    Raises:
        ValueError: the state is of another version of scikit-learn, or is no such estimator.
    """
    version = state[VERSION].astype(np.uint8).tobytes().decode("ascii", "replace")
    if version != sklearn.__version__:
        raise ValueError(f"it was saved with scikit-learn {version}, and {sklearn.__version__} is installed")
    data = state[ESTIMATOR].astype(np.uint8).tobytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, so that its size cannot be told before")
        model: Any = loads(data, trusted=TRUSTED)
    except Exception as error:  # skops raises a dozen kinds of errors on damaged and on untrusted data
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise ValueError(f"its estimator cannot be read: {reason}") from error
    expected = type(configured.estimator if isinstance(configured, GridSearchCV) else configured)
    if type(model) is not expected:
        raise ValueError(f"it holds a {type(model).__name__}, not a {expected.__name__}")
    if getattr(model, "n_features_in_", None) != features:
        raise ValueError(f"its estimator takes {getattr(model, 'n_features_in_', None)} features")
    classes = np.asarray(model.classes_)
    if classes.dtype.kind != "i" or not len(classes) or classes.min() < 0 or classes.max() >= n_classes:
        raise ValueError("its estimator has classes that the study has not")
    if isinstance(model, HistGradientBoostingClassifier):
        _check_trees(model, features)
    return model


def _check_trees(model: HistGradientBoostingClassifier, features: int) -> None:
    """Check that every node of every tree leads to a later one: scikit-learn follows them without a look.

    Raises:
        ValueError: a node leads elsewhere, or asks for a feature that there is not.
    """
    for trees in model._predictors:
        for tree in trees:
            nodes = tree.nodes[~tree.nodes["is_leaf"].astype(bool)]
            places = np.flatnonzero(~tree.nodes["is_leaf"].astype(bool))
            ends = np.stack([nodes["left"], nodes["right"]]).astype(np.int64)
            if (ends <= places).any() or (ends >= len(tree.nodes)).any():
                raise ValueError("its trees have branches that lead nowhere")
            if (nodes["feature_idx"] < 0).any() or (nodes["feature_idx"] >= features).any():
                raise ValueError("its trees ask for features that there are not")
            if nodes["is_categorical"].any():
                raise ValueError("its trees have categories, which no method here has")


def _bytes(data: bytes) -> Bytes:
    """Return bytes as an array."""
    return np.frombuffer(data, np.uint8)
