"""Groups of features that vary together, of those that may carry the answers of a model.

Shuffling one of two features that say the same hardly lowers the AUC, since the other one still says it. So
features that vary together are shuffled together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.special import logit

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray
from calib.plates.ranks import centred_ranks, column_blocks

APART = 0.3
"""Mean distance, 1 - |Spearman|, up to which features are of one group."""

MOST_FEATURES = 1000
"""Most features that are grouped, which takes memory with their square."""

MOST_GROUPS = 60
"""Most groups that are shuffled."""


@dataclass(frozen=True)
class Groups:
    """Groups of features.

    Attributes:
        members: positions of the features of each group, the leading one first.
        speaks: rank correlation of each group's leading feature with the log odds of every class, mean over
            plates ``(groups, classes)``.
        rest: positions of the features in no group.
    """

    members: Sequence[IntArray]
    speaks: FloatArray
    rest: IntArray


def log_odds(probability: FloatArray) -> FloatArray:
    """Return the log odds of each class against all others ``(n, classes)``, finite."""
    found: FloatArray = logit(np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12))
    return found


def groups_of(x: Mapping[str, Matrix], probability: Mapping[str, FloatArray]) -> Groups:
    """Return the groups that are worth shuffling.

    A feature may carry the answers of a model if it varies with them, so features are ordered by their
    |rank correlation| with the log odds that the model answers on left-out plates, the largest over classes
    and mean over plates. No label has a part in it. The first ``MOST_FEATURES`` are clustered by average
    linkage on 1 - |Spearman's correlation within plates|, and the groups below ``APART`` taken in the order
    of their leading features, at most ``MOST_GROUPS``. A feature that a model uses only to take away what
    another one says may be missed.

    Args:
        x: left-out plate -> its data ``(samples, features)``.
        probability: the same -> probabilities of the classes ``(samples, classes)``.
    """
    signed, size = _correlations(x, probability)
    strength = size.max(axis=0)
    order = np.argsort(-strength, kind="stable")[:MOST_FEATURES]
    order = order[strength[order] > 0]
    members = [order[own] for own in _clusters(x, order)][:MOST_GROUPS]
    taken = np.concatenate(members) if members else np.zeros(0, np.int64)
    rest = np.setdiff1d(np.arange(len(strength)), taken)
    leading = [int(own[0]) for own in members]
    return Groups(members, signed[:, leading].T, rest)


def _correlations(
    x: Mapping[str, Matrix], probability: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the rank correlation of features and log odds, and its size, mean over plates.

    Returns:
        Both ``(classes, features)``.
    """
    signed, size = [], []
    for plate, data in x.items():
        odds = centred_ranks(log_odds(probability[plate]))
        found = np.empty((odds.shape[1], data.shape[1]))
        for place, values in column_blocks(data):
            found[:, place] = odds.T @ centred_ranks(values)
        signed.append(found)
        size.append(np.abs(found))
    return np.mean(signed, axis=0), np.mean(size, axis=0)


def _clusters(x: Mapping[str, Matrix], features: IntArray) -> list[IntArray]:
    """Return the places in ``features`` that vary together, in the order of their first one."""
    if len(features) < 2:
        return [np.arange(len(features))] if len(features) else []
    products = np.zeros((len(features), len(features)))
    for data in x.values():
        part = data[:, features]
        ranks = centred_ranks(part if isinstance(part, np.ndarray) else part.toarray())
        products += ranks.T @ ranks
    scale = np.sqrt(np.diagonal(products))  # root of the number of plates in which a feature varies
    distance = np.clip(1 - np.abs(products) / np.outer(scale, scale), 0, 1)
    np.fill_diagonal(distance, 0)
    owner = fcluster(linkage(squareform(distance, checks=False), "average"), APART, "distance")
    _, first, owner = np.unique(owner, return_index=True, return_inverse=True)
    return [np.flatnonzero(owner == number) for number in np.argsort(first, kind="stable")]
