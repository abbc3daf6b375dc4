"""Multi-batch calibration for classification in omics: one paper, recomputed from its data."""

__version__ = "0.1.0"
