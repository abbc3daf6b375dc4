"""Missing values and zeros: whether they differ between classes on the same plates, and between plates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.cautions import listed, some
from calib.data.study import Batch
from calib.evaluation.ranks import normal_tail, ranks
from calib.plates.answer import Finding
from calib.plates.checks.present import Present
from calib.plates.checks.seen import LEVEL, Checked, Seen, adjusted, auc_within, stratified

AUC = 0.7
"""Area under the curve of a sample's share of such values for a class of a plate, from which it is named."""

SURE = 1e-3
"""Largest p-value of such a difference, times the number of classes."""

FAR = 0.05
"""Difference of the shares of missing values from which one between classes is serious."""

RANGE = 0.15
"""Difference of the shares of two plates from which it is named."""

CHANCE = 1e-6
"""Largest chance that a plate has no value of a feature, with which the feature counts as absent there."""

WORDS = {"missing": "missing", "detection": "zero"}
"""Kind of value that is not there -> its word."""

LEAST = 1e-9
"""Variance from which a feature is tested."""

MANY = 0.25
"""Share of the features from which absent ones are serious."""


Mask = Callable[[Batch], Any]


def check(seen: Seen) -> Checked:
    """Return the shares of values that are not there: ``kind``, ``plate``, ``class``, ``share``.

    A row whose class is "" is of all samples of the plate.
    """
    masks: Mapping[str, NDArray[np.bool_]] = seen.study.missing
    kinds: dict[str, Mask] = {
        "missing": lambda batch: ~masks.get(batch.name, np.zeros(batch.x.shape, bool)),
        "detection": _detected,
    }
    rows: list[tuple[object, ...]] = []
    found: list[Finding] = []
    classes = seen.study.classes
    for code, there in kinds.items():
        if code == "missing" and not masks:
            continue
        plates = {
            name: Present.of(batch, there(batch), len(classes)) for name, batch in seen.study.batches.items()
        }
        if all((plate.share > 1 - 1e-9).all() for plate in plates.values()):
            continue
        for name, plate in plates.items():
            rows.append((WORDS[code], name, "", 1 - float(plate.share.mean())))
            for c in [] if plate.labels is None else np.unique(plate.labels):
                rows.append((WORDS[code], name, classes[c], 1 - float(plate.share[plate.labels == c].mean())))
        found += _by_class(seen, code, [plate for plate in plates.values() if plate.labels is not None])
        found += _by_plate(code, {name: 1 - float(plate.share.mean()) for name, plate in plates.items()})
        found += _absent(seen, code, plates)
    return Checked(pd.DataFrame(rows, columns=["kind", "plate", "class", "share"]), found)


def _detected(batch: Batch) -> Any:
    """Return which values are not zero."""
    if isinstance(batch.x, np.ndarray):
        return np.not_equal(batch.x, 0)
    known = (batch.x.data != 0).astype(np.float32)
    return sparse.csr_array((known, batch.x.indices, batch.x.indptr), shape=batch.x.shape)


def _by_class(seen: Seen, code: str, plates: Sequence[Present]) -> list[Finding]:
    """Return a finding where a class has more or fewer such values than the others of its plates."""
    labels = [plate.labels for plate in plates if plate.labels is not None]
    classes = [c for c in range(len(seen.study.classes)) if any((y == c).any() for y in labels)]
    if len(classes) < 2:
        return []
    tested = classes if len(classes) > 2 else classes[1:]  # of two classes each tells the other
    excess, variance = (sum(getattr(p, part)[tested] for p in plates) for part in ("excess", "variance"))
    p = np.where(
        variance > LEAST, 2 * normal_tail(np.abs(excess) / np.sqrt(np.maximum(variance, LEAST))), np.nan
    )
    with_class = int((np.nan_to_num(adjusted(p), nan=1) < LEVEL).any(axis=0).sum())
    each = [1 - plate.share for plate in plates]
    places = [ranks(one)[:, None] for one in each]
    z = np.array([stratified(places, [y == c for y in labels])[0] for c in tested])
    areas = np.array([auc_within(each, [y == c for y in labels]) for c in tested])
    sure = 2 * normal_tail(np.abs(np.nan_to_num(z))) * len(tested) < SURE
    strength = np.where(sure, np.abs(areas - 0.5), 0)
    worst = int(np.argmax(strength))
    differs = bool(strength[worst] >= AUC - 0.5)
    if not differs and (code == "detection" or not with_class):
        return []
    c = tested[worst]
    own, rest = (
        np.concatenate([one[(y == c) == side] for one, y in zip(each, labels, strict=True)]).mean()
        for side in (True, False)
    )
    often = "more often" if own > rest else "less often"
    text = (
        f"On the same plates, values of class '{seen.study.classes[c]}' are {WORDS[code]} {often} than those "
        f"of others ({own:.0%} against {rest:.0%}), and {with_class:,} of {len(seen.study.features):,} "
        "features differ by class in this."
    )
    advice = {
        "missing": "Find out whether this is the handling of the samples, which a method then learns in "
        "place of the disease, and leave such features out.",
        "detection": "Find out whether this is biology or depth of measurement: a method learns either.",
    }
    serious = code == "missing" and differs and bool(abs(own - rest) >= FAR)
    return [Finding(f"{code}_by_class", serious, text, advice[code])]


def _by_plate(code: str, share: Mapping[str, float]) -> list[Finding]:
    """Return a finding where plates differ in how many such values they have."""
    few, many = min(share, key=lambda name: share[name]), max(share, key=lambda name: share[name])
    if share[many] - share[few] < RANGE:
        return []
    return [
        Finding(
            f"{code}_by_plate",
            False,
            f"On plate '{many}' {share[many]:.0%} of the values are {WORDS[code]}, and on plate '{few}' "
            f"{share[few]:.0%}.",
            "Check the depth or the limit of detection of both plates, and leave out features that are "
            "seldom measured.",
        )
    ]


def _absent(seen: Seen, code: str, plates: Mapping[str, Present]) -> list[Finding]:
    """Return a finding where a plate has no value of features that all others have."""
    lacks: dict[str, NDArray[np.intp]] = {}
    for name, plate in plates.items():
        rest = [other.found / len(other.share) for key, other in plates.items() if key != name]
        if not rest:
            continue
        chance = (1 - np.minimum(np.min(rest, axis=0), 1)) ** len(plate.share)
        if len(absent := np.flatnonzero((plate.found == 0) & (chance < CHANCE))):
            lacks[name] = absent
    if not lacks:
        return []
    features = np.array(seen.study.features, object)
    shown = [f"'{name}' lacks {len(f):,} ({listed(list(features[f]), 2)})" for name, f in lacks.items()]
    most = max(map(len, lacks.values()))
    return [
        Finding(
            f"{code}_on_plate",
            most >= MANY * len(features),
            f"Plates lack features that all others have, since all their values are {WORDS[code]}: "
            f"{some(shown)}.",
            "Leave these features out with dataset.ignore or dataset.features, or check how the plate names "
            "them.",
        )
    ]
