"""Subjects that have samples of several classes, such as tumour and normal tissue of one patient."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calib.data.cautions import counted, note
from calib.data.study import Batch, IntArray, Study, Subjects

SubjectLabels = Literal["refuse", "split"]
SUBJECT_LABELS = ("refuse", "split")
"""Choices for a subject with two labels in a batch, where a method would average over its samples."""


REMEDY = (
    "give the samples of each class a subject of their own, set dataset.subject_labels=split, which averages "
    "over no subject, or choose a method that does not average."
)
"""What to do about a subject with two labels."""


def units(subject: Subjects, y: IntArray | None) -> tuple[IntArray, IntArray]:
    """Return what is scored and answered as one: the samples of one class of a subject.

    Args:
        subject: number or name of each sample's subject ``(samples,)``.
        y: class index of each sample ``(samples,)``; None: unknown, so a unit is a subject.

    Returns:
        The first sample of each unit ``(units,)``, in the order of subjects and then classes, and the number
        of each sample's unit ``(samples,)``.
    """
    _, first, owner = np.unique(subject, return_index=True, return_inverse=True)
    if y is not None:
        _, first, owner = np.unique(owner * (y.max() + 1) + y, return_index=True, return_inverse=True)
    return first, owner


def mixed_subjects(batch: Batch) -> NDArray[np.str_]:
    """Return the subjects of a batch that have samples of several classes; none where labels are unknown."""
    if batch.y is None or batch.subject is None:
        return np.zeros(0, np.str_)
    first, _ = units(batch.subject, batch.y)
    subjects, counts = np.unique(np.asarray(batch.subject)[first], return_counts=True)
    return subjects[counts > 1].astype(str)


def with_subject_labels(study: Study, rule: SubjectLabels, remedy: str) -> Study:
    """Return the study with subjects that may be averaged over.

    Some methods average over the samples of a subject (``Batch.replicate``), and so answer a subject once.
    That is wrong where a subject has samples of several classes, in which case the labels of a target may not
    be used to take its samples apart. Then no sample counts as a replicate of another, the samples of each
    class of a subject are scored as one, and a warning says so.

    Args:
        study: a study whose file names the subjects.
        rule: what becomes of methods that average if a subject has samples of two classes in a batch. With
            ``refuse`` they are refused (``Study.refusal``); with ``split`` they run without averaging, also
            where labels do not show whether a subject has samples of two classes.
        remedy: end of the sentence of the refusal, which says what to do.
    """
    mixed = {name: found for name, batch in study.batches.items() if len(found := mixed_subjects(batch))}
    if rule == "refuse" and not mixed:
        return study
    if mixed:
        shown = ", ".join(f"{len(subjects):,} in '{name}'" for name, subjects in mixed.items())
        note(
            "subjects_split",
            f"Subjects have samples of several classes ({shown}): predictions are not averaged over the "
            "samples of a subject, and its samples of each class are scored as a subject of their own.",
        )
    batches = {name: replace(batch, replicate=None) for name, batch in study.batches.items()}
    refusal = _refusal(study, mixed, remedy) if rule == "refuse" else ""
    return replace(study, batches=batches, refusal=refusal)


def _refusal(study: Study, mixed: Mapping[str, NDArray[np.str_]], remedy: str) -> str:
    """Return the sentence for methods that average, about the first batch with subjects of two labels."""
    name, subjects = next(iter(mixed.items()))
    batch = study.batches[name]
    assert batch.y is not None  # there are no mixed subjects without labels
    of_first = np.asarray(batch.subject).astype(str) == subjects[0]
    classes = ", ".join(study.classes[i] for i in np.unique(batch.y[of_first]))
    return (
        f"Batch '{name}' has {counted(len(subjects), 'subject')} with samples of several classes, the first "
        f"'{subjects[0]}' ({classes}), and this method gives all samples of a subject one answer; {remedy}"
    )
