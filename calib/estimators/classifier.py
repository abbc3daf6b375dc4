"""Every method of ``conf/method`` as a scikit-learn classifier."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, OmegaConf
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from calib.data.cautions import logged, noting
from calib.data.checks import cautions
from calib.data.matrix import Matrix
from calib.data.overlaps import with_marks
from calib.data.split import Split
from calib.data.study import FloatArray, IntArray, Samples, in_unit
from calib.estimators.answers import Answers, Given
from calib.estimators.arrays import (
    as_value_errors,
    column_of,
    feature_names,
    names_of,
    parts_of,
    study_of,
    values_of,
)
from calib.estimators.labels import class_indices, class_order, with_targets
from calib.estimators.parameters import MethodEstimator
from calib.estimators.settings import configured
from calib.estimators.unlike import Unlike
from calib.protocol import Protocol
from calib.runs.fitting import task_of
from calib.runs.input_checks import before_training
from calib.runs.run import make_run, scaled, units_in
from calib.runs.training_checks import after_training
from calib.runtime import torchs_own_defaults


class BatchClassifier(ClassifierMixin, TransformerMixin, MethodEstimator):
    """A classifier of samples from several batches, some of them without labels.

    It is what ``python run.py method=...`` runs, with the same numbers. ``fit`` is given all batches::

        model = BatchClassifier("joint_plus").fit(X, y, batch=plate)  # y is None or NaN on blank plates
        model.predict(X[plate == "plate_3"], batch=plate[plate == "plate_3"])

    Samples of the training are answered as the training answered their whole batch, whichever of them are
    asked for. Other samples are batches that come later, which most methods can answer
    (``judges_new_batches_``); ``fit_batch`` takes such a batch as a whole.

    Args:
        method: name of a method, as in ``conf/method``.
        protocol: ``"paper"``, ``"released"``, ``"corrected"`` or another of ``conf/protocol``, or a
            ``Protocol``.
        unit: value by which arcsinh divides the data, where the method or protocol has one; None: that of the
            data themselves (``calib.data.transform.own_unit``).
        unlabelled: value that marks a missing label in ``y``, as None and NaN do.
        positive: of two classes the one that the method takes for the second; None: the second in their
            order. Networks are drawn for the classes in this order, so it changes their last digits, and some
            unsure answers; ``dataset.positive`` is the same on the command line.
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
        later_batches_: names of the batches that ``fit_batch`` has taken.
        card_: what is known of the method: label, summary, kind, source.
        judges_new_batches_: whether samples can be answered that were not in the training.
        history_: table of the losses of every epoch.
        warnings_: the warnings that were logged, each with its ``code`` and ``text``.
        class_mix_: target or later batch -> class label -> (share, low, high): the estimated share of the
            class in the batch with a 95 % interval, found without labels (docs/class-mix.md). A later batch
            of one sample has none.
    """

    accepts_sparse: ClassVar[bool] = True

    def __init__(
        self,
        method: str = "joint_plus",
        protocol: str | Protocol = "paper",
        unit: float | None = None,
        unlabelled: object = None,
        positive: object = None,
        random_state: Any = 0,
        device: str = "cpu",
        dtype: str = "float32",
        progress: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(
            method, protocol, unit, unlabelled, random_state, device, dtype, progress, **settings
        )
        self.positive = positive

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
        self.classes_, index = class_indices(labels, x, self.unlabelled)
        if len(self.classes_) < 2:
            raise ValueError(
                f"There are labels of {len(self.classes_)} class; at least two classes are needed."
            )
        names = [
            names_of(values, x.shape[0], what)
            for values, what in zip(named, ("batch", "subject", "replicate"), strict=True)
        ]
        if X_target is not None:
            x, index, names = with_targets(x, index, names, X_target, self._values(X_target), batch_target)
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

    def _train(self, x: Matrix, y: IntArray, batch: Any, subject: Any, replicate: Any) -> None:
        """Train the method and keep what answers later calls."""
        config = self._configured()
        runtime = self._runtime()
        config.seed, config.device, config.dtype = runtime.seed, self.device, self.dtype
        self._places = class_order(self.classes_, self.positive)
        y = np.where(y < 0, -1, self._places[y])
        classes = [str(label) for label in self.classes_[np.argsort(self._places)]]
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
        unit, runtime.unit = units_in(data)
        self.warnings_ = logged([*found, *cautions(prepared, run.split), *before_training(run, task)])
        with torchs_own_defaults():
            fitted = run.method.fit(task, runtime)
            self._answers = Answers(fitted, task.batches, study, Given.by(run, unit))
            probability = {name: self._answers.probability(name) for name in run.split.targets}
            self.warnings_ += logged(after_training(run, task, fitted, probability))
        self._unlike = Unlike(study, run.split, self.method, unit, self.classes_.tolist(), self._places)
        self.warnings_ += logged(self._unlike.of_targets(study))
        self.class_mix_ = self._unlike.mixes
        self.sources_, self.targets_ = list(run.split.sources), list(run.split.targets)
        self.batches_ = [*self.sources_, *self.targets_]
        self.later_batches_: list[str] = []
        self.card_: Mapping[str, Any] = OmegaConf.to_container(config.method.card, resolve=True)  # type: ignore[assignment]
        self.judges_new_batches_ = run.method.judges_new_batches
        self.history_ = pd.DataFrame(runtime.history)

    def fit_batch(
        self,
        X: ArrayLike,  # noqa: N803
        batch: ArrayLike | str | None = None,
        replicate: ArrayLike | str | None = None,
    ) -> "BatchClassifier":
        """Take whole batches that come later, without training the method again.

        What the training has learnt stays as it is. Many methods correct or scale a batch by all of its
        samples: afterwards samples of these batches are answered as their whole batch is, whichever of them
        are asked for. Without this call the samples of one call are taken for the whole batch. A batch that
        lies outside what the training saw, or whose class mix the method loses by, is warned of, as
        ``calib predict`` does, and in ``warnings_``.

        Args:
            X: data ``(samples, features)``, finite.
            batch: name of each sample's batch, none of them one of the training; None: they are one batch.
            replicate: name of the sample that each row measures.

        Raises:
            ValueError: a batch is known already, or the method cannot answer batches that come later.
        """
        for part in self._parts(X, batch, replicate)[0]:
            with as_value_errors(), torchs_own_defaults():
                self._answers.add(part)
            self.later_batches_.append(part.name)
            self.warnings_ += logged(self._unlike.of_later(part))
        return self

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

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the calibrated data's dimensions, which are the method's own."""
        check_is_fitted(self)
        width = self._answers.calibrated(self.batches_[0]).shape[1]
        return np.array([f"{self.method}{i}" for i in range(width)], object)

    def _by_batch(self, what: str, data: Any, batch: Any, replicate: Any) -> FloatArray:
        """Return the probabilities or the calibrated data of samples, in their order."""
        parts, order = self._parts(data, batch, replicate)
        with as_value_errors(), torchs_own_defaults():
            found = [self._answers.of(part, what, anywhere=batch is None) for part in parts]
        made = np.concatenate(found)[order]
        return made[:, self._places] if what == "probability" else made

    def _parts(self, data: Any, batch: Any, replicate: Any) -> tuple[list[Samples], NDArray[np.intp]]:
        """Return samples by batch, and the place of each of ``data`` among them."""
        check_is_fitted(self)
        return parts_of(
            self._values(data), column_of(data, batch, "batch"), column_of(data, replicate, "replicate")
        )
