"""Whether class and plate can be told apart: which classes share plates, and how far the two go together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from calib.data.cautions import counted, listed
from calib.data.study import Batch, FloatArray, IntArray, Study
from calib.plates.answer import Finding
from calib.plates.checks.seen import Checked, Seen, has, subject_keys, units_of

DRAWS = 2000
"""Draws of the bootstrap."""

NOTABLE, STRONG = 0.1, 0.5
"""Lower end of the interval of Cramér's V from which an association is named, and is serious."""


def layout(seen: Seen) -> Checked:
    """Return what is confounded, and the layout.

    The layout has a row a labelled plate and class: ``plate``, ``class``, ``samples``, ``subjects``.
    """
    study = seen.study
    rows = []
    for batch in seen.labelled:
        assert batch.y is not None
        keys = subject_keys(batch)
        for number, name in enumerate(study.classes):
            chosen = batch.y == number
            subjects = len(np.unique(keys[chosen])) if batch.subject is not None else np.nan
            rows.append((batch.name, name, int(chosen.sum()), subjects))
    table = pd.DataFrame(rows, columns=["plate", "class", "samples", "subjects"])
    return Checked(table, _apart(study, seen.labelled))


def _apart(study: Study, batches: Sequence[Batch]) -> list[Finding]:
    """Return what no method can tell apart, because classes and plates do not meet."""
    present = np.array([np.bincount(b.y, minlength=len(study.classes)) for b in batches if b.y is not None])
    if len(batches) < 2:
        return []
    component = _components(present > 0)
    names, plates = list(study.classes), [batch.name for batch in batches]
    of_plate, of_class = component[: len(plates)], component[len(plates) :]
    groups = [(np.flatnonzero(of_class == g), np.flatnonzero(of_plate == g)) for g in np.unique(of_plate)]
    if len(groups) > 1:
        parts = [
            f"{listed([names[c] for c in classes], 5)} on {_plates([plates[p] for p in where])}"
            for classes, where in groups
        ]
        return [
            Finding(
                "confounded",
                True,
                f"No labelled plate links these groups of classes: {'; '.join(parts)}.",
                "No method can tell a difference between these groups from one between their plates: measure "
                "both on one plate, or ask only for classes that share plates.",
            )
        ]
    found = []
    alone = [c for c in range(len(names)) if (present[:, c] > 0).sum() == 1]
    if alone:
        shown = [f"'{names[c]}' (plate '{plates[int(np.argmax(present[:, c]))]}')" for c in alone]
        found.append(
            Finding(
                "class_on_one_plate",
                True,
                f"{'1 class occurs' if len(alone) == 1 else f'{len(alone)} classes occur'} on one labelled "
                f"plate only: {', '.join(shown)}.",
                "No method can tell what is such a class from what is its plate, and nothing can be measured "
                "about it on a left-out plate: measure it on another plate, or leave it out.",
            )
        )
    single = [p for p in range(len(plates)) if (present[p] > 0).sum() == 1]
    if single:
        shown = [f"'{plates[p]}' ({names[int(np.argmax(present[p]))]})" for p in single]
        found.append(
            Finding(
                "plate_of_one_class",
                True,
                f"{counted(len(single), 'labelled plate')} {has(len(single))} one class only: "
                f"{', '.join(shown)}.",
                "A method that scales each plate by itself takes this class for a plate effect: compare with "
                "no calibration, or leave the plate out.",
            )
        )
    return found


def _components(present: NDArray[np.bool_]) -> IntArray:
    """Return a number for each plate, then for each class, equal for those that are linked through others.

    Args:
        present: whether a plate has a class ``(plates, classes)``.
    """
    linked = np.eye(sum(present.shape), dtype=bool)
    linked[: len(present), len(present) :] = present
    linked |= linked.T
    for _ in range(len(linked).bit_length()):  # each product doubles the steps that are followed
        linked = linked.astype(np.float32) @ linked > 0
    first: IntArray = linked.argmax(axis=1)
    return first


def _plates(names: Sequence[str]) -> str:
    """Return plates with their names."""
    return f"{'plate' if len(names) == 1 else 'plates'} {listed(names, 5)}"


