"""Replicates and subjects of files that name neither, and the averaging of predictions over replicates.

``find_replicates`` looks at the measurements only, so methods may use its result. ``infer_subjects`` looks at
the labels, so its result may only be used to evaluate and to group folds.
"""

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Matrix, dense
from calib.data.study import Samples
from calib.data.transform import prepared

PUBLISHED = 5
"""Usual number of rows of a subject in the MI and CHD files."""

OTHER_LENGTH = 2.0
"""Cost of each row that a block has more or less than expected, in squared deviations of one replicate."""


def find_replicates(x: Matrix, expected: int) -> NDArray[np.int64]:
    """Return the number of the sample that each row ``(rows,)`` measures, found without labels.

    Replicates of a sample stand in adjacent rows. The rows are cut into blocks, by dynamic programming, so
    that the cost is least. The cost is the sum of squared deviations from each block's mean, in units of the
    usual deviation between replicates, plus ``OTHER_LENGTH`` for every row by which a block is longer or
    shorter than expected.

    The MI and CHD files name no subject, and fixed blocks of five slip after the first subject with
    fewer rows. ``infer_subjects`` mends that with the labels, so its result may only be used to evaluate.
    This function looks at the measurements alone, so a method may average over the replicates it finds.

    Args:
        x: data ``(rows, features)`` in the order of the file; intensities are compared as arcsinh(x / 100).
        expected: usual number of rows of a sample.
    """
    n = x.shape[0]
    if n < 2:
        return np.zeros(n, np.int64)
    z = dense(prepared(x, "arcsinh", "standardise", "float64"))
    between = np.square(np.diff(z, axis=0)).mean(axis=1)
    noise = max(float(np.median(between)) / 2, np.finfo(float).tiny)
    sums = np.vstack([np.zeros(z.shape[1]), np.cumsum(z, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(z).mean(axis=1))])
    lengths = np.arange(1, min(2 * expected, n + 1))
    cost, start = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    for end in range(1, n + 1):
        starts = end - lengths[lengths <= end]
        size = end - starts
        means2 = np.square(sums[end] - sums[starts]).mean(axis=1) / size
        deviations = (squares[end] - squares[starts] - means2) / noise
        total = cost[starts] + deviations + OTHER_LENGTH * np.abs(size - expected)
        best = int(np.argmin(total))
        cost[end], start[end] = total[best], starts[best]
    first = np.zeros(n, np.int64)
    end = n
    while end > 0:
        end = int(start[end])
        first[end] = 1
    return np.cumsum(first) - 1


def infer_subjects(labels: NDArray[np.integer], replicates: int = PUBLISHED) -> NDArray[np.int64]:
    """Return the subject number of each row ``(rows,)``, for files with replicates in adjacent rows.

    The MI and CHD files have no subject column. Most subjects have five rows and some have fewer, so plain
    ``row // 5`` slips after the first short subject and stays wrong. A subject has one label. So blocks of
    ``replicates`` rows start anew at every change of label, and an error ends with its run of labels.
    The result is used for evaluation and for grouping folds, never in training.

    Args:
        labels: class index of each row ``(rows,)``.
        replicates: usual number of rows of a subject.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
    run_start = np.repeat(starts, np.diff(starts, append=len(labels)))
    new_subject = (np.arange(len(labels)) - run_start) % replicates == 0
    return np.cumsum(new_subject) - 1


def one_answer(probability: NDArray[np.floating], samples: Samples) -> NDArray[np.floating]:
    """Return ``over_replicates`` of a batch's probabilities ``(rows, classes)``.

    They stay as they are if the study does not name the measurements of a sample.
    """
    return probability if samples.replicate is None else over_replicates(probability, samples.replicate)


def over_replicates(probability: NDArray[np.floating], sample: NDArray) -> NDArray[np.floating]:
    """Replace probabilities ``(rows, classes)`` by the mean of their logarithms over each sample's rows.

    Args:
        probability: class probabilities of each row.
        sample: number or name of the sample that each row measures ``(rows,)``.
    """
    _, owner = np.unique(sample, return_inverse=True)
    logs = np.log(np.maximum(probability, 1e-7))
    sums = np.zeros((owner.max() + 1, probability.shape[1]))
    np.add.at(sums, owner, logs)
    means = sums / np.bincount(owner)[:, None]
    weights = np.exp(means - means.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True))[owner].astype(probability.dtype)
