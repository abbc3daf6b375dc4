"""ComBat: a corrector that removes additive and multiplicative batch effects, shrunk by empirical Bayes.

Johnson, Li & Rabinovic 2007 (doi 10.1093/biostatistics/kxj037). The steps are those of Bioconductor's
``sva::ComBat``, so results agree to rounding. The two choices of prior are ``_parametric`` and
``_nonparametric``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from calib.data.study import FloatArray, Samples, by_batch
from calib.errors import CalibError, check_choice, check_flag
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime

Array = NDArray[np.floating]
CONVERGED = 1e-4
"""Largest relative change of a parameter at which the empirical Bayes iteration stops."""


class ComBat(Lasting):
    """ComBat as a corrector, without covariates: a class covariate would need the targets' labels.

    A later batch is adjusted to the batches of the fit as to a reference (Zhang et al. 2018, doi
    10.1186/s12859-018-2263-6): their means and variances stay, and the effects of the batch come from its own
    samples.

    Args:
        mean_only: correct the additive effect only.
        reference: name of the batch that is left as it is and to which the others are adjusted; None adjusts
            all batches.
        parametric: use inverse-gamma and normal priors; false uses the empirical distribution over features.
    """

    version = 1
    uses_seed = False
    stored = True
    dense_copies = 6
    keeps_features = True

    def __init__(self, mean_only: bool, reference: str | None, parametric: bool) -> None:
        check_flag("mean_only", mean_only)
        check_flag("parametric", parametric)
        self.mean_only = mean_only
        self.reference = reference
        self.parametric = parametric

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, Array]]:
        """Return the corrected data of every batch, in the unit of the data, and what they are adjusted to.

        Raises:
            CalibError: there is one batch only, or no batch has the reference's name.
        """
        names = [batch.name for batch in batches]
        if self.reference is not None:
            check_choice("method.corrector.reference", self.reference, names)
        corrected, common = combat(
            np.concatenate([batch.dense for batch in batches]),
            np.repeat(names, [len(batch) for batch in batches]),
            mean_only=self.mean_only,
            reference=self.reference,
            parametric=self.parametric,
        )
        return by_batch(corrected.astype(runtime.numpy_dtype), batches), vars(common)

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the data of a later batch, adjusted to the batches of the fit."""
        common = Common(learnt["varying"].astype(bool), learnt["mean"], learnt["variance"])
        corrected = adjusted_to(common, later.dense, self.mean_only, self.parametric)
        return corrected.astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        varying = int(np.sum(learnt["varying"].astype(bool)))
        known = {"features": features, "varying features": varying}
        shapes = {"varying": ("features",), "mean": ("varying features",), "variance": ("varying features",)}
        return sizes(learnt, known, **shapes)["features"]


@dataclass(frozen=True)
class Common:
    """What batches are adjusted to.

    Attributes:
        varying: whether a feature varies in every batch; others are left as they are ``(features,)``.
        mean, variance: of the features that vary, in the unit of the data and its square.
    """

    varying: NDArray[np.bool_]
    mean: Array
    variance: Array


@dataclass(frozen=True)
class _Estimates:
    """Empirical Bayes estimates of one batch: additive gamma and multiplicative delta ``(features,)``."""

    gamma: Array
    delta: Array


