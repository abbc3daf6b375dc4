"""What a trained method says of every sample and subject, as tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from calib.data.study import FloatArray, Study
from calib.evaluation.metrics import median_by_subject
from calib.records.predictions_file import PROBABILITY


def predictions(study: Study, probability: Mapping[str, FloatArray]) -> pd.DataFrame:
    """One row a sample: its place, true label where known, predicted label, a probability a class.

    Args:
        probability: batch name -> ``(samples, classes)``.
    """
    parts = []
    for name, p in probability.items():
        batch = study.batches[name]
        columns = {
            "study": study.name,
            "batch": name,
            "row": np.arange(len(p)),
            **({} if batch.names is None else {"sample": batch.names}),
            "subject": pd.Series(
                batch.subject,
                index=range(len(p)),
                dtype="Int64" if batch.subject is None or batch.subject.dtype.kind == "i" else "str",
            ),
            "label": None if batch.y is None else np.array(study.classes)[batch.y],
        }
        parts.append(pd.DataFrame(columns | _judged(study, p)))
    return pd.concat(parts, ignore_index=True)


def subject_predictions(study: Study, probability: Mapping[str, FloatArray]) -> pd.DataFrame:
    """One row a subject, from the medians of its samples; batches without subjects have none."""
    parts = []
    for name, p in probability.items():
        batch = study.batches[name]
        if batch.subject is not None:
            subjects, first, medians = median_by_subject(p, batch.subject)
            columns = {
                "study": study.name,
                "batch": name,
                "subject": subjects,
                "samples": np.unique(batch.subject, return_counts=True)[1],
                "label": None if batch.y is None else np.array(study.classes)[batch.y[first]],
            }
            parts.append(pd.DataFrame(columns | _judged(study, medians)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


ABSTAINED = "abstained"


def with_abstentions(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """A table of predictions with a column ``answer``: the predicted label, or ``ABSTAINED``.

    Args:
        table: with columns ``predicted`` and ``p_<class>``.
        confidence: share of all classes' probability below which no answer is given.
    """
    shares = table.filter(regex=f"^{PROBABILITY}")
    surest = shares.max(axis=1) / shares.sum(axis=1)  # a subject's medians need not sum to one
    answer = table["predicted"].where(surest >= confidence, ABSTAINED)
    made = table.copy()
    made.insert(list(table.columns).index("predicted") + 1, "answer", answer)
    return made


def _judged(study: Study, p: FloatArray) -> dict[str, object]:
    shares = {PROBABILITY + label: p[:, index] for index, label in enumerate(study.classes)}
    return {"predicted": np.array(study.classes)[p.argmax(axis=1)]} | shares
