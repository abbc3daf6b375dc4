"""A wrapper that fits a method for each target to the sources whose data lie nearest to it.

Niu et al. 2021 propose it at the end of their Discussion: "calculate the distribution distance of test set
with those labels-known source data and choose the closest ones as training set". They have not tried it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from calib.data.matrix import Matrix, pieces
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples, Task
from calib.data.transform import prepared, prepared_batch
from calib.errors import CalibError, check_choice, check_flag, check_number
from calib.evaluation.distances import batch_distances, most_rows
from calib.methods.base import Fitted, Method, calibrated_rows, check_wrapped
from calib.runtime import Runtime

log = logging.getLogger(__name__)

DistanceOn = Literal["data", "standardised"]

ROUNDING = 1e-6
"""Smallest squared MMD that is not merely a rounding error."""

LEAST = 1e-7
"""Smallest probability of which a logarithm is taken."""


class SourceSelection(Method):
    """A method that fits another method anew for each target, to this target and its nearest sources.

    Args:
        method: the method to fit.
        keep: number of nearest sources; None, or a number larger than that of the sources, keeps all.
        weight: fit to each of these sources alone, and average the logarithms of the probabilities with
            ``nearness`` as weights; false makes one fit to all of these sources.
        distance_on: see ``source_distances``.

    Raises:
        CalibError: a setting is wrong.
    """

    needs_targets = True

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
        """Return the versions of this method and of the wrapped one."""
        return [self.version, *self.method.versions]

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return the weights of the wrapped method."""
        return self.method.most_weights(features, sources, batches)

    @property
    def why_two_classes(self) -> str:
        """Return why the wrapped method needs two classes in each source, or "" if it does not."""
        return self.method.why_two_classes

    def fit(self, task: Task, runtime: Runtime) -> "FittedSelection":
        """Order the sources and fit for one target after another; each target has its own random streams.

        Raises:
            CalibError: the sources that a fit is to learn from have samples of one class only.
        """
        fits = {target.name: self._fit(target, task, runtime) for target in task.targets}
        return FittedSelection([source.name for source in task.sources], fits)

    def _fit(self, target: Samples, task: Task, runtime: Runtime) -> list["Part"]:
        """Return the fits for one target; the one to the nearest source comes first."""
        stage = runtime.within(f"target {target.name}")
        distances = source_distances(task.sources, target, self.distance_on, stage)
        nearest = sorted(distances, key=lambda name: distances[name])[: self.keep]
        parts = [(name,) for name in nearest] if self.weight else [tuple(nearest)]
        weights = nearness([distances[name] for name in nearest]) if self.weight else np.ones(1)
        fits = []
        for names, weight in zip(parts, weights, strict=True):
            sources = [source for source in task.sources if source.name in names]
            _check_two_classes(target, sources)
            own = stage.within(f"source {names[0]}") if self.weight else stage
            fitted = self.method.fit(replace(task, sources=sources, targets=[target]), own)
            fits.append(Part(names, float(weight), fitted))
        _log_choice(target, distances, fits, stage)
        return fits


def _check_two_classes(target: Samples, sources: Sequence[LabelledSamples]) -> None:
    """Raise CalibError if the sources of a fit have samples of one class only."""
    if len(np.unique(np.concatenate([source.y for source in sources]))) < 2:
        names = ", ".join(source.name for source in sources)
        raise CalibError(
            f"Target '{target.name}' is to be learnt from its nearest source(s) {names} alone, which have "
            "samples of one class only; set method.keep=null and method.weight=false, which use all sources, "
            "or choose another split."
        )


