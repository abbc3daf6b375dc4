"""The methods that are compared, one file each; start reading at ``joint.py``, the paper's method.

Every method fulfils one contract (``base.py``): ``fit`` takes labelled source batches and unlabelled target
batches and returns a fitted object with ``transform`` and ``predict_proba``. There are two kinds of method.

- One model does everything: ``joint``, ``joint_plus``, ``pairwise``, ``dann`` and ``deep_coral`` (both built
  on ``alignment``), ``scanvi``, the wrappers ``nearest_source`` and ``fewer_subjects``, and the references
  ``cross_validation`` and ``oracle``, which see target labels and split a target with ``folds``.
- Two exchangeable parts follow each other. In ``corrected`` a corrector changes the data of all batches
  (``combat``, ``harmony``, ``ratio_g``, ``standardise``, ``sva``, ``mnn``, ``cca``, ``seurat``, ``desc``,
  ``bermuda``, ``normae``), then a classifier learns from the corrected sources (``discriminator``,
  ``network``, ``estimator``, ``combined``). In ``mapped`` a mapper moves each source onto one target
  (``coral``, ``mmd_resnet``), then a classifier learns from the mapped sources.

Numerical parts of these methods lie in ``calib.comparators``. The YAML files in ``conf/method`` assemble the
methods; docs/adding-a-method.md shows how to add one.
"""
