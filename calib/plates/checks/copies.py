"""Samples that are measured twice: subjects on several plates, equal rows, and rows that are nearly equal."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from calib.data.cautions import counted, some
from calib.data.overlaps import repeated_samples, row_marks, subjects_of_two_labels
from calib.data.split import Split
from calib.data.study import Batch, IntArray
from calib.plates.answer import Finding
from calib.plates.checks.near import Pair, near_pairs
from calib.plates.checks.reading import as_finding
from calib.plates.checks.seen import Checked, Seen, has, has_named_subjects, sample_name, subject_keys

SHARED = 0.05
"""Share of the labelled subjects from which subjects on several labelled plates are serious."""

COLUMNS = ("kind", "plate", "sample", "other_plate", "other_sample", "correlation", "same_label")

REMEDY = "Leave the copies out on all plates but one (dataset.exclude)."


def check(seen: Seen) -> Checked:
    """Return a row a pair of copies: ``COLUMNS``; kinds are ``equal`` and ``nearly equal``."""
    every = list(seen.study.batches)
    whole = Split(tuple(every), (), "all")
    marks = {
        name: seen.study.marks[name] if name in seen.study.marks else row_marks(batch.x)
        for name, batch in seen.study.batches.items()
    }
    found = [as_finding(caution) for caution in subjects_of_two_labels(seen.study, whole)]
    found = [Finding(one.code, True, one.text, one.advice) for one in found]
    found += [as_finding(caution) for caution in repeated_samples(seen.study, whole)]
    found += _subjects(seen)
    equal = _equal(seen, marks)
    found += _copies(seen, equal, "copies", "equal values")
    known = {frozenset((one.first, one.second)) for one in equal}
    near = [one for one in near_pairs(seen) if frozenset((one.first, one.second)) not in known]
    near = [one for one in near if not _same_subject(seen, one)]
    found += _copies(seen, near, "near_copies", "nearly equal values")
    rows = [
        _row(seen, kind, one) for kind, pairs in (("equal", equal), ("nearly equal", near)) for one in pairs
    ]
    return Checked(pd.DataFrame(rows, columns=list(COLUMNS)), found)


def _subjects(seen: Seen) -> list[Finding]:
    """Return a finding if a subject that the files name has samples on several plates."""
    batches = [batch for batch in seen.study.batches.values() if has_named_subjects(batch)]
    named = {batch.name: set(subject_keys(batch).tolist()) for batch in batches}
    if not named:
        return []
    places = pd.Series([s for subjects in named.values() for s in subjects]).value_counts()
    both = sorted(map(str, places.index[places > 1]))
    if not both:
        return []
    of_labelled = [named[batch.name] for batch in seen.labelled if batch.name in named]
    twice = {s for one, other in combinations(of_labelled, 2) for s in one & other}
    share = len(twice) / max(len(set().union(*of_labelled)), 1)
    counts = {(a, b): len(named[a] & named[b]) for a, b in combinations(named, 2)}
    shown = [f"{n:,} on '{a}' and '{b}'" for (a, b), n in sorted(counts.items(), key=lambda c: -c[1]) if n]
    return [
        Finding(
            "subjects_on_several_plates",
            share >= SHARED,
            f"{counted(len(both), 'subject')} of {len(places):,} {has(len(both))} samples on more than one "
            f"plate ({some(shown)}).",
            "Read accuracies on left-out plates as too good, since these subjects are in the training, or "
            "leave their samples out on all plates but one (dataset.exclude).",
        )
    ]


def _equal(seen: Seen, marks: dict[str, IntArray]) -> list[Pair]:
    """Return samples of the same values: each with the first one that has them, on whatever plate."""
    frame = pd.concat(
        [pd.DataFrame({"mark": m, "plate": name, "row": np.arange(len(m))}) for name, m in marks.items()]
    )
    frame = frame[frame["mark"] != 0]
    frame = frame[frame["mark"].duplicated(keep=False)]
    pairs = []
    for _, group in frame.groupby("mark", sort=False):
        first, *others = zip(group["plate"], group["row"], strict=True)
        pairs += [Pair(first, other, 1.0) for other in others]
    return [
        one
        for one in pairs
        if one.first[0] != one.second[0] or _labels(seen, one)[0] != _labels(seen, one)[1]
    ]


def _copies(seen: Seen, pairs: Sequence[Pair], code: str, what: str) -> list[Finding]:
    """Return findings about pairs of samples: those with two labels, and all others."""
    wrong = [one for one in pairs if len({label for label in _labels(seen, one) if label}) > 1]
    others = [one for one in pairs if one not in wrong]
    found = []
    if wrong:
        shown = [f"{_pair(seen, one)} ({' and '.join(_labels(seen, one))})" for one in wrong]
        found.append(
            Finding(
                f"{code}_of_two_labels",
                True,
                f"{counted(len(wrong), 'pair')} of samples {has(len(wrong))} {what} and two labels: "
                f"{some(shown)}.",
                f"Find out which label is right. {REMEDY}",
            )
        )
    if others:
        serious = code == "copies" or any(_differ(seen, one) for one in others)
        found.append(
            Finding(
                code,
                serious,
                f"{counted(len(others), 'pair')} of samples of different plates "
                f"{has(len(others))} {what}: {some([_pair(seen, one) for one in others])}.",
                f"{REMEDY} A left-out plate is judged too well by a model that has seen its samples.",
            )
        )
    return found


def _pair(seen: Seen, pair: Pair) -> str:
    """Return two samples in words."""
    one, other = (
        f"{sample_name(seen.study.batches[name], row)} of plate '{name}'"
        for name, row in (pair.first, pair.second)
    )
    return f"{one} and {other}" + ("" if pair.correlation == 1 else f", correlation {pair.correlation:.2f}")


def _labels(seen: Seen, pair: Pair) -> tuple[str, str]:
    """Return the labels of both samples, "" where unknown."""
    first, second = (_label(seen, seen.study.batches[name], row) for name, row in (pair.first, pair.second))
    return first, second


def _label(seen: Seen, batch: Batch, row: int) -> str:
    """Return the label of a sample, "" where it is unknown."""
    return "" if batch.y is None else str(seen.study.classes[int(batch.y[row])])


def _names(seen: Seen, pair: Pair) -> list[str | None]:
    """Return the subjects of both samples where the files name them."""
    found = []
    for name, row in (pair.first, pair.second):
        batch = seen.study.batches[name]
        found.append(str(subject_keys(batch)[row]) if has_named_subjects(batch) else None)
    return found


def _same_subject(seen: Seen, pair: Pair) -> bool:
    """Return whether the files name the same subject for both samples, and their labels are not at odds."""
    first, second = _names(seen, pair)
    return first is not None and first == second and len({one for one in _labels(seen, pair) if one}) < 2


def _differ(seen: Seen, pair: Pair) -> bool:
    """Return whether the files name different subjects."""
    first, second = _names(seen, pair)
    return first is not None and second is not None and first != second


def _row(seen: Seen, kind: str, pair: Pair) -> tuple[object, ...]:
    """Return a pair as a row of the table."""
    labels = _labels(seen, pair)
    names = [sample_name(seen.study.batches[name], row).strip("'") for name, row in (pair.first, pair.second)]
    same = labels[0] == labels[1] if all(labels) else None
    return kind, pair.first[0], names[0], pair.second[0], names[1], pair.correlation, same
