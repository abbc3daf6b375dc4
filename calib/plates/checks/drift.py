"""The order of measurement: whether values drift along it, and whether classes were measured one by one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from calib.data.study import Batch, FloatArray
from calib.evaluation.ranks import normal_tail, ranks, student_tail
from calib.plates.answer import Finding
from calib.plates.checks.seen import (
    LEVEL,
    Checked,
    Seen,
    adjusted,
    auc_within,
    means_by,
    stratified,
    units_of,
)

FEWEST = 8
"""Subjects of a plate whose order is known, from which it takes part."""

SHARE = 0.05
"""Share of drifting features from which drift is named."""

APART, SURE = 0.2, 1e-3
"""Classes count as measured one after the other where the chance that a sample of one comes after others lies
so far from 1/2, and its p-value, times the number of classes, is so small."""

COLUMNS = ("kind", "name", "value", "p")


def check(seen: Seen) -> Checked:
    """Return the drift of each feature and the place of each class: ``kind``, ``name``, ``value``, ``p``.

    The value of a feature is its mean rank correlation with the order within plates, its p adjusted for the
    number of features. That of a class is the chance that one of its samples comes after one of another class
    of the plate. Samples of a subject are averaged.
    """
    batches = [batch for batch in seen.study.batches.values() if batch.order is not None]
    if not batches:
        return Checked(pd.DataFrame(columns=list(COLUMNS)))
    drift, some = _drift(seen, batches)
    classes, ordered = _classes(seen, batches)
    return Checked(pd.DataFrame([*classes, *drift], columns=list(COLUMNS)), [*ordered, *some])


def _drift(seen: Seen, batches: Sequence[Batch]) -> tuple[list[tuple[object, ...]], list[Finding]]:
    """Return the drift of each feature, and a finding where many drift."""
    both = np.zeros(len(seen.features))
    own, along, degrees = np.zeros_like(both), 0.0, 0
    for batch in batches:
        assert batch.order is not None
        rows = seen.rows[batch.name]
        known = np.isfinite(batch.order[rows])
        owner = np.unique(units_of(batch)[rows][known], return_inverse=True)[1]
        if not known.any() or owner.max() + 1 < FEWEST:
            continue
        ranks = _centred(means_by(owner, seen.even[batch.name][known]))
        place = _centred(means_by(owner, batch.order[rows][known][:, None]))
        scale = len(place) ** 2  # so that ranks of large plates weigh no more than their number
        both += (place * ranks).sum(axis=0) / scale
        own += (ranks**2).sum(axis=0) / scale
        along += float((place**2).sum()) / scale
        degrees += len(place) - 1
    if degrees < 3 or along == 0:
        return [], []
    r = both / np.sqrt(np.where(own > 0, own, np.inf) * along)
    t = r * np.sqrt((degrees - 1) / np.maximum(1 - r**2, 1e-12))
    p = adjusted(np.where(own > 0, 2 * student_tail(np.abs(t), degrees - 1), np.nan))
    names = [str(seen.study.features[i]) for i in seen.features]
    table: list[tuple[object, ...]] = [
        ("feature", n, float(a), float(b)) for n, a, b in zip(names, r, p, strict=True)
    ]
    drifting = p < LEVEL
    if drifting.mean() < SHARE:
        return table, []
    most = int(np.argmax(np.abs(r)))
    finding = Finding(
        "drift",
        False,
        f"{drifting.mean():.0%} of the features drift along the order of measurement within plates, "
        f"'{names[most]}' most of all (rank correlation {r[most]:.2f}).",
        "Correct the drift by pooled samples that were measured in between, or leave such features out.",
    )
    return table, [finding]


def _centred(x: FloatArray) -> FloatArray:
    """Return the ranks in each column less their mean."""
    found = ranks(x)
    centred: FloatArray = found - found.mean(axis=0)
    return centred


def _classes(seen: Seen, batches: Sequence[Batch]) -> tuple[list[tuple[object, ...]], list[Finding]]:
    """Return where in the order each class comes, and a finding where classes come one after the other."""
    places, labels = [], []
    for batch in batches:
        assert batch.order is not None
        if batch.y is None or not (known := np.isfinite(batch.order)).any():
            continue
        _, first, owner = np.unique(units_of(batch)[known], return_index=True, return_inverse=True)
        places.append(means_by(owner, batch.order[known][:, None])[:, 0])
        labels.append(batch.y[known][first])
    names = seen.study.classes
    present = [c for c in range(len(names)) if any((y == c).any() for y in labels)]
    if len(present) < 2:
        return [], []
    rows: list[tuple[object, ...]] = []
    for c in present:
        inside = [y == c for y in labels]
        z = stratified([ranks(place)[:, None] for place in places], inside)[0]
        p = min(2 * float(normal_tail(np.abs(z))) * len(present), 1.0)
        rows.append(("class", names[c], auc_within(places, inside), p))
    sure = [row for row in rows if float(str(row[3])) < SURE]
    if not sure:
        return rows, []
    worst = max(reversed(sure), key=lambda row: abs(float(str(row[2])) - 0.5))
    after = float(str(worst[2]))
    if abs(after - 0.5) < APART:
        return rows, []
    return rows, [
        Finding(
            "class_with_order",
            True,
            f"Classes were measured one after the other: a sample of '{worst[1]}' comes after one of another "
            f"class of its plate in {after:.0%} of the pairs, and 50 % is usual.",
            "No method can tell a drift along the order from the class: measure samples in random order, or "
            "check the answer on a plate that was.",
        )
    ]
