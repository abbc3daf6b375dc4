"""Batches, studies and tasks: the types that keep target labels away from methods."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Matrix, blocks, dense, pieces
from calib.errors import DataError

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]
Subjects = NDArray[np.int64] | NDArray[np.str_]


@dataclass(frozen=True)
class Samples:
    """Samples measured together, without labels: what a method sees of a target batch.

    ``replicate`` says which rows measure the same: number or name ``(samples,)``, or None where unknown.
    ``reference`` is what the batch's reference samples measured ``(references, features)``, or None.
    """

    name: str
    x: Matrix  # (samples, features)
    replicate: Subjects | None = field(default=None, kw_only=True)
    reference: Matrix | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def dense(self) -> FloatArray:
        """``x`` as an array, for methods that need all of it at once."""
        return dense(self.x)


@dataclass(frozen=True)
class LabelledSamples(Samples):
    """Samples with their class indices ``y (samples,)``: what a method sees of a source batch."""

    y: IntArray


def by_batch(x: FloatArray, batches: Sequence[Samples]) -> dict[str, FloatArray]:
    """The rows of ``x``, which is of all batches in this order, by the name of their batch."""
    return {batch.name: part for batch, part in zip(batches, pieces(x, batches), strict=True)}


@dataclass(frozen=True)
class Batch:
    """One plate, one protocol: all that is known of it.

    Attributes:
        x: ``(samples, features)``, an array or CSR where most values are zero; as loaded in the smallest
            number type that holds them, prepared in the run's (float32 unless ``dtype=float64``).
        y: class index ``(samples,)``, or None where labels are unknown.
        subject: number or name of each sample's subject ``(samples,)``, or None where unknown; it may have
            been inferred with the labels, so methods do not see it.
        names: name of each sample ``(samples,)``, or None where they have none.
        replicate: number or name of what each row measures, known without labels: the subject that a file
            names, or what ``find_replicates`` finds; None where unknown.
        reference: measurements ``(references, features)`` of the same material in every batch, such as pooled
            samples, which are no samples to be classified; None where there are none.
    """

    name: str
    x: Matrix
    y: IntArray | None = None
    subject: Subjects | None = None
    names: NDArray[np.str_] | None = None
    replicate: Subjects | None = None
    reference: Matrix | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def dense(self) -> FloatArray:
        """``x`` as an array."""
        return dense(self.x)

    def unlabelled(self) -> Samples:
        """This batch as a target."""
        return Samples(self.name, self.x, replicate=self.replicate, reference=self.reference)

    def labelled(self) -> LabelledSamples:
        """This batch with its labels.

        Raises:
            DataError: it has none.
        """
        if self.y is None:
            raise DataError(f"Batch '{self.name}' has no labels, which a source or reference needs.")
        return LabelledSamples(self.name, self.x, self.y, replicate=self.replicate, reference=self.reference)

    def source(self) -> LabelledSamples:
        """This batch as a source.

        Raises:
            DataError: it has no labels, or one class only.
        """
        if self.y is not None and len(np.unique(self.y)) < 2:
            raise DataError(
                f"Source batch '{self.name}' has samples of one class only; "
                "a source needs at least two classes, so choose another split."
            )
        return self.labelled()


@dataclass(frozen=True)
class Study:
    """Several batches over the same features and classes.

    ``classes`` are the class names in the order of the class index; with two classes the second is the
    positive one. ``n_sources`` is how many batches are sources in ``split=all``.
    """

    name: str
    batches: Mapping[str, Batch]
    features: Sequence[str]
    classes: Sequence[str]
    n_sources: int = 2

    def sha256(self) -> str:
        """Checksum of all that decides results: batches, features, classes, values, labels, subjects.

        Values count as float64 and dense, block by block, so it does not matter how they are stored.
        """
        digest = hashlib.sha256(repr((list(self.features), list(self.classes))).encode())
        for batch in self.batches.values():
            digest.update(batch.name.encode())
            for rows in blocks(batch.x):
                digest.update(np.ascontiguousarray(dense(batch.x[rows]), np.float64).ravel().data)
            for part in (batch.y, batch.subject):
                digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
            if batch.reference is not None:
                digest.update(b"reference")
                digest.update(np.ascontiguousarray(dense(batch.reference), np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Task:
    """What a method is given: labelled sources and unlabelled targets. It has no place for a target label."""

    sources: Sequence[LabelledSamples]
    targets: Sequence[Samples]
    n_classes: int

    @property
    def batches(self) -> list[Samples]:
        """All batches, sources first."""
        return [*self.sources, *self.targets]


@dataclass(frozen=True)
class LabelledTask:
    """For references only, which declare that they use target labels: the targets with theirs.

    ``subjects`` gives the subjects of each target batch, or None.
    """

    sources: Sequence[LabelledSamples]
    targets: Sequence[LabelledSamples]
    n_classes: int
    subjects: Mapping[str, Subjects | None]

    @property
    def batches(self) -> list[Samples]:
        """All batches, sources first."""
        return [*self.sources, *self.targets]
