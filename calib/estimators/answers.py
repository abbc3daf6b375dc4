"""Answers of a trained method for samples of its training, and for batches that it has not seen."""

from collections.abc import Mapping, Sequence

import numpy as np

from calib.data.matrix import Checksums, as_floats, dense, row_checksums
from calib.data.partial_labels import unlabelled_part
from calib.data.study import FloatArray, Samples, Study
from calib.data.transform import checked
from calib.errors import DataError
from calib.methods.base import Fitted, calibrated_rows, class_probabilities
from calib.runs.run import Run

NEW = " (new)"
"""End of the name of a later batch that is called as one of the training, so that it is not taken for it."""


class Answers:
    """The answers of a trained method.

    A sample is known by its values: those of the training are answered as the training answers their whole
    batch, since many methods scale a batch by itself, or know only the batches that they were fitted to.

    Args:
        fitted: the trained method.
        batches: the batches of the training as the method gets them.
        study: the same as given, not scaled.
        run: the run that trained the method.
        unit: value by which the protocol's arcsinh divides.
    """

    def __init__(
        self, fitted: Fitted, batches: Sequence[Samples], study: Study, run: Run, unit: float
    ) -> None:
        self._fitted, self._unit = fitted, unit
        self._batches = {batch.name: batch for batch in batches}
        self._marks = {name: row_checksums(batch.x) for name, batch in study.batches.items()}
        self._protocol = run.config.protocol.transform, run.config.protocol.batch_scale, run.config.dtype
        self._features = list(study.features)
        self._name, self._why_not = str(run.config.method.name), run.method.why_no_new_batches
        self._made: dict[tuple[str, str], FloatArray] = {}

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
                    f"method={self._name} left out samples of batch '{name}' in its training, so these have "
                    "no calibrated data."
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
        if self._why_not:
            others = sum(place is None for place in places)
            raise DataError(
                f"Batch '{samples.name}': {others} of {len(places)} samples were not in the training, and "
                f"method={self._name} {self._why_not}; fit it again with them as a batch without labels."
            )
        transform, scale, dtype = self._protocol
        place = f"Batch '{samples.name}'"
        values = checked(x, transform, scale, dtype, place, self._features, self._unit)
        name = samples.name + NEW if samples.name in self._batches else samples.name
        new = Samples(name, values, replicate=samples.replicate)
        return (
            class_probabilities(self._fitted, new)
            if what == "probability"
            else dense(self._fitted.transform(new))
        )

    def _places(self, marks: Checksums, names: Sequence[str]) -> list[tuple[str, int] | None]:
        """Return batch and row of each sample of the training, None for others."""
        known: dict[int, tuple[str, int]] = {}
        for name in names:
            for row, mark in enumerate(self._marks[name].tolist() if name in self._marks else ()):
                known.setdefault(mark, (name, row))
        return [known.get(mark) for mark in marks.tolist()]
