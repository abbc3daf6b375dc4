"""Tests of the features that differ between case and control in each batch, for the paper's Figure S1a.

The paper uses BPSC (Vu et al. 2016, doi 10.1093/bioinformatics/btw202): a quasi-likelihood GLM with log
link whose variance, lambda2 mu + phi2 mu^2, comes from a Beta-Poisson distribution fitted to the controls.
At MALDI intensities the Poisson part is negligible beside phi2 mu^2, and phi2 cancels from the test. So the
fit does not change the test, and this module uses V(mu) = mu^2 instead, the Gamma quasi-GLM.
"""

from collections.abc import Iterable
from itertools import combinations, compress
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from calib.data.matrix import dense
from calib.data.study import Batch, FloatArray, IntArray, Study
from calib.data.subjects import units
from calib.errors import CalibError, check_choice

ALPHA = 0.05
"""Bound of p below which the authors call a feature differential, not adjusted for multiple tests."""

MOST_BATCHES = 10
"""Most batches of which all sets are counted: 10 batches have 1023 sets."""

Level = Literal["sample", "subject"]
LEVELS: tuple[Level, ...] = ("sample", "subject")
"""Units of a test: every sample, or the mean of each subject's samples."""


def two_group_glm(
    x: FloatArray, case: IntArray, linear: ArrayLike = 0.0, quadratic: ArrayLike = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Test cases against controls by a quasi-likelihood GLM with log link, in closed form.

    With one factor of two levels the fitted means are the group means m. With n samples, w = m^2 / V(m) and
    Pearson's dispersion phi = sum (x - m)^2 / V(m) / (n - 2), the statistic is
    t = ln(m_case / m_control) / sqrt(phi (1 / (n_case w_case) + 1 / (n_control w_control))), on n - 2
    degrees of freedom. Single values may be zero or negative, as MALDI intensities are after baseline
    subtraction; they are used unchanged. The mean of a group must be positive to have a logarithm.

    Args:
        x: data ``(samples, features)`` on the scale of intensities or counts, not logged.
        case: 1 for a case, 0 for a control ``(samples,)``.
        linear: coefficient of mu in the variance, one number or one for each feature; BPSC's lambda2.
        quadratic: coefficient of mu^2; BPSC's phi2 = beta / (alpha (alpha + beta + 1)). Only the ratio of the
            two coefficients matters: the defaults give the Gamma model, ``linear=1, quadratic=0`` the
            quasi-Poisson model.

    Returns:
        The statistic t and the two-sided p, each ``(features,)``. They are NaN where a group's mean is not
        positive, or no sample differs from its group's mean.

    Raises:
        CalibError: a group has no sample, or there are fewer than three samples.
    """
    groups = [x[case == group].astype(np.float64) for group in (1, 0)]
    freedom = sum(map(len, groups)) - 2
    if freedom < 1 or not all(map(len, groups)):
        counts = " cases and ".join(str(len(group)) for group in groups)
        raise CalibError(f"Two groups of at least three samples in all are needed, not {counts} controls.")
    means = np.stack([group.mean(axis=0) for group in groups])
    means[means <= 0] = np.nan
    variance = np.asarray(linear) * means + np.asarray(quadratic) * means**2
    squares = np.stack([((g - m) ** 2).sum(axis=0) for g, m in zip(groups, means, strict=True)])
    dispersion = (squares / variance).sum(axis=0) / freedom
    sizes = np.array([[len(group)] for group in groups])
    error = np.sqrt(dispersion * (variance / means**2 / sizes).sum(axis=0))
    t = np.log(means[0] / means[1]) / np.where(error > 0, error, np.nan)
    return t, 2 * stats.t.sf(np.abs(t), freedom)


def p_values(study: Study, level: Level = "sample") -> pd.DataFrame:
    """Return the p-value of every feature (row) in every batch (column).

    Batches without labels, without subjects (at level ``subject``) or with one class only are left out.

    Args:
        study: study with two classes, on the scale of intensities or counts.
        level: ``sample`` tests all rows, as the authors do. ``subject`` tests the mean over each subject's
            rows of a class, because replicates of one person are not independent and make p too small.

    Raises:
        CalibError: the study does not have two classes, or has no batch that can be tested.
    """
    check_choice("level", level, LEVELS)
    if len(study.classes) != 2:
        raise CalibError(
            f"Differential features compare two classes; study '{study.name}' has {len(study.classes)}."
        )
    tested = {name: _rows(batch, level) for name, batch in study.batches.items()}
    columns = {
        name: two_group_glm(x, y)[1]
        for name, (x, y) in tested.items()
        if len(np.unique(y)) == 2 and len(y) > 2
    }
    if not columns:
        raise CalibError(f"No batch of study '{study.name}' has samples of both classes at level {level}.")
    return pd.DataFrame(columns, index=pd.Index(study.features, name="feature"))


def differential(p: pd.DataFrame, alpha: float = ALPHA) -> pd.DataFrame:
    """Return whether each p-value is below ``alpha``; a feature without a p-value is not differential."""
    return p < alpha


def overlaps(found: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """Count the features that are differential in exactly these batches, for every set of batches.

    Larger sets come first. The first set is all batches, and counts the features that they have in common.
    With more than ``MOST_BATCHES`` batches, the other sets are only those in which some feature is
    differential.
    """
    batches = tuple(found.columns)
    rows, counts = np.unique(found.to_numpy(bool), axis=0, return_counts=True)
    occurring = {tuple(compress(batches, row)): int(n) for row, n in zip(rows, counts, strict=True)}
    sets: Iterable[tuple[str, ...]] = sorted(filter(None, {batches: 0} | occurring), key=len, reverse=True)
    if len(batches) <= MOST_BATCHES:
        sets = (subset for size in range(len(batches), 0, -1) for subset in combinations(batches, size))
    return {subset: occurring.get(subset, 0) for subset in sets}


def common_features(study: Study) -> int | None:
    """Return the number of features that are differential in every batch, or None if none can be tested."""
    try:
        return next(iter(overlaps(differential(p_values(study))).values()))
    except CalibError:  # a batch or class is missing
        return None


def _rows(batch: Batch, level: Level) -> tuple[FloatArray, IntArray]:
    """Return the data and labels to test, without rows where labels or subjects are unknown."""
    if batch.y is None or (level == "subject" and batch.subject is None):
        return np.empty((0, batch.x.shape[1])), np.empty(0, np.int64)
    x = dense(batch.x)
    if level == "sample":
        return x, batch.y
    assert batch.subject is not None
    first, member = units(batch.subject, batch.y)
    sums = np.zeros((len(first), x.shape[1]))
    np.add.at(sums, member, x)
    return sums / np.bincount(member)[:, None], batch.y[first]
