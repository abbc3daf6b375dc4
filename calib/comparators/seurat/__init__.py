"""Numerical parts of the methods Seurat and CCA.

- ``canonical``: canonical correlation of batches, for CCA and for Seurat's anchors.
- ``anchors``: Seurat's anchors between two batches.
- ``warping``: CCA's dynamic time warping of canonical directions.
"""
