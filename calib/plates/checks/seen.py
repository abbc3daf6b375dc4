"""What the checks of a design share: the plates, their subjects, and some of their samples and features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.matrix import dense
from calib.data.study import Batch, FloatArray, IntArray, Study
from calib.data.transform import TRANSFORMS, unit_of
from calib.evaluation.ranks import ranks
from calib.plates.answer import Finding

SAMPLES = 8000
"""Most samples of all plates together whose values are compared."""

FEATURES = 1000
"""Most features whose values are compared."""

FEWEST = 20
"""Samples of a plate that take part however many plates there are."""

LEVEL = 0.05
"""False discovery rate of what is tested in many features."""


@dataclass(frozen=True)
class Checked:
    """What a check has found, and the numbers behind it."""

    table: pd.DataFrame
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Seen:
    """A study as the checks look at it.

    Attributes:
        study: the study, with its values as loaded.
        seed: seed of all that is drawn.
    """

    study: Study
    seed: int

    @property
    def labelled(self) -> list[Batch]:
        """Return the plates with labels."""
        return [batch for batch in self.study.batches.values() if batch.y is not None]

    @cached_property
    def features(self) -> IntArray:
        """Return the positions of the features whose values are compared, in ascending order."""
        return _drawn(len(self.study.features), FEATURES, np.random.default_rng([self.seed, 0]))

    @cached_property
    def rows(self) -> Mapping[str, IntArray]:
        """Return the rows of each plate whose values are compared, in ascending order."""
        most = max(SAMPLES // len(self.study.batches), FEWEST)
        rng = np.random.default_rng([self.seed, 1])
        return {name: _drawn(len(batch), most, rng) for name, batch in self.study.batches.items()}

    @cached_property
    def raw(self) -> Mapping[str, FloatArray]:
        """Return the values of these rows and features of each plate, as loaded, in float64."""
        return {
            name: dense(batch.x[self.rows[name]][:, self.features]).astype(np.float64)
            for name, batch in self.study.batches.items()
        }

    @cached_property
    def even(self) -> Mapping[str, FloatArray]:
        """Return the same as arcsinh by their unit, an even scale for intensities and logarithms alike."""
        unit = unit_of(self.study)
        return {name: TRANSFORMS["arcsinh"](x, unit) for name, x in self.raw.items()}

    @property
    def drawn(self) -> str:
        """Return a sentence on what is left out of the comparison of values, or "" where all take part."""
        shown = sum(map(len, self.rows.values()))
        samples, features = sum(map(len, self.study.batches.values())), len(self.study.features)
        if shown == samples and len(self.features) == features:
            return ""
        return (
            f"Values are compared in {shown:,} of {samples:,} samples and "
            f"{len(self.features):,} of {features:,} features, drawn with seed {self.seed}."
        )


def _drawn(count: int, most: int, rng: np.random.Generator) -> IntArray:
    """Return all positions, or so many of them, in ascending order."""
    return np.arange(count) if count <= most else np.sort(rng.permutation(count)[:most])


def has_named_subjects(batch: Batch) -> bool:
    """Return whether subjects have names, which are the same on every plate; numbers count anew on each."""
    return batch.subject is not None and batch.subject.dtype.kind in "UO"


def subject_keys(batch: Batch) -> NDArray[np.str_]:
    """Return the subject of each sample ``(samples,)`` by a name that is no other subject's of any plate.

    A sample whose subject is unknown is one of its own.
    """
    if batch.subject is None:
        return np.array([f"{batch.name}\0sample {row}" for row in range(len(batch))])
    if has_named_subjects(batch):
        return batch.subject.astype(str)
    return np.array([f"{batch.name}\0{number}" for number in batch.subject])


def units_of(batch: Batch) -> IntArray:
    """Return the number of each sample's subject within its plate ``(samples,)``, from 0 on."""
    owner: IntArray = np.unique(subject_keys(batch), return_inverse=True)[1]
    return owner


def means_by(owner: IntArray, x: Any) -> FloatArray:
    """Return the means over the rows of each owner ``(owners, columns)`` of a dense or sparse matrix."""
    count = np.bincount(owner)
    places = (1 / count[owner], (owner, np.arange(len(owner))))
    weights = sparse.csr_array(places, shape=(len(count), len(owner)))
    return dense(weights @ x)


def sample_name(batch: Batch, row: int) -> str:
    """Return the name of a sample in quotes, or its number in its plate where it has none."""
    return f"sample {row + 1}" if batch.names is None else f"'{batch.names[row]}'"


def has(count: int) -> str:
    """Return the verb of so many things that have something."""
    return "has" if count == 1 else "have"


def adjusted(p: FloatArray) -> FloatArray:
    """Return p-values adjusted for many tests (Benjamini and Hochberg 1995), NaN where there is none."""
    flat = p.ravel()
    known = np.flatnonzero(np.isfinite(flat))
    order = known[np.argsort(flat[known])]
    ranked = flat[order] * len(order) / np.arange(1, len(order) + 1)
    found = np.full(flat.shape, np.nan)
    found[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1)
    return found.reshape(p.shape)


def stratified(values: Sequence[FloatArray], inside: Sequence[NDArray[np.bool_]]) -> FloatArray:
    """Return z-values for a difference of some units from the others of their plate, over all plates.

    It is the generalised Cochran-Mantel-Haenszel test (Landis, Heyman and Koch 1978, doi 10.2307/1402373):
    sums of the units inside against what they are if units are exchangeable within a plate. Of ranks it is
    van Elteren's test.

    Args:
        values: value of each unit of each plate ``(units, columns)``.
        inside: which units ``(units,)``.

    Returns:
        ``(columns,)``, NaN where no plate has a difference.
    """
    excess = np.zeros(values[0].shape[1])
    variance = np.zeros_like(excess)
    for x, chosen in zip(values, inside, strict=True):
        n, k = len(x), int(chosen.sum())
        if 0 < k < n:
            excess += x[chosen].sum(axis=0) - k * x.mean(axis=0)
            variance += k * (n - k) / (n - 1) * x.var(axis=0)
    return np.where(variance > 1e-12, excess, np.nan) / np.sqrt(np.where(variance > 1e-12, variance, 1))


def auc_within(values: Sequence[FloatArray], inside: Sequence[NDArray[np.bool_]]) -> float:
    """Return the area under the curve of a value for being inside, of pairs of one plate; NaN without any."""
    above = pairs = 0.0
    for value, chosen in zip(values, inside, strict=True):
        k = int(chosen.sum())
        above += ranks(value)[chosen].sum() - k * (k + 1) / 2
        pairs += k * (len(value) - k)
    return above / pairs if pairs else float("nan")
