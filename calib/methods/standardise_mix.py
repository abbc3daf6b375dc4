"""Standardising each batch to the class mix of the sources, which need not be its own.

A batch that is scaled by its own mean and standard deviation loses what tells its classes if it has another
mix than the sources: its mean lies towards its larger class. Here mean and variance of each batch are those
that it would have with the sources' mix. That takes the mix, which is known of the sources and estimated of
the others (``evaluation.class_mix``), and the distances between classes, which are those of the sources.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from calib.data.study import FloatArray, LabelledSamples, Samples
from calib.data.transform import TRANSFORMS, Transform, check_varies, prepared_batch
from calib.errors import check_choice
from calib.evaluation.class_mix import MixModel
from calib.methods.base import State
from calib.methods.lasting import sizes
from calib.runtime import Runtime

FLOOR = 0.2
"""Least share of a feature's variance that remains when that between classes is exchanged."""

ROUNDS = 50
"""Rounds in which effects of classes and of batches are told apart, where a batch lacks a class."""


class StandardiseMix:
    """A corrector to mean 0 and standard deviation 1 of each batch as if it had the sources' class mix.

    Args:
        transform: ``none``, ``arcsinh`` of x/unit or ``log2`` of x+1, before anything else.
    """

    version: ClassVar[int] = 1
    uses_source_labels: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    keeps_features: ClassVar[bool] = True
    lasting: ClassVar[bool] = True

    def __init__(self, transform: Transform) -> None:
        check_choice("transform", transform, TRANSFORMS)
        self.transform: Transform = transform

    def correct(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, FloatArray]:
        """Return the corrected data ``(samples, features)`` of every batch.

        Raises:
            DataError: a batch has one sample, or samples that are all the same.
        """
        return self.learn(sources, targets, runtime)[0]

    def learn(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the same, and the arrays by which later batches are corrected."""
        known = [
            LabelledSamples(one.name, self._values(one, runtime), one.y, replicate=one.replicate)
            for one in sources
        ]
        classes = int(max(one.y.max() for one in known)) + 1
        shares = np.array([np.bincount(one.y, minlength=classes) / len(one.y) for one in known])
        model = MixModel.of(known, classes)
        learnt = {
            "effects": _class_effects(known, classes),
            "reference": shares.mean(axis=0),
            "directions": model.directions,
            "centres": model.centres,
            "widths": model.widths,
        }
        corrected = {
            one.name: _scaled(one.dense, share, learnt, runtime)
            for one, share in zip(known, shares, strict=True)
        }
        return corrected | {one.name: self.follow(learnt, one, runtime) for one in targets}, learnt

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data ``(samples, features)`` of a batch without labels."""
        x = self._values(later, runtime)
        model = MixModel(*(np.asarray(learnt[name]) for name in ("directions", "centres", "widths")))
        found = model.estimate(Samples(later.name, x, replicate=later.replicate))
        return _scaled(x, found.shares, learnt, runtime)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features.

        Raises:
            ValueError, LookupError: the arrays do not fit each other or the data.
        """
        by_class = ("classes", "features")
        sizes(
            learnt,
            {"features": features, "sides": 2},
            effects=by_class,
            directions=by_class,
            reference=("classes",),
            centres=("classes",),
            widths=("classes", "sides"),
        )
        return features

    def _values(self, batch: Samples, runtime: Runtime) -> FloatArray:
        """Return a batch's transformed values, after checking that it can be scaled by itself."""
        check_varies(batch.x, f"Batch '{batch.name}'")
        made = prepared_batch(batch, self.transform, "none", runtime)
        return np.asarray(made.todense() if hasattr(made, "todense") else made, np.float64)


def _class_effects(sources: Sequence[LabelledSamples], classes: int) -> FloatArray:
    """Return the effect of each class on each feature ``(classes, features)``, apart from those of batches.

    Means of classes in batches are a sum of both effects; where a batch lacks a class they are told apart in
    rounds. A class that no batch has gets no effect.
    """
    cells = np.full((len(sources), classes, sources[0].x.shape[1]), np.nan)
    for place, one in enumerate(sources):
        for c in np.unique(one.y):
            cells[place, c] = one.dense[one.y == c].mean(axis=0)
    present = np.isfinite(cells[:, :, 0])
    filled, weight = np.nan_to_num(cells), present[:, :, None].astype(float)
    effects = np.zeros(cells.shape[1:])
    for _ in range(ROUNDS if not present.all() else 1):
        own = ((filled - effects) * weight).sum(axis=1) / weight.sum(axis=1)
        effects = ((filled - own[:, None]) * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    return effects


def _scaled(x: FloatArray, shares: FloatArray, learnt: State, runtime: Runtime) -> FloatArray:
    """Return a batch less the mean that it would have with the sources' mix, over that deviation."""
    effects, reference = np.asarray(learnt["effects"]), np.asarray(learnt["reference"])
    mean = x.mean(axis=0) + (reference - shares) @ effects
    variance = x.var(axis=0)
    exchanged = variance - _between(shares, effects) + _between(reference, effects)
    width = np.sqrt(np.maximum(exchanged, FLOOR * variance))
    varies = (np.ptp(x, axis=0) > 0) & (width > 0)
    made: FloatArray = (np.where(varies, x - mean, 0) / np.where(varies, width, 1)).astype(
        runtime.numpy_dtype
    )
    return made


def _between(shares: FloatArray, effects: FloatArray) -> FloatArray:
    """Return the variance between classes of each feature ``(features,)`` in a batch with these shares."""
    variance: FloatArray = shares @ np.square(effects - shares @ effects)
    return variance
