"""Ranks and tails are those of ``scipy.stats``, bit for bit."""

import numpy as np
from scipy import stats

from calib.evaluation.ranks import (
    normal_log_density,
    normal_quantile,
    normal_scores,
    normal_tail,
    ranks,
    student_tail,
)

X = np.random.default_rng(0).normal(size=(30, 7)).round(1)


def test_ranks_and_scores() -> None:
    assert np.array_equal(ranks(X), stats.rankdata(X, axis=0))
    assert np.array_equal(ranks(X[:, 0]), stats.rankdata(X[:, 0]))
    assert np.array_equal(normal_scores(X), stats.norm.ppf((stats.rankdata(X, axis=0) - 0.5) / len(X)))
    assert normal_quantile(0.975) == stats.norm.ppf(0.975)


def test_tails_and_densities() -> None:
    assert np.array_equal(normal_tail(X), stats.norm.sf(X))
    assert np.array_equal(student_tail(X, 5), stats.t.sf(X, 5))
    assert np.array_equal(normal_log_density(X, 0.3, 1.7), stats.norm.logpdf(X, 0.3, 1.7))
