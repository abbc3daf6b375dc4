"""Standardising each batch to the class mix of the sources, which need not be its own.

A batch that is scaled by its own mean and standard deviation loses what tells its classes if it has another
mix than the sources: its mean lies towards its larger class. Here mean and variance of each batch are those
that it would have with the sources' mix. That takes the mix, which is known of the sources and estimated of
the others (``evaluation.class_mix``), and the distances between classes, which are those of the sources.

A small batch hardly shows its own mean and variance, so they are drawn towards the sources', the mean by as
much as the means of the sources say (empirical Bayes, as in Johnson et al. 2007, doi
10.1093/biostatistics/kxj037).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from calib.data.matrix import dense
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples
from calib.data.transform import TRANSFORMS, Transform, check_varies, prepared_batch
from calib.errors import check_choice, check_flag
from calib.evaluation.class_mix import Assumptions, MixModel
from calib.methods.base import State
from calib.methods.lasting import sizes
from calib.runtime import Runtime

FLOOR = 0.2
"""Least share of a feature's variance that remains when that between classes is exchanged."""

USUAL = 20
"""Number of samples that the sources' variance counts as, beside that of a batch."""

ROUNDS = 50
"""Rounds in which effects of classes and of batches are told apart, where a batch lacks a class."""

MIX = "mix_"
"""Prefix of the arrays of ``MixModel``."""


