"""The unit of measured values."""

PAPERS_UNIT = 100.0
"""Value by which arcsinh divides in the paper's studies, intensities of MALDI mass spectrometry."""
