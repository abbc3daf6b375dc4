"""Features that tell a class from the others, one by one and without a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from calib.data.study import Batch, FloatArray
from calib.plates.ranks import class_auc, column_blocks

FEW = 5
"""Samples of a class below which its AUC in a plate is mostly chance."""

EACH = 5
"""Markers of a class, where there are more than two; of two classes the second has twice as many."""


def markers(plates: Mapping[str, Batch], features: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Return the features with the AUC farthest from 1/2, for each class against all others.

    The AUC is that of single samples within a plate, mean over the plates that have ``FEW`` samples of the
    class and of others, or, where none has, over those that have one. Of two classes only the second is
    shown, since the first has the same markers.

    Args:
        plates: plates with labels.
        features, classes: their names.

    Returns:
        A row a class and feature, the farthest first: ``class``, ``feature``, ``auc`` (below 1/2 where the
        class has smaller values) and ``plates``, the share of plates whose AUC lies on the same side of 1/2.
    """
    of_plates = np.stack([_aucs(batch, len(classes)) for batch in plates.values()])
    own = np.array([np.bincount(batch.labelled().y, minlength=len(classes)) for batch in plates.values()])
    enough = np.minimum(own, own.sum(axis=1, keepdims=True) - own) >= FEW
    of_plates[~(enough | ~enough.any(axis=0))] = np.nan
    there = np.isfinite(of_plates)
    count = there.sum(axis=0)
    mean = np.where(there, of_plates, 0).sum(axis=0) / np.maximum(count, 1)
    shown = [1] if len(classes) == 2 else range(len(classes))
    rows = []
    for number in shown:
        if not count[number].any():
            continue
        far = np.abs(mean[number] - 0.5)
        for feature in np.argsort(-far, kind="stable")[: EACH * (2 if len(classes) == 2 else 1)]:
            found = of_plates[:, number, feature]
            side = np.sign(mean[number, feature] - 0.5)
            rows.append(
                {
                    "class": classes[number],
                    "feature": features[feature],
                    "auc": float(mean[number, feature]),
                    "plates": float(np.mean(np.sign(found[np.isfinite(found)] - 0.5) == side)),
                }
            )
    return pd.DataFrame(rows, columns=["class", "feature", "auc", "plates"])


def _aucs(batch: Batch, classes: int) -> FloatArray:
    """Return the AUC of each class and feature in a plate ``(classes, features)``."""
    assert batch.y is not None
    found = np.empty((classes, batch.x.shape[1]))
    for place, values in column_blocks(batch.x):
        found[:, place] = class_auc(values, batch.y, classes)
    return found
