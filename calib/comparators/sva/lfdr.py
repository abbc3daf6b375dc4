"""Local false discovery rates of many p-values, estimated as by Bioconductor's ``sva``.

``surrogates.py`` turns them into weights of the features, for ``calib.methods.sva``. Storey, Akey & Kruglyak
2005 (doi 10.1371/journal.pbio.0030267): the rate of a p-value is its density without any effect over the
density of the observed p-values, both on the probit scale. R's ``density`` and ``smooth.spline`` are
rewritten here.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.interpolate import BSpline
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar
from scipy.stats import norm

Array = NDArray[np.floating]

LEAST = 1e-8
"""Smallest p-value; p-values are clipped to the range from this to 1 minus this."""
NO_EFFECT = 0.8
"""Smallest p-value that is taken to show that a feature has no effect."""
WIDER = 1.5
"""Factor on the rule-of-thumb width of the density's kernel."""
CUT = 3
"""Number of kernel widths by which the density reaches beyond the data."""
POINTS = 512
"""Number of points at which the density is computed."""
KNOTS = 119
"""Number of knots of the spline through them: R's ``smooth.spline`` takes as many for 512 points."""


def local_fdr(p: Array, least: int = 0) -> Array:
    """Return the probability that a feature has no effect ``(features,)``, which rises with its p-value.

    Args:
        p: p-values ``(features,)``.
        least: smallest number of features that are taken to have no effect, even if fewer p-values show it.
    """
    share = min(max(int((p >= NO_EFFECT).sum()), least) / len(p) / (1 - NO_EFFECT), 1.0)
    x = norm.ppf(np.clip(p, LEAST, 1 - LEAST))
    points, height = kernel_density(x)
    start, extent = points[0], np.ptp(points)
    found = smoothing_spline((points - start) / extent, height)((x - start) / extent)
    rate = np.minimum(share * norm.pdf(x) / found, 1)
    order = np.argsort(p, kind="stable")
    rate[order] = np.maximum.accumulate(rate[order])
    return np.maximum(rate, 0)  # the spline may fall below 0


def kernel_density(x: Array) -> tuple[Array, Array]:
    """Return points ``(512,)`` and the Gaussian kernel density there, as R's ``density`` before R 4.4 does.

    Every value is distributed over the two nearest points of a grid. The grid is convolved with the kernel,
    and the density at the points is interpolated linearly.
    """
    grid = max(POINTS, 2 ** int(np.ceil(np.log2(len(x)))))
    width = WIDER * _rule_of_thumb(x)
    start, end = x.min() - CUT * width, x.max() + CUT * width
    low, high = start - 4 * width, end + 4 * width
    place = (x - low) / (high - low) * (grid - 1)
    left = np.floor(place).astype(int)
    mass = np.bincount(left, left + 1 - place, 2 * grid) + np.bincount(left + 1, place - left, 2 * grid)
    distance = np.linspace(0, 2 * (high - low), 2 * grid)
    distance[grid + 1 :] = -distance[grid - 1 : 0 : -1]
    kernel = norm.pdf(distance, scale=width)
    smooth = np.maximum(irfft(rfft(mass / len(x)) * np.conj(rfft(kernel)), 2 * grid)[:grid], 0)
    points = np.linspace(start, end, POINTS)
    return points, np.interp(points, np.linspace(low, high, grid), smooth)


def _rule_of_thumb(x: Array) -> float:
    """Return Silverman's width of a Gaussian kernel."""
    deviation = float(x.std(ddof=1)) if np.ptp(x) > 0 else 0.0
    low, high = np.percentile(x, [25, 75])
    spread = min(deviation, (high - low) / 1.34) or deviation or abs(float(x[0])) or 1.0
    return float(0.9 * spread * len(x) ** -0.2)


def smoothing_spline(x: Array, y: Array) -> BSpline:
    """Return the cubic spline through points from 0 to 1 that R's ``smooth.spline`` fits to 512 points.

    Its smoothness has the least generalised cross-validation error. R weights the penalty by
    ``ratio * 256**(3 * spar - 1)`` and searches ``spar`` between -1.5 and 1.5.
    """
    inner = x[np.arange(KNOTS) * (len(x) - 1) // (KNOTS - 1)]
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    basis = BSpline.design_matrix(x, knots, 3).toarray()
    gram, penalty = basis.T @ basis, _curvature(knots, inner)
    middle = slice(2, len(gram) - 3)
    ratio = np.trace(gram[middle, middle]) / np.trace(penalty[middle, middle])
    rough, vectors = eigh(penalty, gram)  # both matrices are diagonal in these directions
    rough, target = np.maximum(rough, 0), vectors.T @ (basis.T @ y)

    def shrink(spar: float) -> Array:
        return 1 / (1 + ratio * 256 ** (3 * spar - 1) * rough)

    def error(spar: float) -> float:
        kept = shrink(spar)
        rest = y - basis @ (vectors @ (kept * target))
        return float(np.square(rest).mean() / (1 - kept.sum() / len(x)) ** 2)

    best = minimize_scalar(error, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-4}).x
    return BSpline(knots, vectors @ (shrink(best) * target), 3)


def _curvature(knots: Array, inner: Array) -> Array:
    """Return the integrals of the products of the basis functions' second derivatives.

    Two nodes in every interval make them exact, as these derivatives are piecewise linear.
    """
    nodes, weights = np.polynomial.legendre.leggauss(2)
    half = np.diff(inner)[:, None] / 2
    places, weights = (inner[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()
    second = BSpline(knots, np.eye(len(knots) - 4), 3).derivative(2)(places)
    return second.T @ (weights[:, None] * second)
