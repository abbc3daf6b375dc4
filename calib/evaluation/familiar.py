"""Recognition of samples that a model was trained on, so that no score on them is taken for a test.

A saved model keeps a checksum of every sample of its training. A sample is recognised by its values, not by
its name, so a batch with an old name and new values is new, and a renamed or shortened batch is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Checksums, Matrix, row_checksums


@dataclass(frozen=True)
class Familiar:
    """The samples of one batch that a model knows from its training.

    Attributes:
        learnt: whether each sample is one of a source, whose label the model learnt from ``(samples,)``.
        sources: names of those sources, the one with the most samples first.
        seen: whether each sample is one of a target, which took part without its label ``(samples,)``.
        targets: names of those targets, likewise.
    """

    learnt: NDArray[np.bool_]
    sources: Sequence[str]
    seen: NDArray[np.bool_]
    targets: Sequence[str]


@dataclass(frozen=True)
class TrainingRows:
    """Checksums of all samples of a training, batch after batch.

    Attributes:
        names: names of the batches.
        source: whether each batch was a source.
        sizes: number of samples of each batch.
        rows: checksums of all samples.
    """

    names: NDArray[np.str_]
    source: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    rows: Checksums

    def familiar(self, x: Matrix) -> Familiar:
        """Return which samples of a batch ``(samples, features)`` are samples of the training."""
        new = row_checksums(x)
        parts = np.split(self.rows, np.cumsum(self.sizes)[:-1])
        among = {str(name): np.isin(new, part) for name, part in zip(self.names, parts, strict=True)}
        sides: list[tuple[NDArray[np.bool_], list[str]]] = []
        for source in (True, False):
            names = [str(name) for name in self.names[self.source == source] if among[str(name)].any()]
            mask = np.any([among[name] for name in names], axis=0) if names else np.zeros(len(new), bool)
            sides.append((mask, sorted(names, key=lambda name: -among[name].sum())))
        (learnt, sources), (seen, targets) = sides
        return Familiar(learnt, sources, seen & ~learnt, targets)


def training_rows(sources: Mapping[str, Matrix], targets: Mapping[str, Matrix]) -> TrainingRows:
    """Return the checksums of all samples of a training; both sides are batch -> ``(samples, features)``."""
    batches = {**sources, **targets}
    return TrainingRows(
        np.array(list(batches), np.str_),
        np.array([name in sources for name in batches]),
        np.array([x.shape[0] for x in batches.values()], np.int64),
        np.concatenate([row_checksums(x) for x in batches.values()]),
    )


def known(name: str, familiar: Familiar | None) -> str:
    """Return a sentence about the samples of a batch that the model was trained on, or "" without any."""
    if familiar is None:
        return ""
    total, learnt, seen = len(familiar.learnt), int(familiar.learnt.sum()), int(familiar.seen.sum())
    sources = ", ".join(f"'{source}'" for source in familiar.sources)
    if learnt == total:
        return (
            f"Batch {name} is what the model was trained on (source {sources}), so it has no score: the "
            "model has learnt from these labels; choose other batches with only=<batch>"
        )
    if learnt:
        return (
            f"Batch {name} has {learnt} of its {total} samples from source {sources} of the training; they "
            "are not scored, because the model has learnt from their labels"
        )
    if seen:
        targets = ", ".join(f"'{target}'" for target in familiar.targets)
        return (
            f"Batch {name} has {seen} of its {total} samples from target {targets} of the training, in which "
            "they took part without labels"
        )
    return ""
