"""Correctors that bring every batch by itself to the same distribution of each feature.

The plainest batch corrections: Luo et al. 2010 (doi 10.1038/tpj.2010.57) compare standardisation within
batches with others by how well classes are predicted across batches. What differs between batches because
their classes are mixed in other proportions is removed as well.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy.special import ndtri
from scipy.stats import rankdata

from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, Samples
from calib.data.transform import TRANSFORMS, Transform, prepared
from calib.errors import CalibError, check_choice
from calib.methods.base import Corrector
from calib.runtime import Runtime


class ByBatch(ABC):
    """A corrector to which other batches do not matter, so that it corrects one that comes later, too."""

    version = 1
    uses_seed = False
    stored = False
    each_batch_alone = True

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        """Corrected data of every batch.

        Raises:
            CalibError: a batch has one sample.
        """
        for batch in batches:
            if len(batch) < 2:
                raise CalibError(
                    f"Batch '{batch.name}' has one sample, so it cannot be corrected by its own "
                    "distribution; leave it out, or set corrector@method.corrector=none."
                )
        return {batch.name: self.corrected(batch.dense).astype(runtime.numpy_dtype) for batch in batches}

    @abstractmethod
    def corrected(self, x: FloatArray) -> FloatArray:
        """One batch ``(samples, features)`` corrected, in float64."""


class Standardise(ByBatch):
    """Mean 0 and standard deviation 1 (of the batch, not corrected for its size); a constant feature is 0."""

    def corrected(self, x: FloatArray) -> FloatArray:
        """One batch ``(samples, features)`` in standard deviations of the batch."""
        return dense(prepared(x, "none", "standardise", "float64"))


class RankNormal(ByBatch):
    """Normal quantiles of the ranks: of ``(rank - 3/8) / (samples + 1/4)``, ties at their mean rank.

    Blom's offsets, see Beasley, Erickson & Allison 2009 (doi 10.1007/s10519-009-9281-0). A constant feature
    is 0.
    """

    def corrected(self, x: FloatArray) -> FloatArray:
        """One batch ``(samples, features)`` in normal quantiles."""
        quantiles: FloatArray = ndtri((rankdata(x, axis=0) - 0.375) / (len(x) + 0.25))
        return quantiles


class Transformed:
    """A corrector on transformed intensities.

    Args:
        transform: ``none``, ``arcsinh`` of x/100 or ``log2`` of x+1; besides what the protocol transforms.
        corrector: gets the transformed data.
    """

    version = 1

    def __init__(self, transform: Transform, corrector: Corrector) -> None:
        check_choice("transform", transform, TRANSFORMS)
        self.transform = transform
        self.corrector = corrector

    @property
    def uses_seed(self) -> bool:
        """As the corrector."""
        return self.corrector.uses_seed

    @property
    def stored(self) -> bool:
        """As the corrector."""
        return self.corrector.stored

    @property
    def each_batch_alone(self) -> bool:
        """As the corrector."""
        return bool(getattr(self.corrector, "each_batch_alone", False))

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Corrected data of every batch, in the unit of the transform."""

        def ready(x: Matrix) -> Matrix:
            return prepared(x, self.transform, "none", runtime.numpy_dtype)

        transformed = [
            replace(b, x=ready(b.x), reference=None if b.reference is None else ready(b.reference))
            for b in batches
        ]
        return self.corrector.correct(transformed, runtime)
