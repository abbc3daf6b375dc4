"""Nearest sources: each target is judged by what was learnt from the sources that lie closest to it.

Niu et al. 2021 end with it (Discussion): "calculate the distribution distance of test set with those
labels-known source data and choose the closest ones as training set". They have not tried it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from calib.data.matrix import Matrix, pieces
from calib.data.study import FloatArray, IntArray, Samples, Task
from calib.data.transform import prepared
from calib.errors import CalibError, check_choice, check_flag, check_number
from calib.evaluation.distances import batch_distances, most_rows
from calib.methods.base import Fitted, Method, calibrated_rows, check_wrapped
from calib.runtime import Runtime

log = logging.getLogger(__name__)

DistanceOn = Literal["data", "standardised"]

ROUNDING = 1e-6
"""A squared MMD below this is no distance, but rounding."""

LEAST = 1e-7
"""Smallest probability of which a logarithm is taken."""


class SourceSelection(Method):
    """The wrapped method, fitted anew for each target on its nearest sources; other targets take no part.

    Args:
        method: what is fitted.
        keep: how many of the nearest sources; all of them where there are no more, or None.
        weight: fit to each of these sources alone, and average the logarithms of the probabilities with
            ``nearness`` as weights; otherwise there is one fit to all of them.
        distance_on: see ``source_distances``.

    Raises:
        CalibError: a setting is wrong.
    """

    def __init__(self, method: Method, keep: int | None, weight: bool, distance_on: DistanceOn) -> None:
        check_wrapped(method)
        if keep is not None:
            check_number("method.keep", keep, least=1, whole=True)
        check_flag("method.weight", weight)
        check_choice("method.distance_on", distance_on, get_args(DistanceOn))
        if weight and keep == 1:
            raise CalibError(
                "method.weight=true has nothing to weight with method.keep=1; set method.keep=null for all "
                "sources."
            )
        self.method, self.keep, self.weight, self.distance_on = method, keep, weight, distance_on

    @property
    def versions(self) -> list[int]:
        """Versions of this and of the wrapped method."""
        return [self.version, *self.method.versions]

    def fit(self, task: Task, runtime: Runtime) -> "FittedSelection":
        """Order the sources and fit, for one target after another; each has random streams of its own."""
        fits = {target.name: self._fit(target, task, runtime) for target in task.targets}
        return FittedSelection([source.name for source in task.sources], fits)

    def _fit(self, target: Samples, task: Task, runtime: Runtime) -> list["Part"]:
        """The fits for one target, the one to the nearest source first."""
        stage = runtime.within(f"target {target.name}")
        distances = source_distances(task.sources, target, self.distance_on, stage)
        nearest = sorted(distances, key=lambda name: distances[name])[: self.keep]
        parts = [(name,) for name in nearest] if self.weight else [tuple(nearest)]
        weights = nearness([distances[name] for name in nearest]) if self.weight else np.ones(1)
        fits = []
        for names, weight in zip(parts, weights, strict=True):
            sources = [source for source in task.sources if source.name in names]
            own = stage.within(f"source {names[0]}") if self.weight else stage
            fitted = self.method.fit(replace(task, sources=sources, targets=[target]), own)
            fits.append(Part(names, float(weight), fitted))
        _tell(target, distances, fits, stage)
        return fits


def source_distances(
    sources: Sequence[Samples], target: Samples, distance_on: DistanceOn, runtime: Runtime
) -> dict[str, float]:
    """Squared MMD between the target and every source, by the source's name.

    Mean over the draws of rows of ``evaluation.mmd``, with kernels as wide as the median heuristic makes them
    for the target and all sources together. The estimate is the biased one, whose bias depends on the
    number of rows, so as many are drawn of every source: no more than the smallest has.

    Args:
        distance_on: ``standardised``: every feature has mean 0 and variance 1 in each batch, so that what is
            left to differ is what per-batch scaling cannot take away; ``data``: over target and sources
            together, so that a shift of a whole batch counts. Either of arcsinh(x / 100), which is linear for
            data that have a small scale already.
    """
    batches = [target, *sources]
    dtype = runtime.numpy_dtype
    if distance_on == "standardised":
        x = [prepared(batch.x, "arcsinh", "standardise", dtype) for batch in batches]
    else:
        pooled = prepared(np.concatenate([batch.dense for batch in batches]), "arcsinh", "standardise", dtype)
        x = pieces(pooled, batches)
    space = {batch.name: rows for batch, rows in zip(batches, x, strict=True)}
    rows = min(most_rows(len(batches)), *(len(source) for source in sources))
    table = batch_distances({distance_on: space}, runtime.derived_seed("distances to the sources"), rows)
    own = table[(table["kernel"] == "median") & (table["batch_a"] == target.name)]
    means = own.groupby("batch_b")["mmd2"].mean()
    return {source.name: float(means[source.name]) for source in sources}


def nearness(distances: Sequence[float]) -> NDArray[np.float64]:
    """Weights ``(sources,)``, which sum to one: proportional to exp(-d / d_min).

    A source twice as far away as the nearest counts e times less than that one. The weights are equal where
    the distances are, and do not change with their unit. Sources as near as two samples of one batch have
    the biased estimate's floor as their distance, and so about equal weights.

    Args:
        distances: squared MMD; none is taken to be below ``ROUNDING``.
    """
    d = np.maximum(distances, ROUNDING)
    return softmax(-d / d.min())


def _tell(target: Samples, distances: Mapping[str, float], fits: Sequence["Part"], stage: Runtime) -> None:
    """What was measured and chosen: a line in the log, and one a source in the history."""
    weights = {name: fit.weight for fit in fits for name in fit.sources}
    listed = ", ".join(f"{name} {distance:.4f}" for name, distance in distances.items())
    chosen = ", ".join(f"{name} ({weight:.3f})" for name, weight in weights.items())
    log.info("Target %s: squared MMD to source %s; weight of source %s", target.name, listed, chosen)
    stage.history += [
        {
            "training": f"{stage.stage}distance to source {name}",
            "epoch": 0,
            "mmd2": distance,
            "weight": weights.get(name, 0.0),
        }
        for name, distance in distances.items()
    ]


@dataclass(frozen=True)
class Part:
    """One fit for a target: the sources that it was fitted to, the nearest first, and its share."""

    sources: tuple[str, ...]
    weight: float
    fitted: Fitted


@dataclass(frozen=True)
class FittedSelection:
    """The names of all sources, and each target's fits by its name.

    Fits do not share a space: a target's calibrated data are those of its fit to the nearest source, a
    source's those of the first fit that it is in. A source that was never chosen has none.
    """

    sources: Sequence[str]
    fits: Mapping[str, Sequence[Part]]

    def _shown(self, name: str) -> Fitted | None:
        """The fit that a batch's calibrated data come from."""
        own = self.fits.get(name) or [p for parts in self.fits.values() for p in parts if name in p.sources]
        return own[0].fitted if own else None

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """The rows that have calibrated data, by batch; see ``base.Partial``."""
        found: dict[str, IntArray] = {}
        for name in (*self.sources, *self.fits):
            shown = self._shown(name)
            if shown is None:
                found[name] = np.empty(0, np.int64)
            elif name in (part := calibrated_rows(shown)):
                found[name] = part[name]
        return found

    def transform(self, samples: Samples) -> Matrix:
        """Calibrated data of a target, or of a source that was chosen.

        Raises:
            CalibError: the batch was in no fit.
        """
        shown = self._shown(samples.name)
        if shown is None:
            raise CalibError(
                f"Batch '{samples.name}' is among no target's nearest sources; raise method.keep."
            )
        return shown.transform(samples)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a target by its own fits."""
        parts = self.fits[samples.name]
        each = [part.fitted.predict_proba(samples) for part in parts]
        if len(each) == 1:
            return each[0]
        logs = [part.weight * np.log(np.maximum(p, LEAST)) for part, p in zip(parts, each, strict=True)]
        mean: FloatArray = softmax(np.sum(logs, axis=0), axis=1)
        return mean.astype(each[0].dtype)
