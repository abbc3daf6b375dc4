"""Correctors that can also correct batches which come later, onto those that they were fitted to.

The batches of the fit, and the classifier that learnt from them, stay as they are. What is needed for later
batches are arrays, so it can be kept with a saved model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from calib.data.matrix import Matrix
from calib.data.study import LabelledSamples, Samples
from calib.methods.base import State
from calib.runtime import Runtime


@runtime_checkable
class SupervisedCorrector(Protocol):
    """A corrector that uses the sources' labels; it gets the targets without labels.

    Its result depends on which batches are sources, so it is computed for every split and never stored.
    """

    version: ClassVar[int]
    uses_source_labels: ClassVar[bool]

    def correct(
        self,
        sources: Sequence[LabelledSamples],
        targets: Sequence[Samples],
        runtime: Runtime,
    ) -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


class Lasting(ABC):
    """The base class of correctors that use no label and can correct later batches."""

    keeps_features = False
    """Whether the dimensions of corrected data are the features, in their order."""

    @property
    def lasting(self) -> bool:
        """Return True; False where it depends on a setting and this one does not allow it."""
        return True

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, dimensions)`` of every batch, by name."""
        return self.learn(batches, runtime)[0]

    @abstractmethod
    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, Matrix], State]:
        """Return the corrected data of every batch, and the arrays that ``follow`` takes."""

    @abstractmethod
    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> Matrix:
        """Return the corrected data ``(samples, dimensions)`` of a later batch.

        Args:
            learnt: arrays of ``learn``.
            later: the batch, as the batches of the fit were given.
            runtime: device and number type.
        """

    @abstractmethod
    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of dimensions of corrected data.

        Args:
            learnt: arrays of ``learn``, perhaps from a file.
            features: number of features of the data.
            runtime: device of networks that are filled to see whether the arrays fit.

        Raises:
            CalibError, ValueError: the arrays do not fit each other or the data.
            LookupError: one is missing.
        """


class EachAlone(Lasting):
    """The base class of correctors that correct each batch by itself, so that nothing has to be learnt."""

    keeps_features = True

    @abstractmethod
    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, features)`` of every batch, by name."""

    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, Matrix], State]:
        """Return the corrected data of every batch, and no array."""
        return self.correct(batches, runtime), {}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> Matrix:
        """Return the corrected data ``(samples, features)`` of a later batch."""
        return self.correct([later], runtime)[later.name]

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        return features


def sizes(learnt: State, /, known: Mapping[str, int], **shapes: tuple[str, ...]) -> Mapping[str, int]:
    """Return the size of every dimension of some arrays.

    Args:
        learnt: arrays by name.
        known: dimension -> its size, where it is known already.
        shapes: name of an array -> names of its dimensions.

    Raises:
        ValueError: an array has other dimensions or is empty, or two sizes of a dimension differ.
        LookupError: an array is missing.
    """
    found = dict(known)
    for name, dimensions in shapes.items():
        shape = np.shape(learnt[name])
        if len(shape) != len(dimensions):
            raise ValueError(f"{name} has {len(shape)} dimensions")
        for dimension, size in zip(dimensions, shape, strict=True):
            if not size:
                raise ValueError(f"{name} has no {dimension}")
            if found.setdefault(dimension, size) != size:
                raise ValueError(f"{name} has {size} {dimension}, and another array {found[dimension]}")
    return found


def is_lasting(corrector: object) -> bool:
    """Return whether a corrector, with or without labels, can correct later batches."""
    return bool(getattr(corrector, "lasting", False))
