"""Numerical parts of the methods that the paper's method is compared with.

A comparator is a published method other than the paper's own; its class, with all settings, is in
``calib.methods``. This package holds the parts that such a class computes with.

- ``autoencoder``: DESC's stacked autoencoder and its pre-training.
- ``clusters``: neighbour graphs and Louvain's method, for BERMUDA and DESC.
- ``metaneighbor``: similarity of clusters of different batches, for BERMUDA.
- ``seurat``: canonical correlation, anchors, warping and nearest neighbours, for Seurat, CCA and MNN.
- ``sva``: surrogate variables, for SVA and frozen SVA.
"""
