"""One file a method, one contract (base.py).

Contracts: base, corrected (correct, then classify) and mapped (map, then classify). Classifiers behind a
correction: discriminator (D), network, estimator (scikit-learn's), combined (averages, shuffled labels). What
several methods share: alignment and features (networks with an alignment loss), autoencoder (DESC's), folds
(of cross-validation). Numerical parts that are no method lie one folder up. All other files are methods.
"""
