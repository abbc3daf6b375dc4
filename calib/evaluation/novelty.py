"""Whether a new batch lies outside what a model was trained on: without labels, against its training batches.

A batch has two sides. How its features lie and spread is its ``place``: other units or another machine
show there. How its samples lie to each other, once each feature is brought to normal scores within the batch
(as any correction does in some way), is its ``shape``: noise and exchanged features show there. Each
measure of a new batch is judged against the same measure of the training batches themselves, each left out
in turn, so what is usual between the batches of a study is no news.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata

from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, IntArray
from calib.mmd import MEDIAN_FACTORS, median_distance, mmd2_matrix

ROWS = 200
"""Rows of a batch that are kept and compared, drawn at random; all of a smaller one."""

NUMBERS = 2**22
"""Most numbers kept of all batches together (16 MB); of broad data there are fewer rows."""

LEAST = 20
"""Rows below which a batch has neither spread nor shape to speak of."""

NEIGHBOURS = 5
"""A sample is as far out as its fifth nearest neighbour among the training's."""

FAR = 0.99
"""Quantile of that distance in the training beyond which a sample lies far out."""

MARGIN = 2.0
"""How many times the largest value among the training batches is still taken for usual: of exchangeable
batches the newest is beyond the largest of K others once in K + 1."""

SHARE = 0.05
"""Share of samples far out that is still taken for usual; 1 % is expected."""

ALIKE = 0.01
"""Squared MMD, of at most 10, up to which batches are alike: its sampling error with so many rows."""


@dataclass(frozen=True)
class Reference:
    """What is kept of the training batches with ``LEAST`` rows or more, none of it a label.

    Attributes:
        names: of the batches ``(batches,)``.
        location, spread: median and 1.4826 times the median absolute deviation of each feature in each batch,
            in the unit of the file ``(batches, features)``.
        rows: normal scores of some samples of each batch ``(rows, features)``.
        owner: index of each row's batch ``(rows,)``.
    """

    names: Sequence[str]
    location: FloatArray
    spread: FloatArray
    rows: FloatArray
    owner: IntArray


@dataclass(frozen=True)
class Measure:
    """One measure of a new batch and the limit that the training sets; NaN where it cannot be taken."""

    value: float
    limit: float

    @property
    def outside(self) -> bool:
        """Whether it is beyond the limit."""
        return bool(self.value > self.limit)


def reference(batches: Mapping[str, Matrix]) -> Reference | None:
    """What to keep of the training batches: name -> data as loaded ``(samples, features)``.

    None with fewer than two batches of ``LEAST`` rows: nothing says what is usual between batches.
    """
    large = {name: x for name, x in batches.items() if x.shape[0] >= LEAST}
    if len(large) < 2:
        return None
    parts = [_part(x, len(large)) for x in large.values()]
    places = [_place(part) for part in parts]
    return Reference(
        list(large),
        np.stack([location for location, _ in places]),
        np.stack([spread for _, spread in places]),
        np.concatenate([_scores(part) for part in parts]).astype(np.float32),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
    )


def novelty(new: Matrix, known: Reference) -> dict[str, Measure]:
    """How far a new batch ``(samples, features)``, as loaded, lies from the training's, measure by measure.

    ``location``: median over features of the distance of the batch's median to that of the training
    batches, in units of the usual spread within a batch. ``spread``: median over features of the
    absolute log2 ratio of the batch's spread to the usual one. ``distance``: unbiased squared MMD to the
    nearest training batch, kernel widths around the median distance. ``far``: share of samples whose
    ``NEIGHBOURS``-th nearest neighbour in the training is farther than ``FAR`` of the training's samples
    have theirs in the other batches.

    The first three have ``MARGIN`` times the largest value of a training batch, left out, as their limit.
    """
    part = _part(new, len(known.names))
    own = _shift(*_place(part), known.location, known.spread)
    usual = [
        _shift(known.location[i], known.spread[i], known.location[others], known.spread[others])
        for i in range(len(known.names))
        for others in [np.arange(len(known.names)) != i]
    ]
    limits = MARGIN * np.fmax.reduce(usual, axis=0)  # of those that can be told
    location = {"location": Measure(own[0], float(limits[0]))}
    if len(part) < LEAST:
        unknown = Measure(np.nan, np.nan)
        return location | dict.fromkeys(("spread", "distance", "far"), unknown)
    return location | {"spread": Measure(own[1], float(limits[1]))} | _shape(_scores(part), known)


