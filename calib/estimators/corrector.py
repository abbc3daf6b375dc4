"""Corrections of batches for scikit-learn."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from omegaconf import OmegaConf
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from calib.config import build, compose
from calib.data.study import Samples
from calib.data.transform import checked, own_unit
from calib.estimators.arrays import (
    as_value_errors,
    batches_in_order,
    column_of,
    feature_names,
    names_of,
    values_of,
)
from calib.methods.base import Corrector
from calib.methods.corrected import SupervisedCorrector, finite
from calib.registry import CONF
from calib.runs.run import method_settings
from calib.runtime import Runtime, torchs_own_defaults


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
        x = validate_data(self, values_of(X), dtype=np.float64)
        groups = batches_in_order(names_of(column_of(X, batch, "batch"), len(x), "batch"), len(x))
        corrector: Corrector | SupervisedCorrector = build(OmegaConf.create(self._settings()))
        if isinstance(corrector, SupervisedCorrector):
            raise ValueError(
                f"method={self.method} needs labels of some batches; use it from the command line."
            )
        runtime = Runtime.from_names(self.random_state, self.device, self.dtype, self.progress)
        runtime.unit = own_unit([x[rows] for rows in groups.values()]) if self.unit is None else self.unit
        names = feature_names(self)
        with as_value_errors(), torchs_own_defaults():
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
