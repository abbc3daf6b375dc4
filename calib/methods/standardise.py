"""Correctors that bring each feature of every batch to the same distribution, one batch at a time.

They are the simplest batch corrections: Luo et al. 2010 (doi 10.1038/tpj.2010.57) compare standardisation
within batches with others by how well classes are predicted across batches. They also remove differences
between batches that come from a different class mix.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy.special import ndtri
from scipy.stats import rankdata

from calib.data.matrix import Matrix, dense
from calib.data.study import FloatArray, Samples
from calib.data.transform import TRANSFORMS, Transform, check_varies, prepared
from calib.errors import check_choice
from calib.methods.base import Corrector, State
from calib.methods.lasting import EachAlone, Lasting, is_lasting
from calib.runtime import Runtime


class ByBatch(EachAlone):
    """The base class of correctors that correct each batch alone, and so new batches as well."""

    version = 1
    uses_seed = False
    stored = False

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        """Return the corrected data of every batch.

        Raises:
            DataError: a batch has no two different rows.
        """
        for batch in batches:
            check_varies(batch.x, f"Batch '{batch.name}'")
        return {batch.name: self.corrected(batch.dense).astype(runtime.numpy_dtype) for batch in batches}

    @abstractmethod
    def corrected(self, x: FloatArray) -> FloatArray:
        """Return one batch ``(samples, features)``, corrected, as float64."""


class Standardise(ByBatch):
    """A corrector to mean 0 and standard deviation 1 in each batch.

    The standard deviation is divided by the number of samples, not by one less. A constant feature becomes 0.
    """

    def corrected(self, x: FloatArray) -> FloatArray:
        """Return the z-scores of one batch ``(samples, features)``."""
        return dense(prepared(x, "none", "standardise", "float64"))


class RankNormal(ByBatch):
    """A corrector to normal quantiles of the ranks in each batch.

    The quantiles are those of ``(rank - 3/8) / (samples + 1/4)``, with ties at their mean rank. These are
    Blom's offsets, see Beasley, Erickson & Allison 2009 (doi 10.1007/s10519-009-9281-0). A constant feature
    becomes 0.
    """

    def corrected(self, x: FloatArray) -> FloatArray:
        """Return the normal quantiles of one batch ``(samples, features)``."""
        quantiles: FloatArray = ndtri((rankdata(x, axis=0) - 0.375) / (len(x) + 0.25))
        return quantiles


class Transformed(Lasting):
    """A corrector that transforms intensities and gives them to another corrector.

    Args:
        transform: ``none``, ``arcsinh`` of x/unit or ``log2`` of x+1, after the protocol's transform.
        corrector: gets the transformed data.
    """

    version = 1

    def __init__(self, transform: Transform, corrector: Corrector) -> None:
        check_choice("transform", transform, TRANSFORMS)
        self.transform = transform
        self.corrector = corrector

    @property
    def uses_seed(self) -> bool:
        """Return whether the wrapped corrector draws random numbers."""
        return self.corrector.uses_seed

    @property
    def stored(self) -> bool:
        """Return whether the wrapped corrector's results are stored."""
        return self.corrector.stored

    @property
    def keeps_features(self) -> bool:  # type: ignore[override]
        """Return whether the wrapped corrector keeps the features."""
        return bool(getattr(self.corrector, "keeps_features", False))

    @property
    def lasting(self) -> bool:
        """Return whether the wrapped corrector can correct later batches."""
        return is_lasting(self.corrector)

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the corrected data of every batch, in the unit of the transform."""
        return self.corrector.correct([self._transformed(batch, runtime) for batch in batches], runtime)

    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, Matrix], State]:
        """Return the same, and what the wrapped corrector has learnt."""
        return self._lasting.learn([self._transformed(batch, runtime) for batch in batches], runtime)

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> Matrix:
        """Return the corrected data of a later batch, in the unit of the transform."""
        return self._lasting.follow(learnt, self._transformed(later, runtime), runtime)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of dimensions that the wrapped corrector leaves."""
        return self._lasting.width(learnt, features, runtime)

    @property
    def _lasting(self) -> Lasting:
        """Return the wrapped corrector, which can correct later batches."""
        assert isinstance(self.corrector, Lasting)
        return self.corrector

    def _transformed(self, batch: Samples, runtime: Runtime) -> Samples:
        """Return a batch and its reference samples, transformed."""

        def ready(x: Matrix) -> Matrix:
            return prepared(x, self.transform, "none", runtime.numpy_dtype, runtime.unit)

        reference = None if batch.reference is None else ready(batch.reference)
        return replace(batch, x=ready(batch.x), reference=reference)
