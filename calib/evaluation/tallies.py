"""Correct predictions counted by subject: what intervals of accuracies are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calib.errors import CalibError

Line = tuple[str, str]
"""Split and target batch, which make a line of the paper's tables."""


@dataclass(frozen=True)
class Tally:
    """The samples and correct predictions of every subject of one target batch in one run.

    Attributes:
        subjects: names of the subjects ``(subjects,)``.
        samples: number of samples of each subject ``(subjects,)``.
        right: number of correctly predicted samples of each subject ``(subjects,)``.
    """

    subjects: NDArray[np.str_]
    samples: NDArray[np.int64]
    right: NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """The runs of one method.

    Attributes:
        seeds: seed -> line -> tally; every seed has the same lines.
        uses_seed: whether the seed can change a result. Where it cannot, one run stands for every seed.
    """

    seeds: Mapping[int, Mapping[Line, Tally]]
    uses_seed: bool = True

    def __bool__(self) -> bool:
        """Return whether there is a seed."""
        return bool(self.seeds)

    def at(self, seed: int) -> Mapping[Line, Tally]:
        """Return the lines of a seed, or of the first one if the seed changes nothing."""
        return self.seeds[seed if self.uses_seed else min(self.seeds)]


def tallies(predictions: pd.DataFrame) -> dict[str, Tally]:
    """Return the tally of each target batch, from a ``predictions.csv`` whose columns were read as text.

    In a batch without subjects every sample counts as a subject. Batches without labels are left out.
    """
    found = {}
    for name, part in predictions.groupby("batch", sort=False):
        if (part["label"] == "").any():
            continue
        subject = part["row"] if (part["subject"] == "").any() else part["subject"]
        right = (part["label"] == part["predicted"]).to_numpy()
        subjects, owner = np.unique(subject.to_numpy(dtype=str), return_inverse=True)
        samples = np.bincount(owner)
        found[str(name)] = Tally(subjects, samples, np.bincount(owner[right], minlength=len(samples)))
    return found


def shared_seeds(methods: Sequence[Runs]) -> list[int]:
    """Return the seeds that every method has been run with, in ascending order.

    A method whose result does not depend on the seed has every seed. If no method's does, it is one seed.
    """
    if not all(methods):
        return []
    if not any(runs.uses_seed for runs in methods):
        return [min(methods[0].seeds)]
    return sorted(set.intersection(*(set(runs.seeds) for runs in methods if runs.uses_seed)))


def subjects_of(runs: Sequence[Mapping[Line, Tally]]) -> dict[str, int]:
    """Return the number of subjects of each target batch, by name in ascending order.

    Raises:
        CalibError: two runs have other subjects or other numbers of samples.
    """
    first: dict[str, Tally] = {}
    for lines in runs:
        for (_, batch), tally in lines.items():
            expected = first.setdefault(batch, tally)
            if not (
                np.array_equal(expected.subjects, tally.subjects)
                and np.array_equal(expected.samples, tally.samples)
            ):
                raise CalibError(f"Runs on target batch '{batch}' were made with different data; rerun them.")
    return {batch: len(first[batch].samples) for batch in sorted(first)}
