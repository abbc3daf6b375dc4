"""Samples that lie far from the rest of their plate, and plates that lie far from the others."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh

from calib.data.cautions import counted, some
from calib.data.partial_labels import whole_plate
from calib.data.study import FloatArray, IntArray
from calib.evaluation.novelty import LEAST, novelty, training_statistics
from calib.plates.answer import Finding
from calib.plates.checks.seen import Checked, Seen, sample_name

FEWEST = 12
"""Samples of a plate from which its outliers are looked for."""

OF_CLASS = 5
"""Samples of a class on a plate from which they have a middle of their own."""

FAR = 5.0
"""Robust standard deviations of the logarithm of the distance beyond which a sample is an outlier."""

TIMES = 1.5
"""Least distance of an outlier, in usual distances."""

WIDEST = 10.0
"""Robust standard deviations of a feature at which values are cut, so that one cell makes no outlier."""

COMPONENTS, FEATURES = 10, 500
"""Most leading components, and most features that they are made of."""

PLATES = 12
"""Most plates that a plate is compared with."""

DETECTED = 0.6
"""Share of a plate's values that differ from zero from which a feature takes part in comparing plates."""

ALIKE = {"location": 1.0, "spread": 1.0, "distance": 0.03, "far": 0.1}
"""Measure of novelty -> value up to which a plate counts as usual, however alike the others are."""

FAR_OUT = 3.0
"""Limits of novelty beyond which a plate is a serious finding."""

WORDS = {
    "location": "the medians of its features lie {:.1f} usual spreads off (limit {:.1f})",
    "spread": "its features spread {:.1f} times as much or as little (limit {:.1f})",
    "distance": "its squared MMD to the nearest plate is {:.3f} (limit {:.3f})",
    "far": "{:.0%} of its samples lie far out (limit {:.0%})",
}
"""Measure of novelty -> the words for its value and limit."""


def samples(seen: Seen) -> Checked:
    """Return the outlying samples: ``plate``, ``sample``, ``distance`` (in usual distances)."""
    rows, compared = [], 0
    for name, x in seen.even.items():
        if len(x) < FEWEST:
            continue
        batch = seen.study.batches[name]
        distance = distances(x, None if batch.y is None else batch.y[seen.rows[name]])
        largest = distance.max(axis=1)
        compared += int(np.isfinite(largest).sum())
        rows += [
            (name, sample_name(batch, int(seen.rows[name][i])), float(largest[i]))
            for i in np.flatnonzero(outlying(distance))
        ]
    table = pd.DataFrame(rows, columns=["plate", "sample", "distance"])
    table = table.sort_values("distance", ascending=False, ignore_index=True)
    if not len(table):
        return Checked(table)
    shown = [
        f"{row.sample} of plate '{row.plate}' ({row.distance:.1f} times the usual distance)"
        for row in table.itertuples()
    ]
    lie, their = ("lies", "its") if len(table) == 1 else ("lie", "their")
    finding = Finding(
        "outlying_samples",
        False,
        f"{counted(len(table), 'sample')} of {compared:,} {lie} unusually far from the middle of {their} "
        f"plate and class: {some(shown)}.",
        "Look at these samples, and leave them out with dataset.exclude if their measurement failed.",
    )
    return Checked(table.assign(sample=table["sample"].str.strip("'")), [finding])


