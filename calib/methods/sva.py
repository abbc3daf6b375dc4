"""SVA and frozen SVA: correctors that find unwanted variation with the sources' labels and remove it.

Leek & Storey 2007 (doi 10.1371/journal.pgen.0030161), Parker, Corrada Bravo & Leek 2014 (doi
10.7717/peerj.561). Both estimate surrogate variables on the labelled sources. For the targets SVA decomposes
all batches together, frozen SVA one target sample, or one target batch, at a time. The steps are in
``calib.comparators.sva``.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from calib.comparators.sva.frozen import FROZEN, Frozen, exact, fast
from calib.comparators.sva.number import analytic, by_permutation
from calib.comparators.sva.surrogates import Surrogates, coefficients, irw, model_matrix, two_step
from calib.data.study import FloatArray, LabelledSamples, Samples, by_batch
from calib.errors import check_choice, check_number
from calib.methods.base import State
from calib.methods.lasting import sizes
from calib.runtime import Runtime

log = logging.getLogger(__name__)

Array = NDArray[np.floating]
Classes = NDArray[np.integer]
RULES = ("be", "leek")
ESTIMATORS = {"irw": irw, "two_step": two_step}
MODES = {"exact": exact, "fast": fast}


def surrogate_variables(
    x: Array, y: NDArray[np.integer], number: int | str, permutations: int, estimator: str, runtime: Runtime
) -> Surrogates | None:
    """Return the surrogate variables of labelled samples, or None if there are none.

    Args:
        x: data ``(samples, features)``.
        y: class indices ``(samples,)``.
        number: number of surrogate variables, or the rule that finds it: ``be`` (permutations) or ``leek``
            (analytic).
        permutations: number of permutations of ``be``.
        estimator: ``irw`` or ``two_step``.
        runtime: seed of the permutations.

    Raises:
        CalibError: the rule or the estimator raises it; see ``calib.comparators.sva``.
    """
    if number == "be":
        rng = np.random.default_rng(runtime.derived_seed("permutations of residuals"))
        number = by_permutation(x, model_matrix(y), permutations, rng)
    elif number == "leek":
        number = analytic(x, model_matrix(y))
    found = ESTIMATORS[estimator](x, y, int(number)) if number else None
    count = found.number if found is not None else 0
    log.info("Surrogate variables of %d samples: %d", len(x), count)
    return found if count else None


class OnSurrogates(ABC):
    """The base class of both correctors, which estimates surrogate variables of the sources."""

    version: ClassVar[int] = 1
    uses_source_labels: ClassVar[bool] = True
    keeps_features: ClassVar[bool] = True
    dense_copies: ClassVar[float] = 3
    estimator = "irw"

    def __init__(self, number: int | str, permutations: int) -> None:
        if isinstance(number, str):
            check_choice("method.corrector.number", number, RULES)
        else:
            check_number("method.corrector.number", number, least=0, whole=True)
        check_number("method.corrector.permutations", permutations, least=1, whole=True)
        self.number = number
        self.permutations = permutations

    @property
    def uses_seed(self) -> bool:
        """Return whether the number of surrogate variables comes from random permutations."""
        return self.number == "be"

    @property
    def lasting(self) -> bool:
        """Return True: what was found on the batches of the fit is frozen for later ones."""
        return True

    def correct(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, FloatArray]:
        """Return the data of every batch minus the effects of the surrogate variables, in the same unit.

        Raises:
            CalibError: there are too few samples for so many surrogate variables, or a target has one sample
                and frozen SVA has ``mode="fast"``.
        """
        return self.learn(sources, targets, runtime)[0]

    def learn(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, Array]]:
        """Return the same, and arrays for later batches: none if there are no surrogate variables."""
        x, y = _pooled(sources)
        found = surrogate_variables(x, y, self.number, self.permutations, self.estimator, runtime)
        parts: list[Array] = [x, *(target.dense.astype(np.float64) for target in targets)]
        learnt: dict[str, Array] = {}
        if found is not None:
            parts, learnt = self.cleaned(found, y, parts)
        return by_batch(np.concatenate(parts).astype(runtime.numpy_dtype), [*sources, *targets]), learnt

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the data of a later batch minus the effects of its surrogate variables."""
        x = later.dense.astype(np.float64)
        if learnt:
            x = x - self.frozen(learnt, x) @ learnt["effects"]
        return x.astype(runtime.numpy_dtype)

    @abstractmethod
    def cleaned(
        self, found: Surrogates, y: Classes, parts: Sequence[Array]
    ) -> tuple[list[Array], dict[str, Array]]:
        """Return the data minus the effects of the surrogate variables, and arrays for later batches.

        The data are in the order of ``parts``; they may be one array or several. One of the other arrays is
        ``effects``, the effects on the features ``(number, features)``.

        Args:
            found: surrogate variables of the sources.
            y: class indices of the sources.
            parts: data of all sources, then of each target, as float64.
        """

    @abstractmethod
    def frozen(self, learnt: State, x: Array) -> Array:
        """Return the surrogate variables ``(samples, number)`` of later samples ``(samples, features)``."""

    @abstractmethod
    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features; ValueError or LookupError as in ``Lasting``."""


class SVA(OnSurrogates):
    """SVA for targets without labels; its last step, decomposing the weighted data, sees all batches.

    The number of surrogate variables, the weights of the features and the effects on the features, given the
    classes, come from the sources. For later batches the directions of that decomposition are frozen.

    Args:
        number: number of surrogate variables: ``be``, ``leek`` or a whole number.
        permutations: number of permutations of the rule ``be``.
        estimator: ``irw`` or ``two_step``.
    """

    def __init__(self, number: int | str, permutations: int, estimator: str) -> None:
        super().__init__(number, permutations)
        check_choice("method.corrector.estimator", estimator, ESTIMATORS)
        self.estimator = estimator

    def cleaned(
        self, found: Surrogates, y: Classes, parts: Sequence[Array]
    ) -> tuple[list[Array], dict[str, Array]]:
        """Return the cleaned data of all batches in one array, and the directions of the decomposition."""
        everything = np.concatenate(parts)
        values, axes = found.extended(everything)
        x = parts[0]
        effects = coefficients(x, y, values[: len(x)])
        learnt = {"mean": everything.mean(axis=0), "axes": axes, "effects": effects}
        return [everything - values @ effects], learnt

    def frozen(self, learnt: State, x: Array) -> Array:
        """Return where later samples lie along the directions ``(samples, number)``."""
        return (x - learnt["mean"]) @ learnt["axes"]

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        if learnt:
            shapes = {
                "mean": ("features",),
                "axes": ("features", "number"),
                "effects": ("number", "features"),
            }
            sizes(learnt, {"features": features}, **shapes)
        return features


class FrozenSVA(OnSurrogates):
    """Frozen SVA, which corrects the sources alone, and every target without the other targets.

    So a later batch is corrected as it would have been as a target.

    Args:
        number, permutations: as in ``SVA``.
        mode: ``exact`` (one sample at a time) or ``fast`` (one batch at a time).
    """

    def __init__(self, number: int | str, permutations: int, mode: str) -> None:
        super().__init__(number, permutations)
        check_choice("method.corrector.mode", mode, MODES)
        self.mode = mode

    def cleaned(
        self, found: Surrogates, y: Classes, parts: Sequence[Array]
    ) -> tuple[list[Array], dict[str, Array]]:
        """Return the cleaned data of the sources and of each target, by their own surrogate variables."""
        x, *targets = parts
        learnt = {**vars(Frozen.of(x, found)), "effects": coefficients(x, y, found.values)}
        values = [found.values, *(self.frozen(learnt, target) for target in targets)]
        pairs = zip(parts, values, strict=True)
        return [part - variables @ learnt["effects"] for part, variables in pairs], learnt

    def frozen(self, learnt: State, x: Array) -> Array:
        """Return the surrogate variables of later samples, each with the sources or all by themselves."""
        return MODES[self.mode](Frozen(**{name: learnt[name] for name in FROZEN}), x)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        if learnt:
            shapes = {**FROZEN, "effects": ("number", "features")}
            sizes(learnt, {"features": features, "one": 1}, **shapes)
        return features


def _pooled(sources: Sequence[LabelledSamples]) -> tuple[Array, NDArray[np.int64]]:
    """Return the data ``(samples, features)`` and class indices ``(samples,)`` of all sources."""
    x = np.concatenate([source.dense for source in sources]).astype(np.float64)
    return x, np.concatenate([source.y for source in sources])
