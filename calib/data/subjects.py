"""Which rows belong to one subject, where the file does not say."""

import numpy as np
from numpy.typing import NDArray


def infer_subjects(labels: NDArray[np.integer], replicates: int = 5) -> NDArray[np.int64]:
    """Subject numbers ``(rows,)`` for files whose replicates stand in adjacent rows.

    The MI and CHD files have no subject column. Most subjects have five rows, some fewer, so plain
    ``row // 5`` slips after the first short subject and stays wrong. A subject has one label, so blocks
    of ``replicates`` rows are begun anew at every change of label: an error ends with its run of labels.
    Used for evaluation and for grouping folds, never in training.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
    run_start = np.repeat(starts, np.diff(starts, append=len(labels)))
    new_subject = (np.arange(len(labels)) - run_start) % replicates == 0
    return np.cumsum(new_subject) - 1
