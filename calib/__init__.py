"""Multi-batch calibration for classification in omics: one paper, recomputed from its data."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The estimators, imported when asked for: they bring torch with them."""
    if name in ("JointCalibrator", "BatchCorrector"):
        from calib import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'calib' has no attribute '{name}'")
