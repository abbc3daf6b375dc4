"""Missing values and zeros: whether they differ between classes on the same plates, and between plates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm, rankdata

from calib.data.cautions import listed
from calib.data.study import Batch, FloatArray
from calib.plates.answer import Finding
from calib.plates.checks.seen import LEVEL, Checked, Seen, adjusted, means_by, stratified, units_of

AUC = 0.7
"""Area under the curve of a sample's share of such values for a class of a plate, from which it is named."""

SURE = 1e-3
"""Largest p-value of such a difference, times the number of classes."""

RANGE = 0.15
"""Difference of the shares of two plates from which it is named."""

CHANCE = 1e-6
"""Largest chance that a plate has no value of a feature, with which the feature counts as absent there."""

MANY = 0.25
"""Share of the features from which absent ones are serious."""


@dataclass(frozen=True)
class Kind:
    """A kind of value that is none: its word in codes and sentences, and where it is on a plate, or None."""

    code: str
    word: str
    of: Callable[[Batch], Any]


def check(seen: Seen) -> Checked:
    """Return the shares of such values: ``kind``, ``plate``, ``class`` ("" for all), ``share``."""
    masks: Mapping[str, NDArray[np.bool_]] = seen.study.missing
    kinds = (
        Kind("missing", "missing", lambda batch: masks.get(batch.name, np.zeros(batch.x.shape, bool))),
        Kind("detection", "zero", _zeros),
    )
    rows: list[tuple[object, ...]] = []
    found: list[Finding] = []
    for kind in kinds:
        if kind.code == "missing" and not masks:
            continue
        by_unit = {name: _of_units(kind.of(batch), batch) for name, batch in seen.study.batches.items()}
        if not any(shares.any() for shares in by_unit.values()):
            continue
        for name, batch in seen.study.batches.items():
            each = by_unit[name].mean(axis=1)
            rows.append((kind.word, name, "", float(each.mean())))
            if batch.y is not None:
                rows += [
                    (kind.word, name, seen.study.classes[c], float(each[_first_labels(batch) == c].mean()))
                    for c in np.unique(batch.y)
                ]
        found += _by_class(seen, kind, by_unit)
        found += _by_plate(kind, {name: float(shares.mean()) for name, shares in by_unit.items()})
        found += _absent(seen, kind, by_unit)
    return Checked(pd.DataFrame(rows, columns=["kind", "plate", "class", "share"]), found)


def _zeros(batch: Batch) -> Any:
    """Return where the values are not zero, sparse, or where they are zero, as an array."""
    if not isinstance(batch.x, np.ndarray):
        known = (batch.x.data != 0).astype(np.float32)
        return sparse.csr_array((known, batch.x.indices, batch.x.indptr), shape=batch.x.shape)
    return np.equal(batch.x, 0)


def _of_units(mask: Any, batch: Batch) -> FloatArray:
    """Return the share of such values of each subject and feature ``(subjects, features)``."""
    owner = units_of(batch)
    if sparse.issparse(mask):
        return 1 - means_by(owner, mask)
    return (
        mask.astype(np.float32) if owner.max() + 1 == len(owner) else means_by(owner, mask.astype(np.float32))
    )


def _first_labels(batch: Batch) -> Any:
    """Return the label of each subject of a plate, that of its first sample."""
    assert batch.y is not None
    return batch.y[np.unique(units_of(batch), return_index=True)[1]]


