"""Answers of a trained method for samples of its training, and for batches that it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib.data.matrix import Checksums, as_floats, dense, row_checksums
from calib.data.partial_labels import unlabelled_part
from calib.data.study import FloatArray, Samples, Study
from calib.data.transform import BatchScale, Transform, checked
from calib.errors import DataError
from calib.methods.base import Fitted, calibrated_rows, class_probabilities
from calib.runs.run import Run

NEW = " (new)"
"""End of the name of a later batch that is called as one of the training, so that it is not taken for it."""


@dataclass(frozen=True)
class Given:
    """How samples are given to a trained method.

    Attributes:
        transform, scale, dtype, unit: as in ``calib.data.transform.checked``.
        features: names of the features.
        method: name of the method.
        why_not: why it cannot answer batches that come later, as a predicate, or "".
    """

    transform: Transform
    scale: BatchScale
    dtype: str
    unit: float
    features: Sequence[str]
    method: str
    why_not: str

    @classmethod
    def by(cls, run: Run, unit: float) -> "Given":
        """Return how samples were given to the method of a run, with the unit of its protocol's arcsinh."""
        protocol, why_not = run.config.protocol, run.method.why_no_new_batches
        name = str(run.config.method.name)
        return cls(
            protocol.transform,
            protocol.batch_scale,
            run.config.dtype,
            unit,
            run.study.features,
            name,
            why_not,
        )

    def samples(self, later: Samples, name: str) -> Samples:
        """Return samples as the method gets them, as a batch of this name.

        Raises:
            DataError: as ``checked``.
        """
        place = f"Batch '{later.name}'"
        x = checked(later.x, self.transform, self.scale, self.dtype, place, self.features, self.unit)
        return Samples(name, x, replicate=later.replicate)


class Answers:
    """The answers of a trained method.

    A sample is known by its values: those of the training are answered as the training answers their whole
    batch, since many methods scale a batch by itself, or know only the batches that they were fitted to.

    Args:
        fitted: the trained method.
        batches: the batches of the training as the method gets them.
        study: the same as given, not scaled.
        given: how other samples are given to the method.
    """

    def __init__(self, fitted: Fitted, batches: Sequence[Samples], study: Study, given: Given) -> None:
        self._fitted, self._given = fitted, given
        self._batches = {batch.name: batch for batch in batches}
        self._marks = {name: row_checksums(batch.x) for name, batch in study.batches.items()}
        self._made: dict[tuple[str, str], FloatArray] = {}

    def add(self, samples: Samples) -> None:
        """Take a whole batch that comes later; its samples, as given, are answered as it is from now on.

        Raises:
            DataError: a batch of this name is known, or the method cannot answer later batches.
        """
        if samples.name in self._batches:
            raise DataError(f"Batch '{samples.name}' is known already; give the later batch another name.")
        if self._given.why_not:
            raise self._refused(samples.name, len(samples), len(samples))
        marks = row_checksums(as_floats(samples.x))
        self._batches[samples.name] = self._given.samples(samples, samples.name)
        self._marks[samples.name] = marks

    def probability(self, name: str) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch of the training.

        Raises:
            DivergedError: one is no finite number.
        """
        if ("probability", name) not in self._made:
            self._made["probability", name] = class_probabilities(self._fitted, self._batches[name])
        return self._made["probability", name]

    def calibrated(self, name: str) -> FloatArray:
        """Return calibrated data ``(samples, dimensions)`` of a batch of the training.

        Raises:
            DataError: the method has left out some of its samples.
        """
        if ("calibrated", name) not in self._made:
            if name in calibrated_rows(self._fitted):
                raise DataError(
                    f"method={self._given.method} left out samples of batch '{name}' in its training, so "
                    "these have no calibrated data."
                )
            self._made["calibrated", name] = dense(self._fitted.transform(self._batches[name]))
        return self._made["calibrated", name]

    def of(self, samples: Samples, what: str, anywhere: bool) -> FloatArray:
        """Return ``probability`` or ``calibrated``, as ``what`` says, of some samples of one batch.

        Args:
            samples: the samples as given, not scaled.
            what: ``probability`` or ``calibrated``.
            anywhere: whether they may be samples of any batch of the training; else of the one of this name.

        Raises:
            DataError: some are not of the training, and the method cannot answer others.
        """
        x = as_floats(samples.x)
        named = [samples.name, unlabelled_part(samples.name)]
        places = self._places(row_checksums(x), [*self._batches] if anywhere else named)
        if all(place is not None for place in places):
            answers: Mapping[str, FloatArray] = {
                name: self.probability(name) if what == "probability" else self.calibrated(name)
                for name in dict.fromkeys(place[0] for place in places if place)
            }
            return np.stack([answers[name][row] for name, row in filter(None, places)])
        if self._given.why_not:
            raise self._refused(samples.name, sum(place is None for place in places), len(places))
        name = samples.name + NEW if samples.name in self._batches else samples.name
        new = self._given.samples(replace(samples, x=x), name)
        return (
            class_probabilities(self._fitted, new)
            if what == "probability"
            else dense(self._fitted.transform(new))
        )

    def _refused(self, name: str, others: int, samples: int) -> DataError:
        """Return the error that the method cannot answer some samples of a batch."""
        return DataError(
            f"Batch '{name}': {others} of {samples} samples were not in the training, and "
            f"method={self._given.method} {self._given.why_not}; fit it again with them as a batch without "
            "labels."
        )

    def _places(self, marks: Checksums, names: Sequence[str]) -> list[tuple[str, int] | None]:
        """Return batch and row of each sample of the training, None for others."""
        known: dict[int, tuple[str, int]] = {}
        for name in names:
            for row, mark in enumerate(self._marks[name].tolist() if name in self._marks else ()):
                known.setdefault(mark, (name, row))
        return [known.get(mark) for mark in marks.tolist()]