def source_distances(
    sources: Sequence[Samples], target: Samples, distance_on: DistanceOn, runtime: Runtime
) -> dict[str, float]:
    """Return the squared MMD between the target and every source, by the source's name.

    It is the mean over random draws of rows (``evaluation.distances``). The kernel widths come from the
    median heuristic on the target and all sources together. The estimate is biased, and its bias depends on
    the number of rows; so the same number is drawn of every source, at most that of the smallest one.

    Args:
        sources: the source batches.
        target: the target batch.
        distance_on: ``standardised`` scales every feature to mean 0 and variance 1 in each batch, so only
            differences remain that scaling by batch cannot remove; ``data`` scales over target and sources
            together, so that a shift of a whole batch counts. Both scale arcsinh of the values in the
            study's unit.
        runtime: seed of the draws, and the dtype.
    """
    batches = [target, *sources]
    if distance_on == "standardised":
        x = [prepared_batch(batch, "arcsinh", "standardise", runtime) for batch in batches]
    else:
        everything = np.concatenate([batch.dense for batch in batches])
        pooled = prepared(everything, "arcsinh", "standardise", runtime.numpy_dtype, runtime.unit)
        x = pieces(pooled, batches)
    space = {batch.name: rows for batch, rows in zip(batches, x, strict=True)}
    rows = min(most_rows(len(batches)), *(len(source) for source in sources))
    table = batch_distances({distance_on: space}, runtime.derived_seed("distances to the sources"), rows)
    own = table[(table["kernel"] == "median") & (table["batch_a"] == target.name)]
    means = own.groupby("batch_b")["mmd2"].mean()
    return {source.name: float(means[source.name]) for source in sources}


def nearness(distances: Sequence[float]) -> NDArray[np.float64]:
    """Return weights ``(sources,)`` that are proportional to exp(-d / d_min) and sum to one.

    A source twice as far away as the nearest one gets its weight divided by e. Equal distances have equal
    weights, and the weights do not depend on the unit of the distances. If sources are as near as random
    parts of one batch, their distances are the floor of the biased estimate, and their weights about equal.

    Args:
        distances: squared MMD ``(sources,)``; smaller ones are set to ``ROUNDING``.
    """
    d = np.maximum(distances, ROUNDING)
    return softmax(-d / d.min())


def _log_choice(
    target: Samples, distances: Mapping[str, float], fits: Sequence["Part"], stage: Runtime
) -> None:
    """Write distances and chosen sources as one line to the log, and as one line a source to the history."""
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
    """One fit for a target, with its sources (the nearest first) and its weight."""

    sources: tuple[str, ...]
    weight: float
    fitted: Fitted


@dataclass(frozen=True)
class FittedSelection:
    """The fits of every target, by the target's name, and the names of all sources.

    Fits do not share a space. A target's calibrated data come from its fit to the nearest source, a source's
    from the first fit that it is part of. A source that no fit has chosen has no calibrated data.
    """

    sources: Sequence[str]
    fits: Mapping[str, Sequence[Part]]

    def _shown(self, name: str) -> Fitted | None:
        """Return the fit that a batch's calibrated data come from, or None if no fit has chosen it."""
        own = self.fits.get(name) or [p for parts in self.fits.values() for p in parts if name in p.sources]
        return own[0].fitted if own else None

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """Return the rows that have calibrated data, by batch name; see ``base.Partial``."""
        found: dict[str, IntArray] = {}
        for name in (*self.sources, *self.fits):
            shown = self._shown(name)
            if shown is None:
                found[name] = np.empty(0, np.int64)
            elif name in (part := calibrated_rows(shown)):
                found[name] = part[name]
        return found

    def transform(self, samples: Samples) -> Matrix:
        """Return the calibrated data of a target, or of a source that was chosen.

        Raises:
            CalibError: no fit has chosen the batch.
        """
        return self._chosen(samples).transform(samples)

    def _chosen(self, samples: Samples) -> Fitted:
        """Return the fit that a batch's calibrated data come from.

        Raises:
            CalibError: no fit has chosen the batch.
        """
        shown = self._shown(samples.name)
        if shown is None:
            raise CalibError(
                f"Batch '{samples.name}' is among no target's nearest sources; raise method.keep."
            )
        return shown

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a target by its own fits.

        Those of a source are by the fit that its calibrated data come from.
        """
        parts = self.fits.get(samples.name)
        if parts is None:
            return self._chosen(samples).predict_proba(samples)
        each = [part.fitted.predict_proba(samples) for part in parts]
        if len(each) == 1:
            return each[0]
        logs = [part.weight * np.log(np.maximum(p, LEAST)) for part, p in zip(parts, each, strict=True)]
        mean: FloatArray = softmax(np.sum(logs, axis=0), axis=1)
        return mean.astype(each[0].dtype)
