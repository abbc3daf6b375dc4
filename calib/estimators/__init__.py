"""Scikit-learn estimators of the methods, for notebooks: the same code without the command line."""

from calib.estimators.classifier import BatchClassifier
from calib.estimators.corrector import BatchCorrector
from calib.estimators.joint import JointCalibrator
from calib.estimators.leave_one_batch_out import LeaveOneBatchOut

__all__ = ["BatchClassifier", "BatchCorrector", "JointCalibrator", "LeaveOneBatchOut"]
