"""Scikit-learn estimators of the methods, for notebooks: the same code without the command line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from omegaconf import OmegaConf
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags, assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from calib.config import build, compose
from calib.data.matrix import dense
from calib.data.study import LabelledSamples, Samples, Task
from calib.data.transform import checked, own_unit
from calib.errors import DataError, DivergedError
from calib.failures import NO_SOLUTION
from calib.methods.base import Corrector, Fitted, class_probabilities
from calib.methods.corrected import SupervisedCorrector, finite
from calib.methods.joint import Joint
from calib.protocol import Protocol
from calib.registry import CONF
from calib.runs.run import method_settings
from calib.runtime import Runtime, torchs_own_defaults
from calib.training import Epochs

LENGTH = {"least": 100, "iterations": 1000}
"""The rule for the number of epochs, as in ``conf/method/joint.yaml``."""


class JointCalibrator(ClassifierMixin, TransformerMixin, BaseEstimator):
    """The paper's joint calibration and classification (Niu et al. 2021, Eqs 1-4).

    Labels are known for some batches (sources) and missing for others (targets). ``fit`` uses all of them::

        model = JointCalibrator().fit(X, y, batch=plate)  # y is None or NaN on plates without labels
        model.predict_proba(X[plate == "new"])

    Args:
        epochs: number of epochs, or a rule as in ``training.Schedule``; None: 100, or more until there are
            1000 iterations.
        batch_size, lr, learning_step, weight_decay, alpha1, beta, alpha2, gamma, lambda1, lambda2,
            dropout, reconstruct_targets: as in ``calib.methods.joint.Joint``.
        protocol: ``"paper"`` (the text), ``"released"`` (what the authors' code does) or a ``Protocol``.
        unit: value by which the protocol's arcsinh, if it has one, divides the data; None: that of the data
            themselves (``calib.data.transform.own_unit``).
        unlabelled: value that marks a missing label in ``y``, as None and NaN do.
        random_state: seed, or a ``RandomState`` from which a seed is drawn.
        device, dtype: device and number type of the training.
        progress: whether to show a progress bar, where there is a terminal.

    Attributes:
        classes_: class labels.
        n_features_in_: number of features.
        sources_, targets_: names of the batches with and without labels.
        history_: table of the losses of every epoch.
    """

    def __init__(
        self,
        epochs: Epochs | None = None,
        batch_size: int = 128,
        lr: float = 1e-3,
        learning_step: int = 10_000,
        weight_decay: float = 5e-5,
        alpha1: float = 10,
        beta: float = 10,
        alpha2: float = 10,
        gamma: float = 0.01,
        lambda1: int = 1,
        lambda2: int = 1,
        dropout: float = 0.5,
        reconstruct_targets: bool = False,
        protocol: str | Protocol = "paper",
        unit: float | None = None,
        unlabelled: object = None,
        random_state: Any = 0,
        device: str = "cpu",
        dtype: str = "float32",
        progress: bool = False,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.learning_step = learning_step
        self.weight_decay = weight_decay
        self.alpha1 = alpha1
        self.beta = beta
        self.alpha2 = alpha2
        self.gamma = gamma
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.dropout = dropout
        self.reconstruct_targets = reconstruct_targets
        self.protocol = protocol
        self.unit = unit
        self.unlabelled = unlabelled
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike, batch: ArrayLike | None = None) -> "JointCalibrator":  # noqa: N803
        """Train on all batches.

        Args:
            X: data ``(samples, features)``, finite.
            y: labels ``(samples,)``, missing for every sample of a target batch.
            batch: name of each sample's batch ``(samples,)``; None: all samples are one batch.

        Raises:
            ValueError: shapes disagree, a batch is labelled in part, or there are fewer than two classes.
        """
        refuse_anndata(X)
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if y is None:
            raise ValueError(
                "This JointCalibrator estimator requires y to be passed, but the target y is None."
            )
        labels = column_or_1d(y, warn=True)
        check_consistent_length(x, labels)
        has_label = ~(pd.isna(labels) | (labels == self.unlabelled))
        known_labels = np.array(labels[has_label].tolist())
        assert_all_finite(known_labels, input_name="y")
        check_classification_targets(known_labels)
        self.classes_, index = np.unique(known_labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"There are labels of {len(self.classes_)} class; at least two classes are needed."
            )
        y_index = np.full(len(x), -1, np.int64)
        y_index[has_label] = index

        parts = _batches(batch, len(x))
        self._unit = own_unit([x[rows] for rows in parts.values()]) if self.unit is None else self.unit
        self._protocol = protocol_named(self.protocol) if isinstance(self.protocol, str) else self.protocol
        sources, targets = [], []
        for name, rows in parts.items():
            values = self._prepared(x[rows], f"Batch '{name}'")
            if has_label[rows].all():
                sources.append(LabelledSamples(name, values, y_index[rows]))
            elif not has_label[rows].any():
                targets.append(Samples(name, values))
            else:
                raise ValueError(
                    f"Batch '{name}' has labels for {has_label[rows].sum()} of {len(rows)} samples; a batch "
                    "is either labelled or not: give its unlabelled samples a batch of their own."
                )
        self.sources_, self.targets_ = [s.name for s in sources], [t.name for t in targets]
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        runtime = Runtime.from_names(int(seed), self.device, self.dtype, self.progress)
        not_of_joint = ("protocol", "unit", "unlabelled", "random_state", "device", "dtype", "progress")
        settings = {k: value for k, value in self.get_params(deep=False).items() if k not in not_of_joint}
        settings["epochs"] = LENGTH if self.epochs is None else self.epochs
        method = Joint(**settings, protocol=self._protocol)
        with torchs_own_defaults():
            self._fitted = method.fit(Task(sources, targets, len(self.classes_)), runtime)
        self.history_ = pd.DataFrame(runtime.history)
        return self

    def predict_proba(self, X: ArrayLike, batch: ArrayLike | None = None) -> NDArray[np.floating]:  # noqa: N803
        """Return class probabilities ``(samples, classes)``, in the order of ``classes_``.

        ``batch`` matters only where the protocol normalises each batch by its own statistics or scale.
        """
        return self._by_batch(class_probabilities, X, batch)

    def predict(self, X: ArrayLike, batch: ArrayLike | None = None) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each sample ``(samples,)``."""
        best = self.predict_proba(X, batch).argmax(axis=1)
        return self.classes_[best]

    def transform(self, X: ArrayLike, batch: ArrayLike | None = None) -> NDArray[np.floating]:  # noqa: N803
        """Return the codes in the common space ``(samples, features)``."""
        return self._by_batch(_codes, X, batch)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes have the number type of the training
        return tags

    def _by_batch(
        self,
        function: Callable[[Fitted, Samples], NDArray[np.floating]],
        data: ArrayLike,
        batch: ArrayLike | None,
    ) -> NDArray[np.floating]:
        """Apply a function of the fitted method to each batch, and return the rows in their own order."""
        check_is_fitted(self)
        refuse_anndata(data)
        x = validate_data(self, data, dtype=np.float64, reset=False)
        groups = _batches(batch, len(x))
        parts = []
        for name, rows in groups.items():
            samples = Samples(name, self._prepared(x[rows], f"Batch '{name}'"))
            with _as_value_errors(), torchs_own_defaults():
                parts.append(function(self._fitted, samples))
        order = np.argsort(np.concatenate(list(groups.values())), kind="stable")
        return np.concatenate(parts)[order]

    def _prepared(self, x: NDArray[np.floating], place: str) -> NDArray[np.floating]:
        """Return a batch transformed and scaled as the protocol says."""
        protocol, names = self._protocol, feature_names(self)
        with _as_value_errors():
            made = checked(x, protocol.transform, protocol.batch_scale, self.dtype, place, names, self._unit)
            return dense(made)


class BatchCorrector(BaseEstimator):
    """A comparator that corrects the given batches without labels.

    ::

        corrected = BatchCorrector("combat").fit_transform(X, batch=plate)

    Like scikit-learn's ``TSNE`` it has no ``transform``: these methods correct only the samples that they are
    fitted to.

    Args:
        method: name of the comparator, as in ``conf/method``: ``combat``, ``normae``, ``bermuda``, ``desc``.
        settings: values that replace the published ones, as under ``corrector`` in its YAML file.
        unit: value by which a method's arcsinh, if it has one, divides the data; None: that of the data.
        random_state, device, dtype, progress: as in ``JointCalibrator``.

    Attributes:
        corrected_: corrected data ``(samples, dimensions)``.
        n_features_in_: number of features.
    """

    def __init__(
        self,
        method: str = "combat",
        settings: dict[str, Any] | None = None,
        unit: float | None = None,
        random_state: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        progress: bool = False,
    ) -> None:
        self.method = method
        self.settings = settings
        self.unit = unit
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.progress = progress

    def fit(self, X: ArrayLike, y: object = None, batch: ArrayLike | None = None) -> "BatchCorrector":  # noqa: N803
        """Correct the samples; ``y`` is ignored.

        Args:
            X: data ``(samples, features)``, finite.
            y: ignored.
            batch: name of each sample's batch ``(samples,)``.

        Raises:
            ValueError: shapes disagree.
            CalibError: the method is unknown or the data do not suit it.
        """
        refuse_anndata(X)
        x = validate_data(self, X, dtype=np.float64)
        groups = _batches(batch, len(x))
        corrector: Corrector | SupervisedCorrector = build(OmegaConf.create(self._settings()))
        if isinstance(corrector, SupervisedCorrector):
            raise ValueError(
                f"method={self.method} needs labels of some batches; use it from the command line."
            )
        runtime = Runtime.from_names(self.random_state, self.device, self.dtype, self.progress)
        runtime.unit = own_unit([x[rows] for rows in groups.values()]) if self.unit is None else self.unit
        names = feature_names(self)
        with _as_value_errors(), torchs_own_defaults():
            batches = [
                Samples(name, checked(x[rows], "none", "none", self.dtype, f"Batch '{name}'", names))
                for name, rows in groups.items()
            ]
            corrected = finite(corrector, corrector.correct(batches, runtime))
        order = np.argsort(np.concatenate(list(groups.values())), kind="stable")
        self.corrected_ = np.concatenate([corrected[name] for name in groups])[order]
        return self

    def fit_transform(
        self,
        X: ArrayLike,  # noqa: N803
        y: object = None,
        batch: ArrayLike | None = None,
    ) -> NDArray[np.floating]:
        """Correct the samples as ``fit`` does, and return them ``(samples, dimensions)``."""
        return self.fit(X, y, batch).corrected_

    def _settings(self) -> dict[str, Any]:
        """Return the published settings of the corrector, changed by ``settings``."""
        published = method_settings(compose(CONF, f"method={self.method}"))
        if "corrector" not in published:
            raise ValueError(f"method={self.method} does not correct data on its own.")
        return published["corrector"] | (self.settings or {})


def protocol_named(name: str) -> Protocol:
    """Return the protocol ``paper`` or ``released``, as configured."""
    return build(compose(CONF, f"protocol={name}").protocol)


def refuse_anndata(data: object) -> None:
    """Raise TypeError for an AnnData, of which scikit-learn would read one cell after another."""
    if all(hasattr(data, name) for name in ("X", "obs", "var")):
        raise TypeError(
            "X is an AnnData; give its values as an array, X=adata.X (or adata.X.toarray() where they are "
            "sparse), and the batch of each cell as batch=adata.obs[...]."
        )


def feature_names(estimator: BaseEstimator) -> Sequence[object]:
    """Return the names of the features that an estimator was fitted to, or their positions."""
    return getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Turn errors in the values of the data into what scikit-learn raises for them.

    Raises:
        ValueError: such an error was raised within.
    """
    try:
        yield
    except (DataError, DivergedError, *NO_SOLUTION) as error:
        raise ValueError(str(error)) from error


def _codes(fitted: Fitted, samples: Samples) -> NDArray[np.floating]:
    """Return the codes of a batch ``(samples, features)``."""
    return dense(fitted.transform(samples))


def _batches(batch: ArrayLike | None, rows: int) -> dict[str, NDArray[np.intp]]:
    """Return the row numbers of every batch by its name, in the order of first appearance."""
    if batch is None:
        return {"all": np.arange(rows)}
    names = column_or_1d(batch)
    if len(names) != rows:
        raise ValueError(f"batch names {len(names)} samples, but X has {rows}.")
    if pd.isna(names).any():
        raise ValueError(f"batch is missing for {pd.isna(names).sum()} samples.")
    unique = pd.unique(names)
    found = {str(name): np.flatnonzero(names == name) for name in unique}
    if len(found) < len(unique):
        twice = next(name for name in found if sum(str(other) == name for other in unique) > 1)
        raise ValueError(
            f"batch has several names that are all written {twice}, such as a number and a text; give all "
            "samples of a batch the same one."
        )
    return found
