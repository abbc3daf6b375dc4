"""Numerical parts of the methods Seurat, CCA and MNN.

- ``canonical``: canonical correlation of batches, for CCA and for Seurat's anchors.
- ``anchors``: Seurat's anchors between two batches.
- ``warping``: CCA's dynamic time warping of canonical directions.
- ``neighbours``: nearest and mutual nearest neighbours, for MNN and for Seurat's anchors.
"""
