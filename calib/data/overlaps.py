"""Samples that occur twice: in sources and targets, so that scores are too good, or within one batch."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from calib.data.cautions import Caution, counted, listed
from calib.data.matrix import Matrix, blocks, dense, row_checksums
from calib.data.split import Split
from calib.data.study import Batch, IntArray, Study

NUMBERED = re.compile(r"(line )?\d+")
"""Sample names that only count the rows of a file, so that equal ones mean nothing."""


def row_marks(x: Matrix) -> IntArray:
    """Return a number for each row ``(rows,)``, the same for rows of the same values and for no others.

    It is the checksum of the row, and 0 for rows of one value only, such as empty cells.
    """
    marks = row_checksums(x).view(np.int64)
    for rows in blocks(x):
        with np.errstate(over="ignore"):  # values that are too large for float32 become infinite
            values = dense(x[rows]).astype(np.float32)
        marks[rows] *= (values != values[:, :1]).any(axis=1)
    return marks


def with_marks(study: Study) -> Study:
    """Return the study with the marks of its rows as loaded, since scaled batches hide identical rows."""
    return replace(study, marks={name: row_marks(batch.x) for name, batch in study.batches.items()})


def shared_samples(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a subject, a sample's name or a row's values are in a source and in a target.

    Only subjects that a file names are compared; numbers that were inferred count anew in each batch.
    """
    sources, targets = ([study.batches[name] for name in side] for side in (split.sources, split.targets))
    parts = []
    for word, of in (("subject", _subjects), ("sample name", _names)):
        known = set().union(*(set(of(batch)) for batch in sources))
        both = sorted(known & set().union(*(set(of(batch)) for batch in targets)))
        if both:
            parts.append(f"{counted(len(both), word)} ({listed(both)})")
    none = np.zeros(0, np.int64)
    rows, there = (
        np.concatenate([none, *(study.marks.get(name, none) for name in side)])
        for side in (split.targets, split.sources)
    )
    same = int(np.isin(rows[rows != 0], there).sum())
    if same:
        parts.append(f"{counted(same, 'row')} of the same values")
    if parts:
        yield Caution(
            "shared_samples",
            f"Sources and targets have in common: {'; '.join(parts)}. Scores of the targets are too good "
            "where these are the same samples or people; leave them out on one side with dataset.exclude, or "
            "give different ones different names.",
        )


def subjects_of_two_labels(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a subject that a file names has one label in one batch and another in another.

    Those with two labels within a batch are refused or split when a study is read (``subjects``). Labels of
    targets are looked at for this warning alone.
    """
    found: dict[str, set[frozenset[int]]] = {}
    for name in (*split.sources, *split.targets):
        batch = study.batches[name]
        here: dict[str, set[int]] = {}
        known = [] if batch.y is None else batch.y.tolist()
        for subject, label in zip(_subjects(batch) if known else [], known, strict=False):
            here.setdefault(subject, set()).add(label)
        for subject, labels in here.items():
            found.setdefault(subject, set()).add(frozenset(labels))
    if mixed := sorted(subject for subject, labels in found.items() if len(labels) > 1):
        yield Caution(
            "subject_of_two_labels",
            f"{counted(len(mixed), 'subject')} with other labels in one batch than in another: "
            f"{listed(mixed)}. Correct the labels if they are wrong, and give different people different "
            "names.",
        )


def repeated_samples(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a row's values or a sample's name occur more than once in a batch."""
    parts = []
    for name in (*split.sources, *split.targets):
        marks = study.marks.get(name, np.zeros(0, np.int64))
        counts = [
            (_repeats(marks[marks != 0]), "row", "of values that another row has"),
            (_repeats(_names(study.batches[name])), "sample", "of a name that another has"),
        ]
        parts += [f"'{name}': {counted(count, word)} {why}" for count, word, why in counts if count]
    if parts:
        yield Caution(
            "repeated_samples",
            f"Batches repeat samples, which then count more than once: {'; '.join(parts)}. Leave the copies "
            "out, or name their subject in a column (dataset.subject) where they are replicates.",
        )


def _subjects(batch: Batch) -> Sequence[str]:
    """Return the names of a batch's subjects, none where they are numbers or unknown."""
    named = batch.subject is not None and batch.subject.dtype.kind in "UO"
    return batch.subject.tolist() if named and batch.subject is not None else []


def _names(batch: Batch) -> Sequence[str]:
    """Return the names of a batch's samples, none where they only count rows."""
    names = [] if batch.names is None else batch.names.tolist()
    return [] if all(NUMBERED.fullmatch(name) for name in names) else names


def _repeats(values: Sequence[str] | IntArray) -> int:
    """Return how many values occur earlier already."""
    return int(pd.Series(values).duplicated().sum())