def distances(x: FloatArray, y: IntArray | None) -> FloatArray:
    """Return how far each sample of a plate lies from its middle, in usual distances ``(samples, 2)``.

    There are two distances, each divided by its median: the root mean square of the features' robust
    z-values, and that of the leading components of these. Where labels are known, the middle and the
    median are those of the class, so that a rare class is no outlier; samples of a class of fewer than
    ``OF_CLASS`` have no distance (NaN).

    Args:
        x: values on an even scale ``(samples, features)``.
        y: class indices ``(samples,)``, or None.
    """
    group = np.zeros(len(x), np.int64) if y is None else y
    groups = [rows for g in np.unique(group) if len(rows := np.flatnonzero(group == g)) >= OF_CLASS]
    found = np.full((len(x), 2), np.nan)
    if not groups:
        return found
    kept = np.concatenate(groups)
    away = np.concatenate([x[rows] - np.median(x[rows], axis=0) for rows in groups])
    spread = 1.4826 * np.median(np.abs(away), axis=0)
    spread = np.where(spread > 0, spread, away.std(axis=0))
    z = np.clip(away[:, spread > 0] / spread[spread > 0], -WIDEST, WIDEST)
    if not z.shape[1]:
        return found
    each = [np.sqrt((part**2).mean(axis=1)) for part in (z, _components(z))]
    sizes = np.cumsum([len(rows) for rows in groups])[:-1]
    usual = [
        np.concatenate([part / max(float(np.median(part)), 1e-12) for part in np.split(one, sizes)])
        for one in each
    ]
    found[kept] = np.stack(usual, axis=1)
    return found


def _components(z: FloatArray) -> FloatArray:
    """Return the leading components of values, each in its robust standard deviation; one at least."""
    z = z[:, :: -(-z.shape[1] // FEATURES)]
    count = max(min(len(z) // 5, COMPONENTS, z.shape[1]), 1)
    centred = z - z.mean(axis=0)
    size = z.shape[1]
    scores = centred @ eigh(centred.T @ centred, subset_by_index=[size - count, size - 1])[1]
    away = scores - np.median(scores, axis=0)
    width = 1.4826 * np.median(np.abs(away), axis=0)
    leading: FloatArray = away / np.where(width > 0, width, np.inf)
    return leading


def outlying(distance: FloatArray) -> NDArray[np.bool_]:
    """Return which samples lie far out, by the spread of the logarithms of either distance ``(samples,)``."""
    logs = np.log(np.maximum(distance, 1e-12))
    known = logs[np.isfinite(logs).all(axis=1)]
    if not len(known):
        return np.zeros(len(distance), bool)
    middle = np.median(known, axis=0)
    spread = 1.4826 * np.median(np.abs(known - middle), axis=0)
    found: NDArray[np.bool_] = ((logs - middle > FAR * spread) & (distance > TIMES)).any(axis=1)
    return found


def plates(seen: Seen) -> Checked:
    """Return how far each plate lies from the others: ``plate``, ``measure``, ``value``, ``limit``."""
    detected = np.all([(x != 0).mean(axis=0) >= DETECTED for x in seen.raw.values()], axis=0)
    parts: dict[str, list[FloatArray]] = {}
    for name, x in seen.raw.items():  # the labelled part of a plate is no other plate
        parts.setdefault(whole_plate(name, seen.raw), []).append(x[:, detected])
    raw = {name: np.concatenate(own) for name, own in parts.items()}
    large = [name for name, x in raw.items() if len(x) >= LEAST and detected.any()]
    rows, found = [], []
    rng = np.random.default_rng([seen.seed, 3])
    for name in raw:
        others = [other for other in large if other != name]
        if len(others) > PLATES:
            others = [others[i] for i in np.sort(rng.permutation(len(others))[:PLATES])]
        training = training_statistics({other: raw[other] for other in others})
        if training is None:
            continue
        measured = {
            key: (one.value, max(one.limit, ALIKE[key])) for key, one in novelty(raw[name], training).items()
        }
        rows += [(name, key, *numbers) for key, numbers in measured.items()]
        outside = {key: numbers for key, numbers in measured.items() if numbers[0] > numbers[1]}
        if outside:
            shown = outside | {"spread": tuple(2**number for number in outside.get("spread", (0, 0)))}
            measures = [WORDS[key].format(*shown[key]) for key in outside]
            advice = (
                "Check its units, the order and names of its features, and its quality; see what a method "
                "reaches on it when it is left out."
            )
            serious = any(value > FAR_OUT * limit for key, (value, limit) in outside.items() if key != "far")
            text = f"Plate '{name}' lies outside the others: {' and '.join(measures)}."
            found.append(Finding("outlying_plate", serious, text, advice))
    return Checked(pd.DataFrame(rows, columns=["plate", "measure", "value", "limit"]), found)
