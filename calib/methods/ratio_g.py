"""Ratio_G: a corrector that divides every feature by its geometric mean in the batch's reference samples.

Luo et al. 2010 (doi 10.1038/tpj.2010.57).
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import dense
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_choice, check_flag
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime

log = logging.getLogger(__name__)

DENOMINATORS = ("auto", "reference", "batch")


class RatioG(Lasting):
    """Ratio_G as a corrector; without reference samples it uses all samples of a batch instead.

    Args:
        denominator: samples whose geometric mean divides: ``reference`` (those that the study marks as
            reference samples), ``batch`` (all of the batch) or ``auto`` (``reference`` if the study has any,
            else ``batch``).
        log: whether the data are logarithms already, so that the ratio is a difference.
    """

    version = 1
    uses_seed = False
    stored = False
    dense_copies = 1
    keeps_features = True

    def __init__(self, denominator: str, log: bool) -> None:
        check_choice("method.corrector.denominator", denominator, DENOMINATORS)
        check_flag("method.corrector.log", log)
        self.denominator = denominator
        self.log = log

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, FloatArray]:
        """Return the ratios, or differences of logarithms, of every batch.

        Raises:
            CalibError: a batch has no reference samples, but they are set as denominator or another batch
                has some.
        """
        return self.learn(batches, runtime)[0]

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, NDArray[np.bool_]]]:
        """Return the same, and whether reference samples divide."""
        wanted = self.denominator == "reference" or (
            self.denominator == "auto" and any(batch.reference is not None for batch in batches)
        )
        log.info("Ratios to the geometric mean of %s", "reference samples" if wanted else "whole batches")
        corrected = {batch.name: self._ratios(batch, wanted, runtime) for batch in batches}
        return corrected, {"wanted": np.array([wanted])}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the ratios of a later batch, to its own reference samples if those of the fit had some.

        Raises:
            CalibError: it has none.
        """
        return self._ratios(later, bool(learnt["wanted"][0]), runtime)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        sizes(learnt, {"one": 1}, wanted=("one",))
        return features

    def _ratios(self, batch: Samples, wanted: bool, runtime: Runtime) -> FloatArray:
        """Return the ratios of a batch, to its reference samples if ``wanted``."""
        if wanted and batch.reference is None:
            raise CalibError(
                f"Ratio_G: batch '{batch.name}' has no reference samples; mark them with "
                "dataset.reference or set method.corrector.denominator=batch."
            )
        x = batch.dense.astype(np.float64)
        reference = x if batch.reference is None or not wanted else dense(batch.reference)
        ratio = x - reference.mean(axis=0, dtype=float) if self.log else x / geometric_mean(reference)
        return ratio.astype(runtime.numpy_dtype)


def geometric_mean(x: FloatArray) -> FloatArray:
    """Return the geometric mean of every feature ``(features,)``, which is above 0.

    Values that are not positive have no logarithm: they count as half of the feature's smallest positive
    value, so the mean stays in the feature's own unit. A feature without positive values has mean 1, so it
    is left as it is.

    Args:
        x: data ``(samples, features)``.
    """
    x = x.astype(np.float64)
    smallest = np.where(x > 0, x, np.inf).min(axis=0)
    floor = np.where(np.isfinite(smallest), smallest / 2, 1.0)
    return np.exp(np.log(np.where(x > 0, x, floor)).mean(axis=0))