def association(seen: Seen) -> Checked:
    """Return Cramér's V of class and plate with its 95 % interval: ``v``, ``low``, ``high``, ``subjects``.

    Subjects count, once on each plate and in each class that they have samples of; samples where subjects are
    unknown. The interval is of a bootstrap of whole subjects.
    """
    study, batches = seen.study, seen.labelled
    columns = ["v", "low", "high", "subjects"]
    if len(batches) < 2:
        return Checked(pd.DataFrame(columns=columns))
    cells, owner = _cells(batches, len(study.classes))
    table = np.bincount(cells, minlength=len(batches) * len(study.classes)).reshape(len(batches), -1)
    if ((table > 0).sum(axis=0) > 0).sum() < 2:
        return Checked(pd.DataFrame(columns=columns))
    v = float(cramers_v(table[None], noise=1)[0])
    low, high = _interval(cells, owner, table.shape, seen.seed)
    found = []
    apart = any(one.code in ("confounded", "plate_of_one_class") for one in _apart(study, batches))
    if low > NOTABLE and not apart:
        share = table / table.sum(axis=1, keepdims=True)
        c = int(np.argmax(np.ptp(share, axis=0)))
        few, many = int(np.argmin(share[:, c])), int(np.argmax(share[:, c]))
        found.append(
            Finding(
                "class_with_plate",
                low > STRONG,
                f"Class and plate go together: Cramér's V is {v:.2f} (95 % interval {low:.2f} to "
                f"{high:.2f}), and the share of '{study.classes[c]}' runs from {share[few, c]:.0%} on plate "
                f"'{batches[few].name}' to {share[many, c]:.0%} on plate '{batches[many].name}'.",
                "Choose a method that estimates the mix, such as standardise_mix_logistic: one that scales "
                "each plate by itself takes part of the class for a plate effect.",
            )
        )
    return Checked(pd.DataFrame([(v, low, high, len(np.unique(owner)))], columns=columns), found)


def _cells(batches: Sequence[Batch], classes: int) -> tuple[IntArray, IntArray]:
    """Return plate and class of each subject on a plate as one number, and the number of the subject."""
    frames = []
    for number, batch in enumerate(batches):
        assert batch.y is not None
        frames.append(pd.DataFrame({"key": subject_keys(batch), "cell": number * classes + batch.y}))
    every = pd.concat(frames).drop_duplicates()
    return every["cell"].to_numpy(np.int64), pd.factorize(every["key"])[0].astype(np.int64)


def cramers_v(table: FloatArray | IntArray, noise: int) -> FloatArray:
    """Return Cramér's V of tables ``(tables, rows, columns)``, corrected for bias.

    Bergsma 2013 (doi 10.1016/j.jkss.2012.10.002). Empty rows and columns do not count.

    Args:
        table: counts.
        noise: how often the expected value under independence is taken off: once of a sample, twice of a draw
            of its bootstrap, which has the noise of both.
    """
    t = np.asarray(table, np.float64)
    n = t.sum(axis=(1, 2))
    rows, columns = t.sum(axis=2), t.sum(axis=1)
    expected = rows[:, :, None] * columns[:, None, :] / n[:, None, None]
    phi2 = (np.where(expected > 0, t - expected, 0) ** 2 / np.where(expected > 0, expected, 1)).sum(
        axis=(1, 2)
    ) / n
    r, k = (rows > 0).sum(axis=1), (columns > 0).sum(axis=1)
    less = np.maximum(phi2 - noise * (r - 1) * (k - 1) / (n - 1), 0)
    smaller = np.minimum(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    v: FloatArray = np.sqrt(np.clip(less / np.where(smaller > 0, smaller, np.inf), 0, 1))
    return v


def _interval(cells: IntArray, owner: IntArray, shape: tuple[int, ...], seed: int) -> tuple[float, float]:
    """Return the ends of a 95 % interval of Cramér's V, by a bootstrap of whole subjects."""
    rng = np.random.default_rng([seed, 2])
    subjects = int(owner.max()) + 1
    incidence = sparse.csr_array((np.ones(len(cells)), (cells, owner)), shape=(int(np.prod(shape)), subjects))
    weights = rng.multinomial(subjects, np.full(subjects, 1 / subjects), DRAWS)
    tables = (incidence @ weights.T).T.reshape(DRAWS, *shape)
    low, high = np.quantile(cramers_v(tables, noise=2), [0.025, 0.975])
    return float(low), float(high)


def plates(seen: Seen) -> pd.DataFrame:
    """Return a row a plate; see ``Design.plates``."""
    rows = []
    for batch in seen.study.batches.values():
        counts = [None] * len(seen.study.classes) if batch.y is None else [
            int((batch.y == number).sum()) for number in range(len(seen.study.classes))
        ]  # fmt: skip
        subjects = None if batch.subject is None else int(units_of(batch).max()) + 1
        rows.append((batch.name, len(batch), subjects, batch.y is not None, *counts))
    named = [f"n_{name}" for name in seen.study.classes]
    table = pd.DataFrame(rows, columns=["plate", "samples", "subjects", "labelled", *named])
    return table.astype(dict.fromkeys(("subjects", *named), "Int64"))