class StandardiseMix:
    """A corrector to mean 0 and standard deviation 1 of each batch as if it had the sources' class mix.

    Args:
        transform: ``none``, ``arcsinh`` of x/unit or ``log2`` of x+1, before anything else.
        shrink: draw mean and variance of small batches towards the sources'.
        own, offset, temper, prior: what is assumed of a mix (``class_mix.Assumptions``).

    Raises:
        CalibError: a setting is of the wrong kind or out of its range.
    """

    version: ClassVar[int] = 2
    uses_source_labels: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    keeps_features: ClassVar[bool] = True
    lasting: ClassVar[bool] = True

    def __init__(
        self, transform: Transform, shrink: bool, own: float, offset: float, temper: float, prior: float
    ) -> None:
        check_choice("transform", transform, TRANSFORMS)
        check_flag("shrink", shrink)
        self.transform: Transform = transform
        self.shrink = shrink
        self.assumed = Assumptions(own, offset, temper, prior)

    def correct(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, FloatArray]:
        """Return the corrected data ``(samples, features)`` of every batch.

        Raises:
            DataError: the samples of a batch are all the same.
        """
        return self.learn(sources, targets, runtime)[0]

    def learn(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the same, and the arrays by which later batches are corrected."""
        corrected, scale = self.scale(sources, runtime)
        learnt = scale.arrays()
        return corrected | {one.name: self.follow(learnt, one, runtime) for one in targets}, learnt

    def scale(
        self, sources: Sequence[LabelledSamples], runtime: Runtime
    ) -> tuple[dict[str, FloatArray], "Scale"]:
        """Return the corrected data of the sources, and the scale of every batch."""
        known = [replace(one, x=self.even(one, runtime).x) for one in sources]
        classes = int(max(one.y.max() for one in known)) + 1
        scale = Scale.of(known, MixModel.of(known, classes, self.assumed), self.shrink)
        return {one.name: scale.scaled(one, scale.shares(one), runtime) for one in known}, scale

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data ``(samples, features)`` of a batch without labels."""
        scale, batch = Scale.restored(learnt), self.even(later, runtime)
        return scale.scaled(batch, scale.model.estimate(batch).shares, runtime)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features.

        Raises:
            ValueError, LookupError: the arrays do not fit each other or the data.
        """
        by_class = ("classes", "features")
        per_class = dict.fromkeys(
            (MIX + name for name in ("centres", "offsets", "separations", "reference")), ("classes",)
        )
        sizes(
            learnt,
            {"features": features, "sides": 2},
            effects=by_class,
            mean=("features",),
            variance=("features",),
            ratio=("sides",),
            **{
                MIX + "directions": by_class,
                MIX + "widths": ("classes", "sides"),
                MIX + "weights": ("sides",),
            },
            **per_class,
        )
        return features

    def even(self, batch: Samples, runtime: Runtime) -> Samples:
        """Return a batch with transformed values; of several samples, some have to differ."""
        if len(batch) > 1:
            check_varies(batch.x, f"Batch '{batch.name}'")
        made = prepared_batch(batch, self.transform, "none", runtime)
        return Samples(batch.name, dense(made).astype(np.float64), replicate=batch.replicate)


@dataclass(frozen=True)
class Scale:
    """The sources' classes, mean and variance, by which every batch is scaled.

    Attributes:
        model: tells the mix of a batch.
        effects: difference of each class from the mean with the sources' mix ``(classes, features)``, as far
            as it holds for samples that it was not made from.
        mean: mean of the sources with their mean mix ``(features,)``.
        variance: mean variance of the sources with their mean mix ``(features,)``.
        ratio: variance of batches' means by that of samples, and the number of samples that the sources'
            variance counts as ``(2,)``; infinite and 0 where nothing is drawn towards the sources.
    """

    model: MixModel
    effects: FloatArray
    mean: FloatArray
    variance: FloatArray
    ratio: FloatArray

    @classmethod
    def of(cls, sources: Sequence[LabelledSamples], model: MixModel, shrink: bool) -> "Scale":
        """Return what labelled batches with even values have."""
        classes = len(model.reference)
        raw = _class_effects(sources, classes)
        middles = np.array([one.dense.mean(axis=0) - _shares(one.y, classes) @ raw for one in sources])
        mean = middles.mean(axis=0) + model.reference @ raw
        effects = raw - model.reference @ raw
        kept = model.separations[1] if classes == 2 else model.separations[:, None]
        within = np.mean([(one.dense - raw[one.y]).var(axis=0) for one in sources], axis=0)
        ratio = np.array([_ratio(middles, within, [one.distinct for one in sources]), USUAL])
        variance = within + _between(model.reference, effects)
        return cls(model, effects * kept, mean, variance, ratio if shrink else np.array([1e30, 0]))

    @classmethod
    def restored(cls, learnt: State) -> "Scale":
        """Return the scale whose ``arrays()`` are given."""
        arrays = {name: np.asarray(value) for name, value in learnt.items()}
        model = MixModel(**{field.name: arrays[MIX + field.name] for field in fields(MixModel)})
        return cls(model, *(arrays[field.name] for field in fields(cls) if field.name != "model"))

    def arrays(self) -> dict[str, FloatArray]:
        """Return what ``restored`` takes."""
        own = {name: value for name, value in vars(self).items() if name != "model"}
        return own | {MIX + name: value for name, value in vars(self.model).items()}

    def shares(self, batch: LabelledSamples) -> FloatArray:
        """Return the mix of a labelled batch ``(classes,)``, among the classes that the sources have.

        It is that of the sources for a batch of none of these classes.
        """
        known = batch.y[np.isin(batch.y, np.flatnonzero(self.model.reference))]
        return _shares(known, len(self.effects)) if len(known) else self.model.reference

    def scaled(self, batch: Samples, shares: FloatArray, runtime: Runtime) -> FloatArray:
        """Return a batch less the mean that it would have with the sources' mix, over that deviation."""
        x, samples = batch.dense, batch.distinct
        reference = self.model.reference
        off = x.mean(axis=0) - shares @ self.effects - self.mean
        mean = self.mean + off * self.ratio[0] / (self.ratio[0] + 1 / samples)
        own = x.var(axis=0)
        exchanged = own - _between(shares, self.effects) + _between(reference, self.effects)
        usual = self.ratio[1]
        variance = (samples * np.maximum(exchanged, FLOOR * own) + usual * self.variance) / (samples + usual)
        varies = variance > np.finfo(np.float64).eps * np.square(mean)
        made: FloatArray = np.where(varies, x - mean, 0) / np.sqrt(np.where(varies, variance, 1))
        return made.astype(runtime.numpy_dtype)


def _shares(y: IntArray, classes: int) -> FloatArray:
    """Return the share of each class ``(classes,)``."""
    return np.bincount(y, minlength=classes) / len(y)


def _ratio(middles: FloatArray, within: FloatArray, counts: Sequence[int]) -> float:
    """Return the variance of batches' means by the variance of samples within classes, over all features.

    The value 1 counts as one batch more, since few batches say little.

    Args:
        middles: means of the sources without their classes ``(batches, features)``.
        within: variance within classes ``(features,)``.
        counts: numbers of samples.
    """
    if len(middles) == 1:
        return 1.0
    varies = within > np.finfo(np.float64).eps * np.square(middles).max(axis=0)
    if not varies.any():
        return 1.0
    shifts = middles[:, varies].var(axis=0, ddof=1) / within[varies]
    found = max(float(shifts.mean()) - float(np.mean(1 / np.array(counts))), 0.0)
    return (1 + (len(middles) - 1) * found) / len(middles)


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


def _between(shares: FloatArray, effects: FloatArray) -> FloatArray:
    """Return the variance between classes of each feature ``(features,)`` in a batch with these shares."""
    variance: FloatArray = shares @ np.square(effects - shares @ effects)
    return variance
