"""Numerical parts of SVA and frozen SVA (``calib.methods.sva``), computed as in Bioconductor's ``sva``.

- ``number``: how many surrogate variables a set of samples has.
- ``surrogates``: the surrogate variables of labelled samples.
- ``lfdr``: local false discovery rates, which weight the features.
- ``frozen``: surrogate variables of new samples, for frozen SVA.
"""
