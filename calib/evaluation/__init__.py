"""Evaluation of predictions and of calibrated data: metrics, intervals, distances and novelty."""
