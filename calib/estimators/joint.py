"""The paper's joint model as a scikit-learn classifier and transformer."""

from typing import Any

from sklearn.base import BaseEstimator

from calib.config import build
from calib.estimators.classifier import BatchClassifier
from calib.protocol import Protocol
from calib.registry import CONF
from calib.runs.compositions import compositions
from calib.training import Epochs

LENGTH = {"least": 100, "iterations": 1000}
"""The rule for the number of epochs, as in ``conf/method/joint.yaml``."""


class JointCalibrator(BatchClassifier):
    """The paper's joint calibration and classification (Niu et al. 2021, Eqs 1-4).

    Labels are known for some batches (sources) and missing for others (targets). ``fit`` uses all of them::

        model = JointCalibrator().fit(X, y, batch=plate)  # y is None or NaN on plates without labels
        model.predict_proba(X[plate == "new"])

    Args:
        epochs: number of epochs, or a rule as in ``training.Schedule``; None: 100, or more until there are
            1000 iterations.
        batch_size, lr, learning_step, weight_decay, dropout: as in ``calib.methods.joint.Joint``.
        alpha1, beta, alpha2, gamma, lambda1, lambda2, reconstruct_targets: likewise.
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
        warnings_, class_mix_: as in ``BatchClassifier``.
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
        super().__init__("joint", protocol, unit, unlabelled, None, random_state, device, dtype, progress)
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

    accepts_sparse = False

    def _settings(self) -> dict[str, Any]:
        """Return the settings of the method, all of which are parameters here."""
        others = ("protocol", "unit", "unlabelled", "random_state", "device", "dtype", "progress")
        settings = {name: getattr(self, name) for name in self._get_param_names() if name not in others}
        return settings | {"epochs": LENGTH if self.epochs is None else self.epochs}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters."""
        return BaseEstimator.get_params(self, deep)

    def set_params(self, **params: Any) -> "JointCalibrator":
        """Set parameters."""
        BaseEstimator.set_params(self, **params)
        return self


def protocol_named(name: str) -> Protocol:
    """Return a protocol of ``conf/protocol``, as configured."""
    made: Protocol = build(compositions(CONF).compose(f"protocol={name}").protocol)
    return made