WORDS: Mapping[str, Callable[[float], str]] = {
    "location": lambda value: f"its features lie {value:.1f} usual spreads off",
    "spread": lambda value: f"they spread {2**value:.1f} times as much or as little",
    "distance": lambda value: f"its squared MMD to the nearest training batch is {value:.3f}",
    "far": lambda value: f"{value:.0%} of its samples lie far out",
}


def warning(batch: str, found: Mapping[str, Measure]) -> str:
    """One sentence that names a batch and says how far outside it is, or "" if it is not."""
    parts = [
        f"{WORDS[name](one.value)} (limit {_limit(name, one.limit)})"
        for name, one in found.items()
        if one.outside
    ]
    if not parts:
        return ""
    return (
        f"Batch '{batch}' lies outside what the model was trained on, so its predictions may be "
        f"worth nothing: {'; '.join(parts)}; check its units, the order and names of its features, and its "
        "quality."
    )


def _limit(name: str, limit: float) -> str:
    return {"spread": f"{2**limit:.1f}", "distance": f"{limit:.3f}", "far": f"{limit:.0%}"}.get(
        name, f"{limit:.1f}"
    )


def _shape(scores: FloatArray, known: Reference) -> dict[str, Measure]:
    groups = [known.rows[known.owner == i] for i in range(len(known.names))]
    widths = float(median_distance(torch.as_tensor(known.rows))) * np.array(MEDIAN_FACTORS)
    every = [torch.as_tensor(group) for group in (*groups, scores.astype(np.float32))]
    distances = mmd2_matrix(every, widths.tolist(), biased=False).numpy().copy()
    np.fill_diagonal(distances, np.inf)
    nearest = distances[:-1, :-1].min(axis=1)
    usual = [
        _neighbour(group, np.concatenate([other for j, other in enumerate(groups) if j != i]))
        for i, group in enumerate(groups)
    ]
    limit = np.quantile(np.concatenate(usual), FAR)
    far = _neighbour(scores, known.rows) > limit
    return {
        "distance": Measure(float(distances[-1, :-1].min()), max(MARGIN * float(nearest.max()), ALIKE)),
        "far": Measure(float(far.mean()), SHARE),
    }


def _part(x: Matrix, batches: int) -> FloatArray:
    """Some rows of a batch, the same ones each time."""
    most = max(min(ROWS, NUMBERS // (batches * x.shape[1])), LEAST)
    chosen = np.random.default_rng(ROWS).permutation(x.shape[0])[:most].copy()
    return dense(x[np.sort(chosen)]).astype(np.float64)


def _place(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and spread of every feature, by the MAD, or where half the values are equal by the SD."""
    location = np.median(x, axis=0)
    spread = 1.4826 * np.median(np.abs(x - location), axis=0)
    return location, np.where(spread > 0, spread, x.std(axis=0))


def _shift(
    location: FloatArray, spread: FloatArray, locations: FloatArray, spreads: FloatArray
) -> tuple[float, float]:
    """Shift of location and of spread; of features that vary, NaN where none does."""
    usual = np.median(spreads, axis=0)
    varies = usual > 0
    if not varies.any():
        return np.nan, np.nan
    shifts = np.abs(location - np.median(locations, axis=0))[varies] / usual[varies]
    with np.errstate(divide="ignore"):  # a feature that no longer varies is infinitely far off
        ratios = np.abs(np.log2(spread[varies] / usual[varies]))
    return float(np.median(shifts)), float(np.median(ratios))


def _scores(x: FloatArray) -> FloatArray:
    """Normal scores of every feature within the batch: the normal quantile of (rank - 1/2) / samples."""
    scores: FloatArray = norm.ppf((rankdata(x, axis=0) - 0.5) / len(x))
    return scores


def _neighbour(x: FloatArray, rows: FloatArray) -> FloatArray:
    """Distance of each row of ``x`` to its ``NEIGHBOURS``-th nearest among ``rows``."""
    nth = min(NEIGHBOURS, len(rows)) - 1
    distances: FloatArray = np.partition(cdist(x, rows), nth, axis=1)[:, nth]
    return distances
