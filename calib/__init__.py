"""Multi-batch calibration for classification in omics: Niu et al. 2021, recomputed from its data."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Return an estimator, imported on first use because importing it loads torch."""
    if name in ("BatchClassifier", "BatchCorrector", "JointCalibrator", "LeaveOneBatchOut"):
        from calib import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'calib' has no attribute '{name}'")
