"""Corrections of batches for scikit-learn."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, OmegaConf
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from calib.config import build
from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples, Study, Task, in_unit
from calib.errors import CalibError
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
from calib.estimators.labels import class_indices
from calib.estimators.parameters import MethodEstimator
from calib.estimators.settings import NODES, SEPARATOR, configured
from calib.methods.correction import Correction
from calib.methods.lasting import SupervisedCorrector, is_lasting
from calib.protocol import Protocol
from calib.runs.run import method_settings, scaled, units_in
from calib.runtime import torchs_own_defaults

PART = "corrector"
"""The part of a method that corrects."""


class BatchCorrector(TransformerMixin, MethodEstimator):
    """The correction of batches by a method, without its classifier.

    ::

        corrected = BatchCorrector("combat").fit_transform(X, batch=plate)

    ``fit`` takes all batches together. ``transform`` gives their samples as the fit corrected their whole
    batch. It corrects batches that come later, too, onto those of the fit, which stay as they are; a few
    methods cannot do so (``corrects_new_batches_``).

    Args:
        method: name of a method that corrects, as in ``conf/method``: ``combat``, ``harmony``, ``mnn``, ...
        settings: settings of its corrector, such as ``parametric=False``, or of the protocol, such as
            ``protocol__transform="arcsinh"``.
        protocol, unit, unlabelled, random_state, device, dtype, progress: as in ``BatchClassifier``.

    Attributes:
        corrected_: corrected data of the samples of the fit ``(samples, dimensions)``.
        n_features_in_: number of features.
        batches_: names of the batches.
        card_: what is known of the method: label, summary, kind, source.
        corrects_new_batches_: whether batches can be corrected that were not in the fit.
    """

    def __init__(
        self,
        method: str = "combat",
        protocol: str | Protocol = "paper",
        unit: float | None = None,
        unlabelled: object = None,
        random_state: Any = 0,
        device: str = "cpu",
        dtype: str = "float32",
        progress: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(
            method, protocol, unit, unlabelled, random_state, device, dtype, progress, **settings
        )

    def _configured(self) -> DictConfig:
        """Return the configuration of the method.

        Raises:
            CalibError: there is no such method or setting, or the method does not correct data on its own.
        """
        config = configured(self.method, self.protocol, {})
        if PART not in config.method:
            raise CalibError(
                f"method={self.method} does not correct data on its own; BatchClassifier('{self.method}') "
                "has a transform if it has a space."
            )
        if not (given := self._settings()):
            return config
        places = {name: name.partition(SEPARATOR)[0] in (*NODES, PART) for name in given}
        named = {name if places[name] else f"{PART}{SEPARATOR}{name}": v for name, v in given.items()}
        return configured(self.method, self.protocol, named)

    def fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike | str | None = None,
        batch: ArrayLike | str | None = None,
    ) -> "BatchCorrector":
        """Correct all batches.

        Args:
            X: data ``(samples, features)``, finite: an array, a table, a sparse matrix or an AnnData.
            y: labels ``(samples,)``, missing where unknown. Only methods that correct with them look at them
                (SVA, fSVA): batches with labels are their sources.
            batch: name of each sample's batch ``(samples,)``; of an AnnData, also the name of a column of
                ``obs``.

        Raises:
            ValueError: shapes disagree, the method is unknown or the data do not suit it.
        """
        given, labels = column_of(X, batch, "batch"), column_of(X, y, "y")
        x = self._values(X, reset=True)
        with as_value_errors(), torchs_own_defaults():
            config = self._configured()
            corrector = build(OmegaConf.create(method_settings(config)[PART]))
            classes, index = np.empty(0, object), np.full(x.shape[0], -1)
            if isinstance(corrector, SupervisedCorrector):
                classes, index = self._labels(labels, x)
            names = names_of(given, x.shape[0], "batch")
            self._fit(
                config, corrector, study_of(x, index, list(map(str, classes)), feature_names(self), names)
            )
        self.corrected_ = self._by_batch(x, given)
        return self

    def _labels(self, labels: Any, x: Matrix) -> tuple[NDArray[Any], IntArray]:
        """Return the classes, and the class index of each sample, -1 without a label."""
        if labels is None:
            raise CalibError(f"method={self.method} needs labels of some batches: fit(X, y, batch=...).")
        classes, index = class_indices(labels, x, self.unlabelled)
        if len(classes) < 2:
            raise CalibError(f"There are labels of {len(classes)} class; method={self.method} needs two.")
        return classes, index

    def _fit(self, config: DictConfig, corrector: Any, study: Study) -> None:
        """Fit the corrector to the batches of a study, and keep what answers later calls."""
        made = in_unit(study, self.unit)
        prepared, data = scaled(made, config)
        runtime = self._runtime()
        unit, runtime.unit = units_in(data)
        parts = prepared.batches.values()
        sources: list[LabelledSamples] = [part.labelled() for part in parts if part.y is not None]
        targets = [part.unlabelled() for part in parts if part.y is None]
        task = Task(sources, targets, len(study.classes))
        correction = Correction(corrector, task, runtime)
        self.corrects_new_batches_ = is_lasting(corrector)
        why_not = "" if self.corrects_new_batches_ else "corrects only the batches that it is fitted to"
        protocol = config.protocol
        given = Given(
            protocol.transform, protocol.batch_scale, self.dtype, unit, study.features, self.method, why_not
        )
        self._answers = Answers(Space(correction), task.batches, made, given)
        self.batches_ = list(study.batches)
        self.card_ = OmegaConf.to_container(config.method.card, resolve=True)
        self._keeps_features = bool(getattr(corrector, "keeps_features", False))

    def transform(
        self,
        X: ArrayLike,  # noqa: N803
        batch: ArrayLike | str | None = None,
    ) -> NDArray[np.floating]:
        """Return the corrected data ``(samples, dimensions)`` of samples of the fit or of later batches.

        Args:
            X: data ``(samples, features)``, finite.
            batch: name of each sample's batch; None: they are samples of the fit, or else one batch. A later
                batch is corrected by the samples of it that one call has.

        Raises:
            ValueError: there are samples of later batches, and the method cannot correct these.
        """
        check_is_fitted(self)
        return self._by_batch(self._values(X), column_of(X, batch, "batch"))

    def fit_transform(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike | str | None = None,
        batch: ArrayLike | str | None = None,
    ) -> NDArray[np.floating]:
        """Correct the samples as ``fit`` does, and return them ``(samples, dimensions)``."""
        return self.fit(X, y, batch).corrected_

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the corrected data's dimensions: the features', or the method's own."""
        check_is_fitted(self)
        if self._keeps_features:
            return np.array(feature_names(self), object)
        return np.array([f"{self.method}{i}" for i in range(self.corrected_.shape[1])], object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []  # corrected data have the number type of the correction
        return tags

    def _values(self, data: Any, reset: bool = False) -> Matrix:
        """Return data as finite numbers ``(samples, features)``, an array or CSR."""
        kinds = [np.float64, np.float32]
        found: Matrix = validate_data(self, values_of(data), accept_sparse="csr", dtype=kinds, reset=reset)
        return found

    def _by_batch(self, x: Matrix, batch: Any) -> FloatArray:
        """Return the corrected data of samples, in their order."""
        parts, order = parts_of(x, batch, None)
        with as_value_errors(), torchs_own_defaults():
            found = [self._answers.of(part, "calibrated", anywhere=batch is None) for part in parts]
        return np.concatenate(found)[order]


class Space:
    """The corrected data of a correction, as those of a trained method without a classifier."""

    def __init__(self, correction: Correction) -> None:
        self._correction = correction

    def transform(self, samples: Samples) -> Matrix:
        """Return the corrected data ``(samples, dimensions)`` of a batch."""
        return dense(self._correction.of(samples))

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Raise TypeError: there is no classifier."""
        raise TypeError("A correction has no classifier.")