def _by_class(seen: Seen, kind: Kind, by_unit: Mapping[str, FloatArray]) -> list[Finding]:
    """Return a finding where a class has more or fewer such values than the others of its plates."""
    names = [batch.name for batch in seen.labelled]
    labels = [_first_labels(batch) for batch in seen.labelled]
    classes = [c for c in range(len(seen.study.classes)) if any((y == c).any() for y in labels)]
    if len(classes) < 2:
        return []
    shares = [by_unit[name] for name in names]
    tested = classes if len(classes) > 2 else classes[1:]  # of two classes each tells the other
    p = np.array([2 * norm.sf(np.abs(stratified(shares, [y == c for y in labels]))) for c in tested])
    with_class = int((np.nan_to_num(adjusted(p), nan=1) < LEVEL).any(axis=0).sum())
    each = [one.mean(axis=1) for one in shares]
    ranks = [rankdata(one)[:, None] for one in each]
    z = np.array([stratified(ranks, [y == c for y in labels])[0] for c in classes])
    areas = np.array([auc_within(each, [y == c for y in labels]) for c in classes])
    sure = 2 * norm.sf(np.abs(np.nan_to_num(z))) * len(classes) < SURE
    strength = np.where(sure, np.abs(areas - 0.5), 0)
    worst = int(np.argmax(strength))
    far = strength[worst] >= AUC - 0.5
    if not far and (kind.code == "detection" or not with_class):
        return []
    c = classes[worst]
    own = np.concatenate([one[y == c] for one, y in zip(each, labels, strict=True)]).mean()
    rest = np.concatenate([one[y != c] for one, y in zip(each, labels, strict=True)]).mean()
    often = "more often" if areas[worst] > 0.5 else "less often"
    text = (
        f"On the same plates, values of class '{seen.study.classes[c]}' are {kind.word} {often} than those "
        f"of others ({own:.0%} against {rest:.0%}), and {with_class:,} of {len(seen.study.features):,} "
        "features differ by class in this."
    )
    advice = {
        "missing": "Find out whether this is the handling of the samples, which a method then learns in "
        "place of the disease, and leave such features out.",
        "detection": "Find out whether this is biology or depth of measurement: a method learns either.",
    }
    return [Finding(f"{kind.code}_by_class", bool(far and kind.code == "missing"), text, advice[kind.code])]


def auc_within(values: Sequence[FloatArray], inside: Sequence[NDArray[np.bool_]]) -> float:
    """Return the area under the curve of a value for being inside, of pairs of one plate; NaN without any."""
    above = pairs = 0.0
    for value, chosen in zip(values, inside, strict=True):
        k = int(chosen.sum())
        above += rankdata(value)[chosen].sum() - k * (k + 1) / 2
        pairs += k * (len(value) - k)
    return above / pairs if pairs else float("nan")


def _by_plate(kind: Kind, share: Mapping[str, float]) -> list[Finding]:
    """Return a finding where plates differ in how many such values they have."""
    few, many = min(share, key=lambda name: share[name]), max(share, key=lambda name: share[name])
    if share[many] - share[few] < RANGE:
        return []
    return [
        Finding(
            f"{kind.code}_by_plate",
            False,
            f"Of the values of plate '{many}' {share[many]:.0%} are {kind.word}, and of plate '{few}' "
            f"{share[few]:.0%}.",
            "Check the depth or the limit of detection of both plates, and leave out features that are "
            "seldom measured.",
        )
    ]


def _absent(seen: Seen, kind: Kind, by_unit: Mapping[str, FloatArray]) -> list[Finding]:
    """Return a finding where a plate has no value of features that all others have."""
    counts = {name: (shares < 1).sum(axis=0) for name, shares in by_unit.items()}
    sizes = {name: len(shares) for name, shares in by_unit.items()}
    lacks: dict[str, NDArray[np.intp]] = {}
    for name, here in counts.items():
        rest = [other for other in counts if other != name]
        if not rest:
            continue
        elsewhere = np.min([counts[other] / sizes[other] for other in rest], axis=0)
        chance = (1 - np.minimum(elsewhere, 1)) ** sizes[name]
        if len(absent := np.flatnonzero((here == 0) & (chance < CHANCE))):
            lacks[name] = absent
    if not lacks:
        return []
    features = np.array(seen.study.features, object)
    shown = [f"'{name}' lacks {len(f):,} ({listed(list(features[f]), 2)})" for name, f in lacks.items()]
    most = max(map(len, lacks.values()))
    return [
        Finding(
            f"{kind.code}_on_plate",
            most >= MANY * len(features),
            f"Plates lack features that all others have, since all their values are {kind.word}: "
            f"{'; '.join(shown[:3])}{f' and {len(shown) - 3} more' if len(shown) > 3 else ''}.",
            "Leave these features out with dataset.ignore or dataset.features, or check how the plate names "
            "them.",
        )
    ]