def combat(
    x: NDArray[np.floating],
    batch: NDArray[np.str_],
    covariates: Array | None = None,
    mean_only: bool = False,
    reference: str | None = None,
    parametric: bool = True,
) -> tuple[Array, Common]:
    """Return the data corrected for batch effects, and what the batches were adjusted to.

    Args:
        x: ``(samples, features)``; NaN marks a missing value and stays one.
        batch: name of each sample's batch ``(samples,)``. A batch with one sample forces ``mean_only``.
        covariates: design columns to preserve ``(samples, columns)``; a column of ones is dropped.
        mean_only, reference, parametric: see ``ComBat``.

    Returns:
        Data ``(samples, features)``, in which a feature that is constant within a batch is as it was, and the
        common mean and variance.

    Raises:
        CalibError: fewer than two batches or features, one sample in each batch, or covariates confounded
            with the batches.
    """
    x = np.asarray(x, np.float64)
    levels, owner = np.unique(batch, return_inverse=True)
    if len(levels) < 2:
        raise CalibError(f"ComBat needs at least two batches; there is only '{levels[0]}'.")
    sizes = np.bincount(owner)
    mean_only = mean_only or bool((sizes == 1).any())
    varying = np.ones(x.shape[1], bool)
    for level in np.flatnonzero(sizes > 1):
        values = x[owner == level]
        varying &= np.nanmax(values, axis=0) > np.nanmin(values, axis=0)  # exact, unlike a variance
    if varying.sum() < 2:
        raise CalibError(
            f"ComBat needs at least two features that vary in every batch; there are {varying.sum()}."
        )
    ref = None if reference is None else int(np.flatnonzero(levels == reference)[0])

    y = x[:, varying]
    one_hot = np.eye(len(levels))[owner]
    if ref is not None:
        one_hot[:, ref] = 1  # the other columns become offsets from the reference
    kept = np.empty((len(x), 0)) if covariates is None else np.asarray(covariates, np.float64)
    kept = kept[:, ~(kept == 1).all(axis=0)]
    design = np.hstack([one_hot, kept])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise CalibError("ComBat cannot tell the covariates from the batches; drop a covariate.")

    if len(x) <= design.shape[1]:
        raise CalibError(
            f"ComBat has {len(x)} samples for {len(levels)} batches, so no differences within a batch; leave "
            "out batches of one sample."
        )

    effects = _least_squares(design, y)
    share = sizes / len(x) if ref is None else np.eye(len(levels))[ref]
    grand_mean = share @ effects[: len(levels)]
    residuals = y - design @ effects
    pooled = residuals if ref is None else residuals[owner == ref]
    variance = np.nanvar(pooled, axis=0, ddof=1) if np.isnan(y).any() else (pooled**2).mean(axis=0)
    standard_mean = grand_mean + kept @ effects[len(levels) :]
    z = (y - standard_mean) / np.sqrt(variance)

    gamma_hat = _least_squares(one_hot, z)
    corrected = x.copy()
    for i in range(len(levels)):
        if i == ref:
            continue
        rows = owner == i
        delta_hat = np.ones(z.shape[1]) if mean_only else np.nanvar(z[rows], axis=0, ddof=1)
        shrink = _parametric if parametric else _nonparametric
        estimates = shrink(z[rows], gamma_hat[i], delta_hat, mean_only)
        adjusted = (z[rows] - estimates.gamma) / np.sqrt(estimates.delta)
        corrected[np.ix_(rows, varying)] = adjusted * np.sqrt(variance) + standard_mean[rows]
    return corrected, Common(varying, grand_mean, variance)


def adjusted_to(common: Common, x: NDArray[np.floating], mean_only: bool, parametric: bool) -> Array:
    """Return a later batch, adjusted to batches that stay as they are ``(samples, features)``.

    Its effects are estimated as in ``combat``, with priors over its own features. A feature that is constant
    in it gets the common mean, since a constant has no spread that could be estimated.

    Args:
        common: what it is adjusted to.
        x: data ``(samples, features)``.
        mean_only, parametric: see ``ComBat``; a batch of one sample forces ``mean_only``.

    Raises:
        CalibError: fewer than two features vary in it.
    """
    corrected = np.array(x, np.float64)
    y = corrected[:, common.varying]
    mean_only = mean_only or len(x) == 1
    estimated = np.full(y.shape[1], True) if len(x) == 1 else y.max(axis=0) > y.min(axis=0)
    if estimated.sum() < 2:
        raise CalibError(
            f"ComBat needs at least two features that vary in a later batch; there are {estimated.sum()}."
        )
    z = ((y - common.mean) / np.sqrt(common.variance))[:, estimated]
    delta_hat = np.ones(z.shape[1]) if mean_only else z.var(axis=0, ddof=1)
    shrink = _parametric if parametric else _nonparametric
    estimates = shrink(z, z.mean(axis=0), delta_hat, mean_only)
    adjusted = np.zeros_like(y)
    adjusted[:, estimated] = (z - estimates.gamma) / np.sqrt(estimates.delta)
    corrected[:, common.varying] = adjusted * np.sqrt(common.variance) + common.mean
    return corrected


