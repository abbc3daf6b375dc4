"""Every method of ``conf/method`` as a scikit-learn classifier."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, OmegaConf
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags, assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from calib.data.cautions import logged, noting
from calib.data.checks import cautions
from calib.data.matrix import Matrix
from calib.data.overlaps import with_marks
from calib.data.split import Split
from calib.data.study import FloatArray, IntArray, Samples, in_unit
from calib.estimators.answers import Answers
from calib.estimators.arrays import (
    as_value_errors,
    batches_in_order,
    column_of,
    feature_names,
    names_of,
    study_of,
    values_of,
)
from calib.estimators.settings import SEPARATOR, configured
from calib.protocol import Protocol
from calib.runs.experiment import task_of
from calib.runs.input_checks import before_training
from calib.runs.run import make_run, scaled, units_in
from calib.runs.training_checks import after_training
from calib.runtime import Runtime, torchs_own_defaults

TARGET = "target"
"""The batch of all samples of ``X_target``, where no batches are named."""


class BatchClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """A classifier of samples from several batches, some of them without labels.

    It is what ``python run.py method=...`` runs, with the same numbers. ``fit`` is given all batches::

        model = BatchClassifier("joint_plus").fit(X, y, batch=plate)  # y is None or NaN on blank plates
        model.predict(X[plate == "plate_3"], batch=plate[plate == "plate_3"])

    Samples of the training are answered as the training answered their whole batch, whichever of them are
    asked for. Other samples are batches that the method has not seen, which not every method can answer
    (``judges_new_batches_``).

    Args:
        method: name of a method, as in ``conf/method``.
        protocol: ``"paper"``, ``"released"``, ``"corrected"`` or another of ``conf/protocol``, or a
            ``Protocol``.
        unit: value by which arcsinh divides the data, where the method or protocol has one; None: that of the
            data themselves (``calib.data.transform.own_unit``).
        unlabelled: value that marks a missing label in ``y``, as None and NaN do.
        random_state: seed, or a ``RandomState`` from which a seed is drawn.
        device, dtype: device and number type of the training.
        progress: whether to show a progress bar, where there is a terminal.
        settings: settings of the method, with two underscores in the place of a dot: ``epochs=100`` or
            ``method__epochs=100``, ``joint__lr=1e-3``, ``protocol__transform="arcsinh"``,
            ``classifier="logistic"``.

    Attributes:
        classes_: class labels.
        n_features_in_: number of features.
        batches_: names of the batches, sources first.
        sources_, targets_: names of the batches with and without labels.
        card_: what is known of the method: label, summary, kind, source.
        judges_new_batches_: whether samples can be answered that were not in the training.
        history_: table of the losses of every epoch.
        warnings_: the warnings that were logged, each with its ``code`` and ``text``.
    """

    accepts_sparse: ClassVar[bool] = True

    def __init__(
        self,
        method: str = "joint_plus",
        protocol: str | Protocol = "paper",
        unit: float | None = None,
        unlabelled: object = None,
        random_state: Any = 0,
        device: str = "cpu",
        dtype: str = "float32",
        progress: bool = False,
        **settings: Any,
    ) -> None:
        self.method = method
        self.protocol = protocol
        self.unit = unit
        self.unlabelled = unlabelled
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.progress = progress
        for name, value in settings.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, settings of the method included."""
        return {**super().get_params(deep), **self._settings()}

    def set_params(self, **params: Any) -> "BatchClassifier":
        """Set parameters, and settings of the method."""
        own = self._get_param_names()
        super().set_params(**{name: value for name, value in params.items() if name in own})
        for name, value in params.items():
            if name not in own:
                setattr(self, name, value)
        return self

    def _settings(self) -> dict[str, Any]:
        """Return the settings of the method: what was set beside the parameters."""
        own = set(self._get_param_names())
        return {name: v for name, v in vars(self).items() if name not in own and not _is_fitted_name(name)}

    def _configured(self) -> DictConfig:
        """Return the configuration of the method."""
        return configured(self.method, self.protocol, self._settings())

    def fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        batch: ArrayLike | str | None = None,
        subject: ArrayLike | str | None = None,
        replicate: ArrayLike | str | None = None,
        X_target: ArrayLike | None = None,  # noqa: N803
        batch_target: ArrayLike | str | None = None,
    ) -> "BatchClassifier":
        """Train on all batches.

        Args:
            X: data ``(samples, features)``, finite: an array, a table, a sparse matrix or an AnnData.
            y: labels ``(samples,)``, missing for the samples to be judged. The unlabelled samples of a batch
                that is labelled in part become a target of their own.
            batch: name of each sample's batch ``(samples,)``; of an AnnData, also the name of a column of
                ``obs``; None: all samples are one batch.
            subject: name of each sample's subject.
            replicate: name of the sample that each row measures, which some methods average over; None: the
                subject.
            X_target: further samples without labels ``(targets, features)``.
            batch_target: name of the batch of each of those; None: they are one batch.

        Raises:
            ValueError: shapes disagree, there are fewer than two classes, or the method cannot be used so.
        """
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        named = [column_of(X, column, what) for column, what in
                 ((batch, "batch"), (subject, "subject"), (replicate, "replicate"))]  # fmt: skip
        labels = column_of(X, y, "y")
        x = self._values(X, reset=True, ensure_min_samples=2)
        index = self._class_indices(labels, x)
        names = [
            names_of(values, x.shape[0], what)
            for values, what in zip(named, ("batch", "subject", "replicate"), strict=True)
        ]
        if X_target is not None:
            x, index, names = self._with_targets(x, index, names, X_target, batch_target)
        with as_value_errors():
            self._train(x, index, *names)
        return self

    def _values(self, data: Any, reset: bool = False, **checks: Any) -> Matrix:
        """Return data as finite numbers ``(samples, features)``, an array or CSR."""
        kinds = [np.float64, np.float32]
        stored = "csr" if self.accepts_sparse else False
        found: Matrix = validate_data(
            self, values_of(data), accept_sparse=stored, dtype=kinds, reset=reset, **checks
        )
        return found

    def _class_indices(self, labels: Any, x: Matrix) -> IntArray:
        """Return the class index of each sample, -1 without a label ``(samples,)``, and keep ``classes_``."""
        labels = column_or_1d(labels, warn=True)
        check_consistent_length(x, labels)
        has_label = ~(pd.isna(labels) | (labels == self.unlabelled))
        known = np.array(labels[has_label].tolist())
        assert_all_finite(known, input_name="y")
        check_classification_targets(known)
        self.classes_, index = np.unique(known, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"There are labels of {len(self.classes_)} class; at least two classes are needed."
            )
        found = np.full(x.shape[0], -1, np.int64)
        found[has_label] = index
        return found

    def _with_targets(
        self, x: Matrix, index: IntArray, names: list[Any], data: Any, batch: Any
    ) -> tuple[Matrix, IntArray, list[Any]]:
        """Return samples, class indices and names with further samples that have no labels."""
        given = column_of(data, batch, "batch_target")
        more = self._values(data)
        rows = more.shape[0]
        first = names[0] if names[0] is not None else np.full(x.shape[0], "source")
        second = names_of(given, rows, "batch_target")
        second = np.full(rows, TARGET) if second is None else second
        if shared := set(first) & set(second):
            raise ValueError(
                f"batch_target names '{min(shared)}', which is a batch of X; give unlabelled samples of that "
                "batch in X."
            )
        for what, values in zip(("subject", "replicate"), names[1:], strict=True):
            if values is not None:
                raise ValueError(f"{what} of the samples of X_target is unknown; give all samples in X.")
        stack = sparse.vstack([x, more], "csr") if sparse.issparse(x) else np.concatenate([x, more])
        return (
            stack,
            np.concatenate([index, np.full(rows, -1)]),
            [np.concatenate([first, second]), None, None],
        )

    def _train(self, x: Matrix, y: IntArray, batch: Any, subject: Any, replicate: Any) -> None:
        """Train the method and keep what answers later calls."""
        config = self._configured()
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        config.seed, config.device, config.dtype = int(seed), self.device, self.dtype
        classes = [str(label) for label in self.classes_]
        with noting() as found:
            made = study_of(x, y, classes, feature_names(self), batch, subject, replicate)
        study = with_marks(in_unit(made, self.unit))
        prepared, data = scaled(study, config)
        sides = [
            tuple(name for name, one in study.batches.items() if (one.y is not None) == labelled)
            for labelled in (True, False)
        ]
        run = make_run(config, prepared, data, Split(sides[0], sides[1], "arrays"))
        if run.method.uses_target_labels:
            raise ValueError(
                f"method={self.method} needs the labels of the batches that it judges: a reference for an "
                "evaluation on the command line."
            )
        task = task_of(run)
        runtime = Runtime.from_names(int(seed), self.device, self.dtype, self.progress)
        unit, runtime.unit = units_in(data)
        self.warnings_ = logged([*found, *cautions(prepared, run.split), *before_training(run, task)])
        with torchs_own_defaults():
            fitted = run.method.fit(task, runtime)
            self._answers = Answers(fitted, task.batches, study, run, unit)
            probability = {name: self._answers.probability(name) for name in run.split.targets}
            self.warnings_ += logged(after_training(run, task, fitted, probability))
        self.sources_, self.targets_ = list(run.split.sources), list(run.split.targets)
        self.batches_ = [*self.sources_, *self.targets_]
        self.card_: Mapping[str, Any] = OmegaConf.to_container(config.method.card, resolve=True)  # type: ignore[assignment]
        self.judges_new_batches_ = run.method.judges_new_batches
        self.history_ = pd.DataFrame(runtime.history)

    def predict_proba(
        self,
        X: ArrayLike,  # noqa: N803
        batch: ArrayLike | str | None = None,
        replicate: ArrayLike | str | None = None,
    ) -> NDArray[np.floating]:
        """Return class probabilities ``(samples, classes)``, in the order of ``classes_``.

        Args:
            X: data ``(samples, features)``, finite.
            batch: name of each sample's batch; None: they are samples of the training, or else one batch.
            replicate: name of the sample that each row measures, of samples that are not of the training.

        Raises:
            ValueError: there are samples of batches that the method has not seen and cannot answer.
        """
        return self._by_batch("probability", X, batch, replicate)

    def predict(
        self,
        X: ArrayLike,  # noqa: N803
        batch: ArrayLike | str | None = None,
        replicate: ArrayLike | str | None = None,
    ) -> NDArray[Any]:
        """Return the most probable class of each sample ``(samples,)``; arguments as of ``predict_proba``."""
        best = self.predict_proba(X, batch, replicate).argmax(axis=1)
        return self.classes_[best]

    def transform(
        self,
        X: ArrayLike,  # noqa: N803
        batch: ArrayLike | str | None = None,
    ) -> NDArray[np.floating]:
        """Return the calibrated data ``(samples, dimensions)``; arguments as of ``predict_proba``."""
        return self._by_batch("calibrated", X, batch, None)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.accepts_sparse
        tags.transformer_tags.preserves_dtype = []  # calibrated data have the number type of the training
        return tags

    def _by_batch(self, what: str, data: Any, batch: Any, replicate: Any) -> FloatArray:
        """Return the probabilities or the calibrated data of samples, in their order."""
        check_is_fitted(self)
        given, measures = column_of(data, batch, "batch"), column_of(data, replicate, "replicate")
        x = self._values(data)
        names = names_of(given, x.shape[0], "batch")
        measured = names_of(measures, x.shape[0], "replicate")
        groups = batches_in_order(names, x.shape[0])
        parts = []
        with as_value_errors(), torchs_own_defaults():
            for name, rows in groups.items():
                part = Samples(name, x[rows], replicate=None if measured is None else measured[rows])
                parts.append(self._answers.of(part, what, anywhere=names is None))
        order = np.argsort(np.concatenate(list(groups.values())), kind="stable")
        return np.concatenate(parts)[order]


def _is_fitted_name(name: str) -> bool:
    """Return whether an attribute is made by ``fit``."""
    return name.startswith("_") or (name.endswith("_") and not name.endswith(SEPARATOR))
