"""Multi-batch calibration for classification in omics: Niu et al. 2021, recomputed from its data."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Return an estimator or ``answer``, imported on first use because importing them loads torch."""
    if name in ("BatchClassifier", "BatchCorrector", "JointCalibrator", "LeaveOneBatchOut"):
        from calib import estimators

        return getattr(estimators, name)
    if name == "answer":
        from calib.plates.arrays import answer

        return answer
    raise AttributeError(f"module 'calib' has no attribute '{name}'")