def _least_squares(design: Array, y: Array) -> Array:
    """Return coefficients ``(columns, features)``; each feature is fitted to its own observed samples."""
    missing = np.isnan(y)
    whole = ~missing.any(axis=0)
    coefficients = np.empty((design.shape[1], y.shape[1]))
    coefficients[:, whole] = np.linalg.solve(design.T @ design, design.T @ y[:, whole])
    for feature in np.flatnonzero(~whole):
        seen = ~missing[:, feature]
        d = design[seen]
        coefficients[:, feature] = np.linalg.solve(d.T @ d, d.T @ y[seen, feature])
    return coefficients


def _parametric(z: Array, gamma_hat: Array, delta_hat: Array, mean_only: bool) -> _Estimates:
    """Return the posterior modes under a normal prior of gamma and an inverse-gamma prior of delta."""
    gamma_bar, tau2 = gamma_hat.mean(), gamma_hat.var(ddof=1)
    if mean_only:
        return _Estimates((tau2 * gamma_hat + gamma_bar) / (tau2 + 1), delta_hat)
    m = delta_hat.mean()
    s2 = max(delta_hat.var(ddof=1), (np.finfo(float).eps * m) ** 2)  # not 0, so a, b are finite
    a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    n = (~np.isnan(z)).sum(axis=0)
    gamma, delta = gamma_hat, delta_hat
    while True:
        new_gamma = (tau2 * n * gamma_hat + delta * gamma_bar) / (tau2 * n + delta)
        squares = np.nansum((z - new_gamma) ** 2, axis=0)
        new_delta = (squares / 2 + b) / (n / 2 + a - 1)
        # As in sva, the change of gamma is divided by a signed gamma: a negative gamma never delays the stop.
        change = max(_relative(new_gamma, gamma).max(), _relative(new_delta, delta).max())
        if np.isnan(change):
            raise CalibError("ComBat's estimates are no numbers; check the scale of the data.")
        gamma, delta = new_gamma, new_delta
        if change <= CONVERGED:
            return _Estimates(gamma, delta)


def _relative(new: Array, old: Array) -> Array:
    """Return the change over the old value; it is 0 where nothing changes, as in centred batches."""
    with np.errstate(divide="ignore"):
        return np.divide(abs(new - old), old, out=np.zeros_like(old), where=new != old)


def _nonparametric(z: Array, gamma_hat: Array, delta_hat: Array, mean_only: bool) -> _Estimates:
    """Return, for each feature, the mean of all other features' estimates, weighted by their likelihood.

    The weights are computed in log space: the product of hundreds of densities underflows, and the literal
    formula gives 0/0.
    """
    n = (~np.isnan(z)).sum(axis=0)[:, None]
    sum1, sum2 = np.nansum(z, axis=0)[:, None], np.nansum(z**2, axis=0)[:, None]
    squares = sum2 - 2 * gamma_hat * sum1 + n * gamma_hat**2  # (feature, other feature)
    log_likelihood = -n / 2 * np.log(2 * np.pi * delta_hat) - squares / (2 * delta_hat)
    np.fill_diagonal(log_likelihood, -np.inf)
    weight = softmax(log_likelihood, axis=1)
    return _Estimates(weight @ gamma_hat, weight @ delta_hat)
