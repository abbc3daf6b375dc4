"""Checks of a study and a split, whose warnings a run logs and keeps in its record.

A check is a function that gets a study and a split and returns ``Caution``s; ``CHECKS`` lists all of them.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from calib.data.cautions import Caution, listed
from calib.data.overlaps import repeated_samples, shared_samples, subjects_of_two_labels
from calib.data.split import Split
from calib.data.study import Study


def cautions(study: Study, split: Split) -> list[Caution]:
    """Return the warnings of ``CHECKS``; those found while the study was read are ``Study.cautions``."""
    return [caution for check in CHECKS for caution in check(study, split)]


def one_class_sources(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a source has samples of one class only."""
    classes = {name: _classes(study, name) for name in split.sources}
    single = [name for name, found in classes.items() if len(found) == 1]
    if not single:
        return
    shown = ", ".join(f"'{name}' ({study.classes[classes[name][0]]})" for name in single)
    if len(single) == len(classes):
        text = (
            f"Every source has samples of one class only: {shown}. No method can tell a difference between "
            "classes from one between batches there, so do not trust the predictions; choose another split."
        )
    else:
        text = (
            f"Sources with samples of one class only: {shown}. A method that scales or calibrates each batch "
            "takes this class for a difference of batches; compare with method=baseline, or choose a split "
            "without these sources."
        )
    yield Caution("one_class_source", text)


def classes_of_one_sample(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a class has one sample in the whole study."""
    labelled = {name: batch.y for name, batch in study.batches.items() if batch.y is not None}
    counts = {name: np.bincount(y, minlength=len(study.classes)) for name, y in labelled.items()}
    total = sum(counts.values(), np.zeros(len(study.classes), np.int64))
    if single := np.flatnonzero(total == 1).tolist():
        places = [next(name for name in counts if counts[name][index]) for index in single]
        shown = ", ".join(f"'{study.classes[i]}' (batch '{b}')" for i, b in zip(single, places, strict=True))
        yield Caution(
            "class_of_one_sample",
            f"Classes with a single sample in the whole study: {shown}. Such a class cannot be both learnt "
            "and tested; correct the label if it is misspelt, or leave the sample out.",
        )


def left_out_without_labels(study: Study, split: Split) -> Iterable[Caution]:
    """Yield a warning if a batch without labels is in no part of the split, so that nobody judges it."""
    used = {*split.sources, *split.targets}
    blank = [name for name, batch in study.batches.items() if batch.y is None and name not in used]
    if blank:
        names = list(study.batches)
        known = [name for name in names if study.batches[name].y is not None]
        whole = f"{'+'.join(known)}:{'+'.join(name for name in names if name not in known)}"
        yield Caution(
            "left_out",
            f"Split {split.label} leaves out what has no labels: {listed(blank)}. It is not judged; to judge "
            f"it, make it a target, as in split='{whole}'.",
        )


def _classes(study: Study, name: str) -> Sequence[int]:
    """Return the class indices that occur in a batch, none where its labels are unknown."""
    y = study.batches[name].y
    return [] if y is None else np.unique(y).tolist()


CHECKS: tuple[Callable[[Study, Split], Iterable[Caution]], ...] = (
    one_class_sources,
    classes_of_one_sample,
    shared_samples,
    subjects_of_two_labels,
    repeated_samples,
    left_out_without_labels,
)
"""The checks of every run, in the order of their warnings."""
