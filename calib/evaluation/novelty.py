"""Novelty of a new batch: whether it lies outside the training batches of a model, found without labels.

Two kinds of measures describe a batch. Its ``place`` is the location and spread of its features, which show
other units or another machine. Its ``shape`` is how its samples lie relative to each other, once each feature
is replaced by normal scores within the batch (as any correction does in some way); it shows noise and
exchanged features. Each measure of a new batch is compared with the same measure of the training batches,
each left out in turn. So differences that are usual between the batches of a study give no warning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, IntArray
from calib.evaluation.kernel_distance import median_distance, unbiased_mmd2
from calib.evaluation.ranks import normal_scores
from calib.rules import MEDIAN_FACTORS

ROWS = 200
"""Most rows of a batch that are stored and compared, drawn at random."""

NUMBERS = 2**22
"""Most numbers that are stored of all batches together (16 MB), so many features leave fewer rows."""

LEAST = 20
"""Least number of rows of a batch whose spread and shape are measured."""

NEIGHBOURS = 5
"""Rank of the nearest neighbour in the training data whose distance says how far out a sample lies."""

FAR = 0.99
"""Quantile of that distance in the training data beyond which a sample lies far out."""

MARGIN = 2.0
"""Factor of the largest value among the training batches up to which a new value counts as usual.

Without it, the newest of exchangeable batches would be beyond the largest of K others once in K + 1.
"""

SHARE = 0.05
"""Share of samples far out up to which a batch counts as usual; 1 % is expected."""

ALIKE = 0.01
"""Squared MMD (at most 10) up to which batches count as alike: the sampling error with this many rows."""


@dataclass(frozen=True)
class TrainingStatistics:
    """The statistics of the training batches with at least ``LEAST`` rows, without any label.

    Attributes:
        names: names of the batches ``(batches,)``.
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
    """A measure of a new batch and the limit set by the training batches; NaN where it cannot be computed."""

    value: float
    limit: float

    @property
    def outside(self) -> bool:
        """Return whether the value is beyond the limit."""
        return bool(self.value > self.limit)


def training_statistics(batches: Mapping[str, Matrix]) -> TrainingStatistics | None:
    """Return the statistics of the training batches.

    Fewer than two batches of ``LEAST`` rows give None, because they do not show the usual differences.

    Args:
        batches: batch name -> data as loaded ``(samples, features)``.
    """
    large = {name: x for name, x in batches.items() if x.shape[0] >= LEAST}
    if len(large) < 2:
        return None
    parts = [_part(x, len(large)) for x in large.values()]
    places = [_place(part) for part in parts]
    return TrainingStatistics(
        list(large),
        np.stack([location for location, _ in places]),
        np.stack([spread for _, spread in places]),
        np.concatenate([normal_scores(part) for part in parts]).astype(np.float32),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
    )


def novelty(new: Matrix, training: TrainingStatistics) -> dict[str, Measure]:
    """Measure how far a new batch lies from the training batches.

    ``location``: median over features of the distance between the batch's median and that of the training
    batches, in units of the usual spread within a batch. ``spread``: median over features of the
    absolute log2 ratio of the batch's spread to the usual one. ``distance``: unbiased squared MMD to the
    nearest training batch, with kernel widths around the median distance. ``far``: share of samples that lie
    far out. Such a sample is farther from its ``NEIGHBOURS``-th nearest training sample than a share ``FAR``
    of the training samples are from theirs in the other batches.

    The limit of the first three is ``MARGIN`` times the largest value of a training batch that is left out.

    Args:
        new: data as loaded ``(samples, features)``.
        training: statistics of the training batches.
    """
    count = len(training.names)
    part = _part(new, count)
    shift = _shift(*_place(part), training.location, training.spread)
    usual = [
        _shift(training.location[i], training.spread[i], training.location[others], training.spread[others])
        for i in range(count)
        for others in [np.arange(count) != i]
    ]
    limits = MARGIN * np.fmax.reduce(usual, axis=0)  # fmax leaves out NaN
    location = {"location": Measure(shift[0], float(limits[0]))}
    if len(part) < LEAST:
        unknown = Measure(np.nan, np.nan)
        return location | dict.fromkeys(("spread", "distance", "far"), unknown)
    return location | {"spread": Measure(shift[1], float(limits[1]))} | _shape(normal_scores(part), training)


