"""Mean ranks of methods over studies, and the critical-difference diagram (Demšar 2006, JMLR 7)."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, wilcoxon

from calib.errors import not_installed
from calib.evaluation.significance import ALPHA
from calib.report.figures.style import GREY, WIDTH, in_style, literal

LEAST = 3
"""Fewest studies and methods that are ranked."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of methods on the studies that all of them have.

    Attributes:
        scores: score of each method on each study ``(studies, methods)``.
        ranks: mean rank of each method, the best first; ties share the mean of their ranks.
        p: p of Friedman's test that all methods are alike.
        pairs: p of every two methods after Nemenyi ``(methods, methods)``.
    """

    scores: pd.DataFrame
    ranks: pd.Series
    p: float
    pairs: pd.DataFrame

    @property
    def best(self) -> pd.Series:
        """Return whether each method cannot be told from the one with the best mean rank, at .05."""
        first = self.ranks.index[0]
        return (self.pairs.loc[first] >= ALPHA) | (self.pairs.index == first)


def ranked(scores: pd.DataFrame) -> Ranks | None:
    """Return the ranks of methods with a score on every study; None of fewer than three of either.

    Args:
        scores: score of each method on each study ``(studies, methods)``, NaN where there is none.

    Raises:
        CalibError: the package scikit-posthocs is not installed.
    """
    whole = scores.dropna(axis=1)
    if min(whole.shape) < LEAST:
        return None
    try:
        from scikit_posthocs import posthoc_nemenyi_friedman
    except ModuleNotFoundError as error:
        raise not_installed("Comparing ranks", error.name, "zoo") from error
    ranks = whole.round(9).rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    ordered = whole[ranks.index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' of what it will change, in the library
        pairs = posthoc_nemenyi_friedman(ordered.to_numpy())
    pairs = pd.DataFrame(pairs.to_numpy(), ranks.index, ranks.index)
    return Ranks(ordered, ranks, float(friedmanchisquare(*ordered.to_numpy().T).pvalue), pairs)


@in_style
def rank_figure(found: Ranks) -> Figure:
    """Draw the mean ranks; a bar joins methods that Nemenyi's test does not tell apart at .05."""
    from scikit_posthocs import critical_difference_diagram

    count = len(found.ranks)
    figure = Figure(figsize=(WIDTH, 0.8 + 0.085 * count + 0.05 * count), layout="constrained")
    axes = figure.subplots()
    names = [literal(name, most=44) for name in found.ranks.index]
    ranks = pd.Series(found.ranks.to_numpy(), names)
    pairs = pd.DataFrame(found.pairs.to_numpy(), names, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        critical_difference_diagram(
            ranks,
            pairs,
            alpha=ALPHA,
            ax=axes,
            label_fmt_left="{label}  {rank:.1f}",
            label_fmt_right="{rank:.1f}  {label}",
            label_props={"fontsize": 7},
            elbow_props={"color": GREY, "linewidth": 0.6},
            marker_props={"s": 9, "color": "black"},
            crossbar_props={"color": "black", "linewidth": 1.6},
        )
    return figure


def wilcoxon_p(differences: np.ndarray) -> float:
    """Return the p of Wilcoxon's signed-rank test over studies; NaN of fewer than five studies."""
    known = differences[np.isfinite(differences)]
    if len(known) < 5 or not np.any(known):
        return float("nan")
    return float(
        wilcoxon(known, method="exact" if len(np.unique(np.abs(known))) == len(known) else "auto").pvalue
    )
