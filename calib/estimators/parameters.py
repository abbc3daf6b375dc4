"""The parameters that all estimators have: a method, its settings and the surroundings of a training."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from calib.estimators.settings import SEPARATOR
from calib.protocol import Protocol
from calib.runtime import Runtime

LARGEST_SEED = 2**31 - 1
"""Largest seed that is drawn from a ``RandomState``."""


class MethodEstimator(BaseEstimator):
    """The base class of the estimators; its parameters are those of ``BatchClassifier``."""

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

    def set_params(self, **params: Any) -> "MethodEstimator":
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

    def _runtime(self) -> Runtime:
        """Return seed, device and number type of a training."""
        seed = self.random_state
        if not isinstance(seed, int):
            drawn = hasattr(seed, "__index__")
            seed = int(seed) if drawn else check_random_state(seed).randint(LARGEST_SEED)
        return Runtime.from_names(int(seed), self.device, self.dtype, self.progress)


def _is_fitted_name(name: str) -> bool:
    """Return whether an attribute is made by ``fit``."""
    return name.startswith("_") or (name.endswith("_") and not name.endswith(SEPARATOR))