WORDS: Mapping[str, Callable[[float], str]] = {
    "location": lambda value: f"its features lie {value:.1f} usual spreads off",
    "spread": lambda value: f"they spread {2**value:.1f} times as much or as little",
    "distance": lambda value: f"its squared MMD to the nearest training batch is {value:.3f}",
    "far": lambda value: f"{value:.0%} of its samples lie far out",
}
"""Measure -> the words of a warning that describe its value."""


def warning(batch: str, found: Mapping[str, Measure]) -> str:
    """Return one sentence that says how far a batch lies outside, or "" if it does not."""
    parts = [
        f"{WORDS[name](measure.value)} (limit {_limit(name, measure.limit)})"
        for name, measure in found.items()
        if measure.outside
    ]
    if not parts:
        return ""
    return (
        f"Batch '{batch}' lies outside what the model was trained on, so its predictions may be "
        f"worth nothing: {'; '.join(parts)}; check its units, the order and names of its features, and its "
        "quality."
    )


def _limit(name: str, limit: float) -> str:
    """Return the limit of a measure as text."""
    return {"spread": f"{2**limit:.1f}", "distance": f"{limit:.3f}", "far": f"{limit:.0%}"}.get(
        name, f"{limit:.1f}"
    )


def _shape(scores: FloatArray, training: TrainingStatistics) -> dict[str, Measure]:
    """Return the measures ``distance`` and ``far`` of a new batch, from its normal scores."""
    groups = [training.rows[training.owner == i] for i in range(len(training.names))]
    scale = median_distance(training.rows)
    distances = unbiased_mmd2([*groups, scores], [scale * factor for factor in MEDIAN_FACTORS])
    np.fill_diagonal(distances, np.inf)
    nearest = distances[:-1, :-1].min(axis=1)
    usual = [
        _neighbour(group, np.concatenate([other for j, other in enumerate(groups) if j != i]))
        for i, group in enumerate(groups)
    ]
    limit = np.quantile(np.concatenate(usual), FAR)
    far = _neighbour(scores, training.rows) > limit
    return {
        "distance": Measure(float(distances[-1, :-1].min()), max(MARGIN * float(nearest.max()), ALIKE)),
        "far": Measure(float(far.mean()), SHARE),
    }


def _part(x: Matrix, batches: int) -> FloatArray:
    """Return some rows of a batch, drawn with a fixed seed."""
    most = max(min(ROWS, NUMBERS // (batches * x.shape[1])), LEAST)
    chosen = np.random.default_rng(ROWS).permutation(x.shape[0])[:most].copy()
    return dense(x[np.sort(chosen)]).astype(np.float64)


def _place(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the median and the spread of every feature.

    The spread comes from the MAD, or from the SD where half the values are equal.
    """
    location = np.median(x, axis=0)
    spread = 1.4826 * np.median(np.abs(x - location), axis=0)
    return location, np.where(spread > 0, spread, x.std(axis=0))


def _shift(
    location: FloatArray, spread: FloatArray, locations: FloatArray, spreads: FloatArray
) -> tuple[float, float]:
    """Return the shift of location and of spread over the features that vary, NaN where none varies."""
    usual = np.median(spreads, axis=0)
    varies = usual > 0
    if not varies.any():
        return np.nan, np.nan
    shifts = np.abs(location - np.median(locations, axis=0))[varies] / usual[varies]
    with np.errstate(divide="ignore"):  # the ratio of a feature that no longer varies is infinite
        ratios = np.abs(np.log2(spread[varies] / usual[varies]))
    return float(np.median(shifts)), float(np.median(ratios))


def _neighbour(x: FloatArray, rows: FloatArray) -> FloatArray:
    """Return the distance of each row of ``x`` to its ``NEIGHBOURS``-th nearest among ``rows``."""
    nth = min(NEIGHBOURS, len(rows)) - 1
    distances: FloatArray = np.partition(cdist(x, rows), nth, axis=1)[:, nth]
    return distances
